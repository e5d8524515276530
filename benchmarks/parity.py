"""How far our logits are from those of other libraries, with the same weights: writes docs/parity.md.

    pip install -e '.[bench]'
    python benchmarks/parity.py

Theirs is built with weights of its own random initialisation, its normalisations are given random scales, shifts and
statistics, all is converted into ours, and both see the same images of noise, of odd sizes. Takes three minutes.
The last table is docs/parity.md; tests/zoo/test_parity.py holds every line of it to 1e-4.
"""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path

from svertka.zoo import registry

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "zoo"))
import peers  # noqa: E402

TITLES = {"torchvision": "torchvision", "timm": "timm", "keras": "Keras"}
HEAD = """# Parity

Logits of every network beside those of every library whose weights are read here, in fp32, with the same random
weights, on images of noise of odd sizes. "Relative" is to the largest logit where that is above one; a test holds every
line of it to {tolerance:.0e}. A difference of 0 is one of not a single bit.

`python benchmarks/parity.py` writes this page.

| network | beside | images | largest difference | largest logit | relative |
|---|---|---|--:|--:|--:|
"""


def main() -> None:
    """Compare all pairs, then write the page."""
    lines = []
    for pair in sorted(peers.PAIRS, key=lambda pair: [record.name for record in registry.records()].index(pair.net)):
        found = peers.compare(pair)
        cells = (
            pair.net,
            f"{TITLES[pair.library]} `{pair.title}`",
            f"{pair.count} × {pair.sides[0]} × {pair.sides[1]}",
            *(f"{value:.1e}" if value else "0" for value in (found.largest, found.scale, found.relative)),
        )
        lines.append(f"| {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    without = [record.name for record in registry.records() if record.name not in {pair.net for pair in peers.PAIRS}]
    versions = ", ".join(f"{TITLES.get(name, name)} {importlib.metadata.version(name)}" for name in ("torch", *TITLES))
    foot = f"""
Measured with {versions}.

No library here has these; AlexNet of 2012, NiN, GoogLeNet of 2014 and ResNet-20 are compared, in the tests of their
families, with the network written down a second time, ResNet-8 with the published file in Keras, and those for masks
with the sizes and counts of their papers:
{", ".join(without)}.
"""
    page = HEAD.format(tolerance=peers.TOLERANCE) + "\n".join(lines) + "\n" + foot
    (ROOT / "docs" / "parity.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()

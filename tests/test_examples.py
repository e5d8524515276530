"""What newcomers are shown is run: the blocks of the page on plug-ins. `make examples` runs the scripts."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from svertka import plugins

ROOT = Path(__file__).parents[1]


def test_the_page_on_plug_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "_state", plugins._State())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tabs").mkdir()
    for name in ("disc", "square"):
        (tmp_path / "shapes" / name).mkdir(parents=True)
        for number in range(12):
            image = np.random.default_rng([number, len(name)]).integers(0, 255, (16, 16, 3), np.uint8)
            Image.fromarray(image).save(tmp_path / "shapes" / name / f"{number}.png")
        Image.fromarray(image).save(tmp_path / "tabs" / f"{name}.png")
    (tmp_path / "tabs/labels.tsv").write_text("disc.png\tdisc\nsquare.png\tsquare\n")
    blocks = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs/plug-ins.md").read_text(), re.M | re.S)
    assert len(blocks) > 5
    names = {"__name__": "page"}
    for block in blocks:
        exec(compile(block, "docs/plug-ins.md", "exec"), names)  # noqa: S102

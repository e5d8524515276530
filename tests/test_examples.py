"""What newcomers are shown is run: the scripts of examples/, and the blocks of the page on plug-ins."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from svertka import plugins

ROOT = Path(__file__).parents[1]
TOLD = {
    "own_module": ("trained: accuracy", "predicted: lying", "exported: stripes.onnx", "give the same answers"),
    "own_dataset": ("opened: Shapes", "trained: accuracy", "give the same answers", "of a square"),
}


@pytest.mark.parametrize("name", TOLD)
def test_an_example(name: str) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / f"examples/{name}.py"], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    for part in TOLD[name]:
        assert part in done.stdout


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

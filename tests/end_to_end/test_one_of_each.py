"""One of everything: counts agree with what they count, and no page names a folder of the machine it was made on."""

from __future__ import annotations

import html
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from svertka.cli import run

ONE_OF = re.compile(r"(?<![\d.,×])\b1 (?!class\b)[a-z]+s\b")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set with one image of a class to evaluate on and one broken file, and the pages of three commands."""
    root = tmp_path_factory.mktemp("one")
    random = np.random.default_rng(0)
    for part, count in (("train", 2), ("val", 1), ("test", 1)):
        for name in ("cat", "dog"):
            folder = root / "data" / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                image = random.integers(0, 255, (32, 32, 3), np.uint8)
                Image.fromarray(image).save(folder / f"{number}.png")
    (root / "data/train/cat/broken.png").write_bytes(b"x")
    return root


def test_what_is_printed_and_what_is_on_pages(pages: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, trained = str(pages / "data"), str(pages / "run")
    image = str(pages / "data/test/cat/0.png")
    assert run(["check", data, "--out", str(pages / "checked")]) == 1
    assert run(["train", data, "--net", "lenet5", "--channels", "3", "--epochs", "1", "--out", trained]) == 0
    assert run(["evaluate", trained, data]) == 0
    assert run(["diagnose", trained, "--out", str(pages / "diagnosed")]) == 0
    assert run(["explain", trained, image, "--method", "saliency", "--out", str(pages / "explained")]) == 0
    printed = capsys.readouterr()
    assert not ONE_OF.findall(printed.out + printed.err)
    written = sorted(pages.rglob("*.html"))
    assert len(written) == 4
    for page in written:
        text = page.read_text("utf-8")
        assert str(pages) not in text, page.name
        assert f"{Path.home()}/" not in text, page.name
        shown = html.unescape(re.sub(r"<(style|script)>.*?</\1>|<[^>]*>", " ", text, flags=re.DOTALL))
        assert not ONE_OF.findall(shown), page.name

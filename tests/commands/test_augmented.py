"""The contact sheet of augmentation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from svertka.cli import run
from svertka.commands.check.augmented import show_augmented
from svertka.errors import UserError
from svertka.runtime.image import read_image

STEP = 132  # pixels from one picture to the next


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three classes of one colour each, and a file that is no image."""
    for label, colour in (("a", (250, 0, 0)), ("b", (0, 250, 0)), ("c", (0, 0, 250))):
        (tmp_path / "set" / label).mkdir(parents=True)
        pixels = np.full((20, 30, 3), colour, np.uint8)
        pixels[:, :15] //= 2  # the left half is darker
        for number in range(2):
            Image.fromarray(pixels).save(tmp_path / "set" / label / f"{number}.png")
    (tmp_path / "set/a/00.png").write_text("no image")
    return tmp_path / "set"


def test_a_row_for_each_image_and_a_column_for_each_epoch(data: Path, tmp_path: Path) -> None:
    show_augmented(data, ("flip",), tmp_path / "sheet.png")
    sheet = read_image(tmp_path / "sheet.png")
    assert sheet.shape == (STEP * 6 + 4, STEP * 8 + 8, 3)
    colours = [tuple(sheet[4 + row * STEP + 64, 4 + 100]) for row in range(6)]
    assert colours[:3] == [(250, 0, 0), (0, 250, 0), (0, 0, 250)]
    mirrored = [sheet[4 + 64, 8 + column * STEP + 20].max() == 250 for column in range(1, 8)]
    assert set(mirrored) == {True, False}


def test_mixtures_are_shown(data: Path, tmp_path: Path) -> None:
    show_augmented(data, ("mixup",), tmp_path / "sheet.png")
    sheet = read_image(tmp_path / "sheet.png")
    variants = sheet[4 : 4 + 128, 8 + STEP :].reshape(-1, 3)
    both = (variants > 20).sum(axis=1) == 2
    assert both.mean() > 0.05


def test_on_the_command_line(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sheet = tmp_path / "sheet.png"
    run(["check", str(data), "--show-augmented", str(sheet), "--augment", "flip,colour", "--json"])
    assert read_image(sheet).shape == (STEP * 6 + 4, STEP * 8 + 8, 3)
    with pytest.raises(UserError, match="unknown augmentation 'flop'; did you mean flip"):
        show_augmented(data, ("flop",), sheet)
    capsys.readouterr()


def test_masks_and_boxes_are_drawn_where_they_went(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from svertka.annotations import Box, Boxes, Mask
    from svertka.commands.check import augmented as _augmented
    from svertka.data.samples import Dataset, ImageFile, Sample

    class Left:
        def load(self) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
            mask = np.zeros((64, 64), np.uint8)
            mask[:, :16] = 1
            return mask

    Image.fromarray(np.full((64, 64, 3), 100, np.uint8)).save(tmp_path / "grey.png")
    source = ImageFile(tmp_path / "grey.png")
    samples = [Sample("mask", source, Mask(Left(), ("ground", "thing")))]
    samples.append(Sample("box", source, Boxes((Box("thing", 0, 0, 16, 64), Box("odd", float("nan"), 0, 1, 1)))))
    monkeypatch.setattr(_augmented, "open_dataset", lambda *_: Dataset(tmp_path, "made", {"all": samples}))
    show_augmented(tmp_path, ("flip",), tmp_path / "sheet.png")
    sheet = read_image(tmp_path / "sheet.png").astype(int)
    sides = set()
    for column in range(8):
        start = 4 + column * STEP + (4 if column else 0)
        tinted = sheet[4 + 64, start : start + 128, 0] != 100
        edges = np.flatnonzero(sheet[4 + STEP + 64, start : start + 128, 0] != 100)
        assert tinted.sum() == 32
        side = "left" if tinted[0] else "right"
        assert edges.tolist() == ([0, 31] if sheet[4 + STEP + 64, start, 0] != 100 else [96, 127])
        sides.add(side)
    assert sides == {"left", "right"}

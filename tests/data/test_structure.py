"""Folders of a format are never taken for classes, and what lies beside class folders is named."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from svertka.annotations import Mask
from svertka.data.readers.reading import open_dataset
from svertka.data.samples import Dataset
from svertka.errors import UserError


def picture(path: Path, grey: int = 100) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (8, 8), grey).save(path)
    return path


def counts(dataset: Dataset) -> dict[str, int]:
    return {part: len(samples) for part, samples in dataset.parts.items()}


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        ("train/{}.png", "trainannot/{}.png"),
        ("train/{}.jpg", "train_labels/{}.png"),
        ("train/{}.jpg", "train_masks/{}_mask.gif"),
        ("train/{}.png", "masks_train/{}.png"),
        ("leftImg8bit/train/aachen/{}_leftImg8bit.png", "gtFine/train/aachen/{}_gtFine_labelIds.png"),
        ("JPEGImages/{}.jpg", "SegmentationClassPNG/{}.png"),
        ("images/image_{:04}.png", "masks/gt_{:04}.png"),
        ("images/{:04}-photo.png", "masks/{:04}-truth.png"),
    ],
)
def test_layouts_of_masks(images: str, masks: str, tmp_path: Path) -> None:
    for number in range(3):
        picture(tmp_path / images.format(number), 10 * number)
        pixels = np.zeros((8, 8), np.uint8)
        pixels[4:] = number % 2 * (255 if masks.endswith("gif") else 1)
        Image.fromarray(pixels).save(picture(tmp_path / masks.format(number)))
    if "gtFine" in masks:
        for kind in ("color", "instanceIds"):
            picture(tmp_path / masks.format(0).replace("labelIds", kind), 77)
    dataset = open_dataset(tmp_path)
    (samples,) = dataset.parts.values()
    assert len(samples) == 3
    for number, sample in enumerate(samples):
        assert isinstance(sample.annotation, Mask)
        assert sample.annotation.source.load().max() == number % 2  # its own mask


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (["images/a.png", "images/b.png", "masks/c.png", "masks/e.png"], "images/ and masks/ are parts of a format"),
        (["images/a.png", "images/b.png"], "images/ is a part of a format"),
        (["train/images/a.png", "train/masks/x.png", "val/images/b.png", "val/masks/y.png"], "images/ and masks/"),
        (["images/a.png", "labels/a.mat", "other/b.png", "masks/b.png"], "images/ and masks/"),
        (["leftImg8bit/train/a/1.png", "gtFine/train/a/2.png"], "gtFine/ and leftImg8bit/"),
    ],
)
def test_parts_of_a_format_are_refused_as_classes(files: list[str], words: str, tmp_path: Path) -> None:
    for number, name in enumerate(files):
        if name.endswith(".png"):
            picture(tmp_path / name, number)
    with pytest.raises(UserError, match=words):
        open_dataset(tmp_path)
    assert open_dataset(tmp_path, "folders").parts  # who insists gets them


def test_what_lies_beside_is_named_when_folders_are_refused(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "0.png")
    (tmp_path / "train.csv").write_text("width,height\n8,8\n")
    with pytest.raises(UserError, match=r"beside it lies train\.csv.*give the table of labels itself"):
        open_dataset(tmp_path)


@pytest.mark.parametrize(
    "names", [("mask", "no_mask"), ("with_mask", "without_mask"), ("images", "text"), ("cat", "dog")]
)
def test_classes_may_be_called_like_that_where_nothing_else_fits(names: tuple[str, ...], tmp_path: Path) -> None:
    for number, name in enumerate(names):
        picture(tmp_path / name / "0.png", number)
    (tmp_path / "README.txt").write_text("photographs")
    (tmp_path / "about.csv").write_text("camera,year\nx,2020\n")
    dataset = open_dataset(tmp_path)
    assert {sample.annotation for sample in dataset.parts["all"]} == set(names)
    assert "file about.csv" in {unread.what for unread in dataset.unread}


@pytest.mark.parametrize("column", ["file", "image_id", "filename"])
@pytest.mark.parametrize("between", [",", ";", "\t"])
def test_a_table_beside_a_folder_of_images_is_read(column: str, between: str, tmp_path: Path) -> None:
    for number in range(4):
        picture(tmp_path / "images" / f"{number}.jpg", number)
    rows = [between.join((column, "label")), *(between.join((str(n), "cat" if n % 2 else "dog")) for n in range(4))]
    table = tmp_path / ("train.tsv" if between == "\t" else "train.csv")
    table.write_text("\n".join(rows))
    for given in (tmp_path, table):
        dataset = open_dataset(given)
        assert [sample.annotation for sample in dataset.parts["all"]] == ["dog", "cat", "dog", "cat"]
        assert dataset.skipped == []
        assert dataset.root == table


def test_a_table_a_part(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for number in range(2):
            picture(tmp_path / part / f"{number}.png", number)
        (tmp_path / f"{part}.csv").write_text("image_id,label\n0,cat\n1,dog\n")
    (tmp_path / "sample_submission.csv").write_text("image_id,label\n0,cat\n1,cat\n")
    dataset = open_dataset(tmp_path)
    assert counts(dataset) == {"train": 2, "test": 2}
    assert {sample.name for sample in dataset.parts["test"]} == {"test/0.png", "test/1.png"}


def test_of_several_tables_one_must_be_given(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "0.png")
    for name in ("colours.csv", "shapes.csv"):
        (tmp_path / name).write_text("file,label\n0.png,a\n")
    with pytest.raises(UserError, match=r"several tables label its images: colours\.csv, shapes\.csv; give one"):
        open_dataset(tmp_path)


def test_a_lone_part_of_idx(tmp_path: Path) -> None:
    pixels = np.zeros((2, 4, 4), np.uint8)
    header = bytes((0, 0, 8, 3)) + b"".join(side.to_bytes(4) for side in pixels.shape)
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(header + pixels.tobytes()))
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(bytes((0, 0, 8, 1, 0, 0, 0, 2, 3, 4))))
    assert counts(open_dataset(tmp_path)) == {"test": 2}


@pytest.mark.parametrize(
    "name",
    [
        "t.csv",
        "t.tsv",
        "d/metadata.csv",
        "d/metadata.jsonl",
        "d/t10k-images-idx3-ubyte",
        "d/train.csv",
        "d/a.json",
        "d/a.xml",
    ],
)
def test_a_pipe_is_never_waited_for(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    picture(tmp_path / "d" / "images" / "0.png")
    (tmp_path / "d" / "t10k-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01\0\0\0\x01\0")
    os.mkfifo(path)
    with pytest.raises(UserError):
        open_dataset(path.parent if name.startswith("d/") else path)


@pytest.mark.parametrize(("pictures", "truth"), [("x", "y"), ("Photo", "GT_png"), ("inputs", "targets")])
def test_masks_are_no_class_whatever_their_folder_is_called(pictures: str, truth: str, tmp_path: Path) -> None:
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (16, 16, 3), np.uint8)
        Image.fromarray(pixels).save(picture(tmp_path / pictures / f"{number}.png"))
        Image.fromarray(np.uint8(255 * (pixels[..., 0] > 128))).save(picture(tmp_path / truth / f"{number}.png"))
    with pytest.raises(UserError, match=f"{truth}/ looks like their masks, not a class"):
        open_dataset(tmp_path)
    assert open_dataset(tmp_path, "folders").parts


def test_links_to_files_elsewhere_bring_nothing_else_from_there(tmp_path: Path) -> None:
    import svertka

    for number, name in enumerate(("data/a/0.png", "data/b/0.png", "elsewhere/x/0.png", "elsewhere/private/0.png")):
        picture(tmp_path / name, number)
    (tmp_path / "data" / "a" / "9.png").symlink_to(tmp_path / "elsewhere" / "x" / "0.png")
    found = svertka.check(tmp_path / "data", progress=False)
    assert "private" not in str(found.to_json())
    assert "images_without_annotation" not in {finding.kind for finding in found.findings}

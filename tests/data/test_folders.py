"""Class folders, as people really keep them."""

from __future__ import annotations

import os
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from svertka.annotations import class_names, natural
from svertka.data.readers.folders import read_folders
from svertka.data.readers.reading import FORMATS, open_dataset
from svertka.data.samples import Dataset
from svertka.errors import UserError

WriteImages = Callable[..., None]


def told(dataset: Dataset) -> dict[str, list[tuple[str, str]]]:
    return {part: [(sample.name, sample.annotation) for sample in samples] for part, samples in dataset.parts.items()}


def test_the_name_of_the_folder_is_the_class(tmp_path: Path, write_images: WriteImages) -> None:
    write_images(tmp_path, ["dog/b.png", "cat/a.jpg", "cat/deep/er/c.PNG"])
    dataset = read_folders(tmp_path)
    assert told(dataset) == {"all": [("cat/a.jpg", "cat"), ("cat/deep/er/c.PNG", "cat"), ("dog/b.png", "dog")]}
    assert (dataset.notes, dataset.skipped) == ([], [])


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        ("train", "val", "test"),
        ("Training", "VALID", "tst"),
        ("trn", "validation", "testing"),
        ("TRAIN", "dev", "Test"),
    ],
)
def test_parts_in_any_spelling(tmp_path: Path, write_images: WriteImages, train: str, val: str, test: str) -> None:
    write_images(tmp_path, [f"{part}/{name}/1.png" for part in (train, val, test) for name in ("a", "b")])
    dataset = read_folders(tmp_path)
    assert list(dataset.parts) == ["train", "val", "test"]
    assert told(dataset)["val"] == [(f"{val}/a/1.png", "a"), (f"{val}/b/1.png", "b")]
    assert f"train: {train}{os.sep}" in dataset.notes


def test_folders_beside_the_parts_are_ignored_and_named(tmp_path: Path, write_images: WriteImages) -> None:
    write_images(tmp_path, ["train/a/1.png", "test/a/1.png", "rejected/2.png"])
    dataset = read_folders(tmp_path)
    assert sorted(told(dataset)) == ["test", "train"]
    assert "ignored folders: rejected" in dataset.notes


def test_two_folders_for_one_part_are_refused(tmp_path: Path, write_images: WriteImages) -> None:
    write_images(tmp_path, ["train/a/1.png", "val/a/1.png", "Valid/a/1.png"])
    with pytest.raises(UserError, match=f"{tmp_path}: (Valid and val|val and Valid) are both a folder for val; keep"):
        read_folders(tmp_path)


def test_parts_without_a_training_part_are_no_classes(tmp_path: Path, write_images: WriteImages) -> None:
    write_images(tmp_path, ["val/a/1.png", "val/b/1.png", "test/a/1.png"])
    assert sorted(told(read_folders(tmp_path))) == ["test", "val"]


def test_a_class_may_be_called_train(tmp_path: Path, write_images: WriteImages) -> None:
    write_images(tmp_path, ["bus/1.png", "car/1.png", "train/1.png"])
    assert [label for _, label in told(read_folders(tmp_path))["all"]] == ["bus", "car", "train"]


def test_parts_that_hold_no_class_folders_are_refused_rather_than_taken_for_classes(
    tmp_path: Path, write_images: WriteImages
) -> None:
    write_images(tmp_path, ["train/1.png", "train/2.png", "test/3.png"])
    with pytest.raises(UserError, match="no images in class folders"):
        read_folders(tmp_path)


def test_a_folder_around_it_all_is_looked_into(tmp_path: Path, write_images: WriteImages) -> None:
    write_images(tmp_path, ["archive/Dataset/train/a/1.png", "archive/Dataset/val/a/1.png"])
    (tmp_path / "__MACOSX").mkdir()
    dataset = read_folders(tmp_path)
    assert dataset.root == tmp_path / "archive" / "Dataset"
    assert told(dataset) == {"train": [("train/a/1.png", "a")], "val": [("val/a/1.png", "a")]}
    assert f"read from {dataset.root}" in dataset.notes


def test_a_single_class_is_no_folder_around(tmp_path: Path, write_images: WriteImages) -> None:
    write_images(tmp_path, ["cat/1.png", "cat/more/2.png"])
    assert [label for _, label in told(read_folders(tmp_path))["all"]] == ["cat", "cat"]


def test_natural_order_of_folders_and_files(tmp_path: Path, write_images: WriteImages) -> None:
    write_images(tmp_path, [f"{name}/{number}.png" for name in ("10", "2", "1") for number in (10, 9)])
    assert [name for name, _ in told(read_folders(tmp_path))["all"]] == [
        f"{name}/{number}.png" for name in ("1", "2", "10") for number in (9, 10)
    ]


@pytest.mark.parametrize(
    ("names", "ordered"),
    [
        (["10", "2", "1"], ["1", "2", "10"]),
        (["img10b", "img2a", "img10a"], ["img2a", "img10a", "img10b"]),
        (["a", "1", "B", "b1"], ["1", "B", "a", "b1"]),
        (["02", "2", "1", "003"], ["1", "02", "2", "003"]),
        (["1" * 5000, "2", "9" * 4999], ["2", "9" * 4999, "1" * 5000]),
        (["٣", "2", "²"], ["2", "²", "٣"]),
    ],
    ids=["numbers", "within", "letters", "zeros", "long", "other digits"],
)
def test_natural_order(names: list[str], ordered: list[str]) -> None:
    assert sorted(names, key=natural) == ordered
    assert class_names(names * 2) == tuple(ordered)


def test_names_that_differ_in_zeros_alone_have_one_order() -> None:
    assert sorted(["a02b", "a2b", "a002b"], key=natural) == sorted(["a002b", "a2b", "a02b"], key=natural)


def test_hidden_files_and_what_is_no_image_are_passed_over(tmp_path: Path, write_images: WriteImages) -> None:
    write_images(tmp_path, ["a/1.png", "a/.hidden.png", "a/.cache/2.png", ".git/3.png", "__pycache__/4.png", "b/1.png"])
    (tmp_path / "a" / "notes.txt").write_text("no image")
    (tmp_path / "a" / "Thumbs.db").touch()
    (tmp_path / "a" / "png").touch()
    assert [name for name, _ in told(read_folders(tmp_path))["all"]] == ["a/1.png", "b/1.png"]


def test_loose_images_are_left_out_and_counted(tmp_path: Path, write_images: WriteImages) -> None:
    write_images(tmp_path, ["train/a/1.png", "train/b/1.png", "train/2.png", "3.png"])
    dataset = read_folders(tmp_path)
    assert len(told(dataset)["train"]) == 2
    assert any(note.startswith("2 images lie in no class folder") for note in dataset.notes)


def test_links_to_folders_are_passed_over_and_named(tmp_path: Path, write_images: WriteImages) -> None:
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    write_images(data, ["a/1.png", "b/1.png"])
    write_images(elsewhere, ["2.png", "x/3.png"])
    (data / "c").symlink_to(elsewhere)
    (data / "a" / "loop").symlink_to(data)
    dataset = read_folders(data)
    assert [name for name, _ in told(dataset)["all"]] == ["a/1.png", "b/1.png"]
    assert any("c" in note and "link" in note for note in dataset.notes)


def test_links_to_images_are_images(tmp_path: Path, write_images: WriteImages) -> None:
    data = tmp_path / "data"
    write_images(data, ["a/1.png", "b/1.png"])
    write_images(tmp_path, ["store.png"])
    (data / "a" / "2.png").symlink_to(tmp_path / "store.png")
    (data / "b" / "2.png").symlink_to(data / "a" / "1.png")
    dataset = read_folders(data)
    assert [name for name, _ in told(dataset)["all"]] == ["a/1.png", "a/2.png", "b/1.png", "b/2.png"]
    assert dataset.notes == ["links to files outside the folder, which are read: 1, such as a/2.png"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_name_of_no_encoding_becomes_one_that_can_be_printed_and_saved(
    tmp_path: Path, write_images: WriteImages
) -> None:
    write_images(tmp_path, ["caf\udce9/1.png", "tea/\udcff.png"])
    dataset = read_folders(tmp_path)
    assert told(dataset) == {"all": [(r"caf\xe9/1.png", r"caf\xe9"), (r"tea/\xff.png", "tea")]}
    assert all(sample.source.load()[0].shape == (6, 5, 3) for sample in dataset.parts["all"])


@pytest.mark.parametrize("names", [[], ["1.png"]], ids=["empty", "only loose"])
def test_no_images_in_class_folders_says_how_to_lay_them(
    tmp_path: Path, write_images: WriteImages, names: list[str]
) -> None:
    write_images(tmp_path, names)
    with pytest.raises(UserError, match="no images in class folders; put each"):
        read_folders(tmp_path)


def test_what_holds_no_image_at_all_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "data" / "series").mkdir(parents=True)
    for name in ("series/1.csv", "series/2.csv", "about.md"):
        (tmp_path / "data" / name).write_text("1")
    with pytest.raises(UserError, match=r"no images: .* \(2 \.csv, 1 \.md\); give a folder of images"):
        read_folders(tmp_path / "data")
    with zipfile.ZipFile(tmp_path / "data" / "set.zip", "w") as archive:
        archive.writestr("a/1.txt", "1")
    with pytest.raises(UserError, match=r"no images, but archives; give one of them: .*set\.zip"):
        read_folders(tmp_path / "data")


@pytest.mark.parametrize("format_", [*FORMATS])
def test_what_is_not_of_the_format_that_is_insisted_on_is_refused(format_: str, tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_text("no data set")
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "file.txt", tmp_path / "empty"):
        with pytest.raises(UserError):
            open_dataset(path, format_)

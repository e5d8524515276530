"""``svertka convert``: what is written, and that nothing is lost on the way there and back."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import svertka
from svertka.annotations import Box, Boxes, Mask
from svertka.cli import run
from svertka.data.readers.reading import open_dataset
from svertka.data.samples import Dataset, ImageFile, Sample
from svertka.data.writers.writing import write_dataset
from svertka.errors import UserError

FORMATS = ("coco", "voc", "yolo", "csv")
Told = dict[str, dict[str, list[tuple[Any, ...]]]]


def told(dataset: Dataset) -> Told:
    """Boxes by part and image, whose stem is what stays of its name."""
    found: Told = {}
    for part, samples in dataset.parts.items():
        for sample in samples:
            assert isinstance(sample.annotation, Boxes)
            boxes = [(box.label, box.left, box.top, box.right, box.bottom) for box in sample.annotation.boxes]
            found.setdefault(part, {})[Path(sample.name).stem] = boxes
    return found


def compare(first: Told, second: Told) -> None:
    assert {part: set(images) for part, images in first.items()} == {
        part: set(images) for part, images in second.items()
    }
    for part, images in first.items():
        for name, boxes in images.items():
            others = second[part][name]
            assert [box[0] for box in boxes] == [box[0] for box in others]
            for box, other in zip(boxes, others, strict=True):
                assert max(abs(one - another) for one, another in zip(box[1:], other[1:], strict=True)) < 0.01


def test_real_blood_cells_go_round(shared_data: Path, tmp_path: Path) -> None:
    source: Path = shared_data / "bccd"
    for name in FORMATS:  # each from the one before
        converted = svertka.convert(source, tmp_path / name, format=name, progress=False)
        assert converted.images == {"train": 205, "val": 87, "test": 72}
        assert converted.boxes == 4888
        assert converted.skipped == ()
        source = converted.data
    back = svertka.convert(source, tmp_path / "back", format="voc", progress=False).data
    compare(told(open_dataset(shared_data / "bccd")), told(open_dataset(back)))


sides = st.floats(-40, 40, width=32)
objects = st.builds(Box, st.sampled_from(["cat", "no", "1", 'été; "x" <&> # : -']), sides, sides, sides, sides)


@settings(
    max_examples=25,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    parts=st.lists(st.sampled_from(["train", "val", "test", "all"]), min_size=4, max_size=4),
    found=st.lists(st.lists(objects, max_size=3), min_size=4, max_size=4),
)
def test_any_boxes_go_round(tmp_path_factory: pytest.TempPathFactory, parts: list[str], found: list[list[Box]]) -> None:
    folder = tmp_path_factory.mktemp("round")
    dataset = Dataset(folder, "made up", {})
    for number, (part, boxes) in enumerate(zip(parts, found, strict=True)):
        place = folder / f"{number // 2}/{number % 2}.png"  # two files of the same name in each folder
        place.parent.mkdir(exist_ok=True)
        Image.new("RGB", (7 + number, 5)).save(place)
        sample = Sample(f"{number // 2}/{number % 2}.png", ImageFile(place), Boxes(tuple(boxes)))
        dataset.parts.setdefault(part, []).append(sample)
    expected = None
    for name in FORMATS if all(";" not in box.label for boxes in found for box in boxes) else FORMATS[:3]:
        written = write_dataset(dataset, folder / name, name)
        read = open_dataset(written.entry)
        assert read.skipped == []
        assert sum(map(len, read.parts.values())) == 4
        assert set(read.parts) == (
            {"all"} if set(parts) == {"all"} else {part.replace("all", "train") for part in parts}
        )
        if expected is not None:
            compare(expected, told(read))
        expected = told(read)
        dataset = read
    assert sum(len(boxes) for images in told(dataset).values() for boxes in images.values()) == sum(map(len, found))


def test_what_coco_holds_stays(tmp_path: Path, soak: ModuleType) -> None:
    soak.write_coco(tmp_path / "data")
    svertka.convert(tmp_path / "data", tmp_path / "again", format="coco", progress=False)
    first, again = open_dataset(tmp_path / "data"), open_dataset(tmp_path / "again")
    for part, samples in first.parts.items():
        assert [sample.annotation for sample in again.parts[part]] == [sample.annotation for sample in samples]


def test_what_a_format_cannot_hold_is_said(tmp_path: Path, soak: ModuleType) -> None:
    soak.write_coco(tmp_path / "data")
    converted = svertka.convert(tmp_path / "data", tmp_path / "voc", format="voc", progress=False)
    files = "train2017/1.png", "train2017/2.png", "val2017/3.png"
    several = f"{', '.join(files)}"
    assert converted.notes == (
        f"2 boxes have polygons, which Pascal VOC XML cannot hold ({files[0]}, {files[2]})",
        f"4 boxes have masks, which Pascal VOC XML cannot hold ({several})",
        f"2 boxes have keypoints, which Pascal VOC XML cannot hold ({files[0]}, {files[2]})",
        f"4 boxes have crowd, which Pascal VOC XML cannot hold ({several})",
    )
    assert converted.to_json()["lost"][0] == {
        "what": "boxes have polygons, which Pascal VOC XML cannot hold",
        "count": 2,
        "files": [files[0], files[2]],
    }


@pytest.mark.parametrize("write", ["write_masks", "write_legend"])
def test_masks_stay_what_they_are(write: str, tmp_path: Path, soak: ModuleType) -> None:
    getattr(soak, write)(tmp_path / "data")
    svertka.convert(tmp_path / "data", tmp_path / "again", format="masks", progress=False)
    first, again = (open_dataset(tmp_path / folder).parts["all"] for folder in ("data", "again"))
    for before, after in zip(first, again, strict=True):
        assert isinstance(before.annotation, Mask)
        assert isinstance(after.annotation, Mask)
        assert after.annotation.names == before.annotation.names == ("void", "cat", "dog")
        np.testing.assert_array_equal(after.annotation.source.load(), before.annotation.source.load())


def test_outlines_stay_in_yolo(tmp_path: Path, soak: ModuleType) -> None:
    soak.write_labelme(tmp_path / "data")
    for file in (tmp_path / "data").glob("*.json"):
        values = json.loads(file.read_text())
        file.write_text(json.dumps(values | {"shapes": values["shapes"][:1]}))
    svertka.convert(tmp_path / "data", tmp_path / "yolo", format="yolo", progress=False)
    for sample in open_dataset(tmp_path / "yolo").parts["all"]:
        assert isinstance(sample.annotation, Boxes)
        assert sample.annotation.boxes[0].polygons[0] == pytest.approx((1, 1, 9, 1, 5, 8.5))


def test_boxes_stay_on_an_image_that_is_turned(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (24, 16)).save(tmp_path / "1.jpg", exif=exif)
    box = "<bndbox><xmin>1</xmin><ymin>20</ymin><xmax>9</xmax><ymax>23</ymax></bndbox>"
    size = "<size><width>24</width><height>16</height></size>"
    text = f"<annotation><filename>1.jpg</filename>{size}<object><name>cat</name>{box}</object></annotation>"
    (tmp_path / "1.xml").write_text(text)
    converted = svertka.convert(tmp_path, tmp_path / "out", format="yolo", progress=False)
    assert any(note.startswith("1 annotation gives width and height") for note in converted.notes)
    assert told(open_dataset(tmp_path / "out")) == {"all": {"1": [("cat", *map(pytest.approx, (1, 20, 9, 23)))]}}


def test_classes_go_to_folders_and_csv(tmp_path: Path) -> None:
    for name, level in (("train/cat/1.png", 10), ("train/dog/1.png", 20), ("test/cat/2.png", 30)):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (5, 5), level).save(tmp_path / "data" / name)
    table = svertka.convert(tmp_path / "data", tmp_path / "csv", format="csv", progress=False).data
    again = svertka.convert(table, tmp_path / "folders", format="folders", progress=False)
    assert again.images == {"train": 2, "test": 1}
    found = {
        (part, sample.annotation, int(sample.source.load()[0][0, 0, 0]))
        for part, samples in open_dataset(again.data).parts.items()
        for sample in samples
    }
    assert found == {("train", "cat", 10), ("train", "dog", 20), ("test", "cat", 30)}


def test_images_are_linked_and_the_source_stays(tmp_path: Path, soak: ModuleType) -> None:
    soak.write_voc(tmp_path / "data")
    before = {path: path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file()}
    svertka.convert(tmp_path / "data", tmp_path / "out", format="yolo", progress=False)
    assert {path: path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file()} == before
    assert (tmp_path / "out/images/train/a.png").samefile(tmp_path / "data/JPEGImages/a.png")


def test_images_without_files_become_png(tmp_path: Path, shared_data: Path) -> None:
    dataset = open_dataset(shared_data / "fashion-mnist")
    few = Dataset(dataset.root, dataset.format, {part: samples[:3] for part, samples in dataset.parts.items()})
    written = write_dataset(few, tmp_path / "out", "folders")
    read = open_dataset(written.entry)
    for part, samples in few.parts.items():
        want = {(sample.annotation, sample.source.load()[0].tobytes()) for sample in samples}
        assert {(sample.annotation, sample.source.load()[0].tobytes()) for sample in read.parts[part]} == want


def test_a_broken_image_is_left_out_and_named(tmp_path: Path, soak: ModuleType) -> None:
    soak.write_voc(tmp_path / "data")
    (tmp_path / "data/JPEGImages/b.png").write_bytes(b"")
    converted = svertka.convert(tmp_path / "data", tmp_path / "out", format="coco", progress=False)
    assert converted.skipped == ({"file": "JPEGImages/b.png", "error": "an empty file"},)
    assert converted.images == {"train": 1, "val": 1}


@pytest.mark.parametrize("label", ["../out", "a/b", "..", ".hidden", "a\\b"])
def test_a_class_that_is_no_name_of_a_folder(tmp_path: Path, label: str) -> None:
    Image.new("L", (5, 5)).save(tmp_path / "1.png")
    (tmp_path / "labels.csv").write_text(f'file,label\n1.png,"{label}"\n')
    with pytest.raises(UserError, match="cannot be the name of a folder"):
        svertka.convert(tmp_path / "labels.csv", tmp_path / "x/y", format="folders", progress=False)
    assert not (tmp_path / "x").exists()


def test_a_class_that_xml_cannot_say(tmp_path: Path) -> None:
    Image.new("L", (5, 5)).save(tmp_path / "1.png")
    dataset = Dataset(
        tmp_path, "", {"all": [Sample("1.png", ImageFile(tmp_path / "1.png"), Boxes((Box("\1", 0, 0, 1, 1),)))]}
    )
    with pytest.raises(UserError, match="a character that XML does not know"):
        write_dataset(dataset, tmp_path / "out", "voc")


def test_the_command(tmp_path: Path, soak: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    soak.write_voc(tmp_path / "data")
    out = tmp_path / "out"
    assert run(["convert", str(tmp_path / "data"), str(out), "--format", "coco"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path / 'data'}: Pascal VOC",
        "  3 boxes have difficult, which COCO JSON cannot hold (JPEGImages/a.png, JPEGImages/b.png, JPEGImages/c.png)",
        f"wrote {out}: COCO JSON, 3 images, 6 boxes (train 2, val 1)",
    ]
    assert run(["convert", str(out), str(tmp_path / "yolo"), "--format", "yolo", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == {
        "data": str(tmp_path / "yolo"),
        "read_as": "COCO",
        "written_as": "YOLO texts",
        "images": {"train": 2, "val": 1},
        "boxes": 6,
        "notes": [],
        "skipped": [],
        "unused": [],
        "lost": [],
        "unread": [],
        "classes": ["cat", "dog"],
    }


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["data", "data", "--format", "coco"], "not a new or empty folder; name another"),
        (["data", "out", "--format", "folders"], "boxes, which class folders cannot hold; give --format coco or"),
        (["data", "out", "--format", "koko"], "koko"),
        (["data", "out", "--format", "coco", "--source-format", "cocos"], "unknown format 'cocos'; did you mean coco?"),
        (["nowhere", "out", "--format", "coco"], "no such folder"),
    ],
)
def test_mistakes(
    tmp_path: Path,
    soak: ModuleType,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    problem: str,
) -> None:
    soak.write_voc(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    assert run(["convert", *arguments]) == 2
    assert problem in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_what_is_left_out_is_named(tmp_path: Path, soak: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    soak.write_yolo(tmp_path / "data")
    for number in range(12):
        (tmp_path / f"data/labels/train/alone{number}.txt").write_text("0 0.5 0.5 1 1\n")
    Image.new("RGB", (5, 5)).save(tmp_path / "data/more.png")
    assert run(["convert", str(tmp_path / "data"), str(tmp_path / "out"), "--format", "yolo"]) == 0
    lines = capsys.readouterr().out.splitlines()
    at = lines.index("12 files or records were left out:")
    assert lines[at + 1] == "  labels/train/alone0.txt: no image of that name"
    assert lines[at + 11 :] == [
        "  … and 2 more; --json names all",
        "",
        "1 image of the folder without annotation was left out:",
        "  more.png",
    ]

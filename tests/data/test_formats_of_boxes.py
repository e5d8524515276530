"""COCO, VOC, YOLO, Label Studio, CVAT, LabelMe and CSV: what they say of boxes, and how each is known."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from PIL import Image

from svertka.annotations import Box, Boxes
from svertka.data.readers.reading import open_dataset
from svertka.data.samples import Dataset
from svertka.errors import UserError

WriteImages = Callable[..., None]


def boxes(dataset: Dataset) -> dict[str, list[Box]]:
    found = {}
    for samples in dataset.parts.values():
        for sample in samples:
            assert isinstance(sample.annotation, Boxes)
            found[sample.name] = list(sample.annotation.boxes)
    return found


def sides(box: Box) -> tuple[float, float, float, float]:
    return box.left, box.top, box.right, box.bottom


def errors(dataset: Dataset) -> dict[str, str]:
    return {item.file: item.error for item in dataset.skipped}


@pytest.mark.parametrize("format_", ["coco", "voc", "yolo", "label_studio", "cvat", "labelme", "masks"])
def test_each_format_is_known_by_its_folder(tmp_path: Path, soak: ModuleType, format_: str) -> None:
    soak.SETS[format_][1](tmp_path)
    guessed = open_dataset(tmp_path)
    assert guessed == open_dataset(tmp_path, format_)
    assert guessed.skipped == []


# --- COCO ---------------------------------------------------------------------------------------------------------


def test_coco_with_everything(tmp_path: Path, soak: ModuleType) -> None:
    soak.write_coco(tmp_path)
    dataset = open_dataset(tmp_path)
    assert {part: len(samples) for part, samples in dataset.parts.items()} == {"train": 2, "val": 1}
    found = boxes(dataset)["val2017/3.png"]
    assert [box.label for box in found] == ["cat", "dog", "dog"]
    assert sides(found[0]) == (1, 2, 9, 6.5)
    assert found[0].polygons == ((1, 2, 9, 2, 9, 6.5),)
    assert found[0].keypoints == (("nose", 2, 3, 2), ("tail", 0, 0, 0))
    assert [box.crowd for box in found] == [False, True, True]
    assert found[1].runs == found[2].runs == (16, 32, 336)  # once as a list, once compressed
    assert dataset.parts["val"][0].annotation.size == (16, 24)  # type: ignore[union-attr]


def coco(folder: Path, objects: list[Any], **more: Any) -> Dataset:
    told = {
        "images": [{"id": 1, "file_name": "1.png", "width": 5, "height": 6}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [
            {"id": number, "image_id": 1, "category_id": 1} | value for number, value in enumerate(objects)
        ],
    }
    (folder / "labels.json").write_text(json.dumps(told | more))
    return open_dataset(folder)


@pytest.mark.parametrize(
    ("told", "problem"),
    [
        ({"bbox": [0, 0, float("nan"), 1]}, "bbox is nan, which is no number"),
        ({"bbox": [0, 0, float("inf"), 1]}, "bbox is inf, which is no number of pixels"),
        ({"bbox": [0, 0, 10**400, 1]}, "no number"),
        ({"bbox": [0, 0, 1]}, "bbox has 3 numbers instead of 4"),
        ({"bbox": "0 0 1 1"}, "not a list of numbers"),
        ({"bbox": [True, 0, 1, 1]}, "no number"),
        ({}, "neither bbox nor segmentation"),
        ({"image_id": 9, "bbox": [0, 0, 1, 1]}, "image 9 is not in the file"),
        ({"category_id": 9, "bbox": [0, 0, 1, 1]}, "category 9 is not in the file"),
        ({"segmentation": [[0, 0, 1, 1]]}, "less than three corners"),
        ({"segmentation": [[0, 0, 1, 1, 2, 2, 3]]}, "a point without its y"),
        ({"segmentation": {"size": [6, 5], "counts": [1, 2, 3]}}, "runs of 6 pixels for an image of 30"),
        ({"segmentation": {"size": [6, 5], "counts": [-1, 31]}}, "negative or longer"),
        ({"segmentation": {"size": [6, 5], "counts": [2**62, 2**62, 2**62, 2**62, 30]}}, "no number"),
        ({"segmentation": {"size": [6, 5], "counts": "o" * 40}}, "break off"),
        ({"segmentation": {"size": [6, 5], "counts": "ooooooooooo0"}}, "too many digits"),
        ({"segmentation": {"size": [6, 5], "counts": "oooo?" * 400}}, "negative or longer"),
        ({"segmentation": {"size": [6, 5], "counts": "é"}}, "none of theirs"),
        ({"segmentation": {"size": [7, 5], "counts": [35]}}, "a mask of 5×7 pixels on an image of 5×6"),
        ({"segmentation": {"size": [10**9, 10**9], "counts": [1]}}, "over the limit"),
        ({"bbox": [0, 0, 1, 1], "keypoints": [1, 2]}, "2 numbers for 0 keypoints"),
        ({"bbox": [0, 0, 1, 1], "keypoints": [1, 2, 7]}, "visibility 7"),
    ],
    ids=str,
)
def test_a_bad_object_is_named_and_the_rest_goes_on(
    tmp_path: Path, write_images: WriteImages, told: dict[str, Any], problem: str
) -> None:
    write_images(tmp_path, ["1.png"])
    dataset = coco(tmp_path, [told, {"bbox": [1, 2, 3, 4]}])
    assert [sides(box) for box in boxes(dataset)["1.png"]] == [(1, 2, 4, 6)]
    (where, error), *others = errors(dataset).items()
    assert (where, others) == ("labels.json, annotation 0", [])
    assert problem in error


def test_odd_boxes_are_kept_for_check_to_name(tmp_path: Path, write_images: WriteImages) -> None:
    write_images(tmp_path, ["1.png"])
    dataset = coco(tmp_path, [{"bbox": [1, 1, 0, 0]}, {"bbox": [4, 4, -2, -3]}, {"bbox": [100, 100, 5, 5]}])
    assert [sides(box) for box in boxes(dataset)["1.png"]] == [(1, 1, 1, 1), (4, 4, 2, 1), (100, 100, 105, 105)]
    assert dataset.skipped == []


@pytest.mark.parametrize(
    ("image", "problem"),
    [
        ({"file_name": "../outside.png"}, "../outside.png lies outside the data set's folder"),
        ({"file_name": "/etc/hostname"}, "lies outside"),
        ({"file_name": "deep/../../outside.png"}, "lies outside"),
        ({"file_name": "link.png"}, "lies outside"),
        ({"file_name": "..\\outside.png"}, "lies outside"),
        ({"file_name": "gone.png"}, "gone.png does not exist"),
        ({"file_name": "a\0.png"}, "no name of a file"),
        ({"file_name": ["1.png"]}, "not a name"),
        ({"file_name": "1.png", "width": 10**9, "height": 10**9}, "over the limit"),
        ({"file_name": "1.png", "width": -5, "height": 6}, "a size of -5×6 pixels"),
        ({"id": 1, "file_name": "1.png"}, "another image has the id 1"),
    ],
    ids=str,
)
def test_a_bad_image_is_named(tmp_path: Path, write_images: WriteImages, image: dict[str, Any], problem: str) -> None:
    write_images(tmp_path, ["outside.png", "data/1.png"])
    folder = tmp_path / "data"
    (folder / "link.png").symlink_to(tmp_path / "outside.png")
    images = [{"id": 1, "file_name": "1.png"}, {"id": 2} | image]
    dataset = coco(folder, [{"bbox": [1, 2, 3, 4]}], images=images)
    assert list(boxes(dataset)) == ["1.png"]
    ((where, error),) = errors(dataset).items()
    assert where == f"labels.json, image {image.get('id', 2)}"
    assert problem in error


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"images": [', "not readable JSON"),
        ('{"images":' + "[" * 100_000, "lists within lists without end"),
        ('{"images": [], "annotations": []}', "no usable record"),
        ('{"images": 7, "annotations": []}', "images is 7, not a list"),
        ('{"images": [' + "9" * 5000 + '], "annotations": []}', "not readable JSON"),
    ],
    ids=["cut short", "deep", "empty", "no list", "a long number"],
)
def test_a_file_that_cannot_be_used(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "labels.json"
    file.write_text(text)
    for given in (tmp_path, file):
        with pytest.raises(UserError, match=f"^{file}: ") as caught:
            open_dataset(given, "coco")
        assert problem in str(caught.value)


def test_runs_of_other_programs() -> None:
    # Each pixel of a 4×3 mask by hand: columns 0011, 0110, 1000.
    from svertka.data.files.runs import extent_of, read_runs, runs_of

    runs = (2, 2, 1, 2, 1, 1, 3)
    assert read_runs({"size": [4, 3], "counts": list(runs)}, (4, 3)) == (runs, (4, 3))
    # 2 2 1, then differences to the last but one: 2-2, 1-1, 1-2, 3-1.
    assert read_runs({"size": [4, 3], "counts": "22100O2"}, None) == (runs, (4, 3))
    assert extent_of(runs, (4, 3)) == (0, 0, 3, 4)
    import numpy as np

    mask = np.array([[0, 0, 1], [0, 1, 0], [1, 1, 0], [1, 0, 0]], np.bool_)
    assert runs_of(mask) == runs
    assert runs_of(np.ones((2, 2), np.bool_)) == (0, 4)
    assert runs_of(np.zeros((2, 2), np.bool_)) == (4,)


# --- VOC ----------------------------------------------------------------------------------------------------------


def test_real_blood_cells(shared_data: Path) -> None:
    dataset = open_dataset(shared_data / "bccd")
    assert dataset.format == "Pascal VOC"
    assert {part: len(samples) for part, samples in dataset.parts.items()} == {"train": 205, "val": 87, "test": 72}
    found = boxes(dataset)
    assert Counter(box.label for chosen in found.values() for box in chosen) == {
        "RBC": 4155,
        "WBC": 372,
        "Platelets": 361,
    }
    empty = {
        name: sides(box)
        for name, chosen in found.items()
        for box in chosen
        if box.left == box.right or box.top == box.bottom
    }
    assert empty == {
        "JPEGImages/BloodImage_00338.jpg": (504, 337, 504, 337),
        "JPEGImages/BloodImage_00343.jpg": (181, 329, 181, 329),
    }
    assert dataset.skipped == []


BOX = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox>"


def voc(folder: Path, inner: str, before: str = "") -> Dataset:
    (folder / "1.xml").write_text(f"{before}<annotation verified='yes'><filename>1.png</filename>{inner}</annotation>")
    (folder / "2.xml").write_text(f"<annotation><object><name>cat</name>{BOX}</object></annotation>")
    return open_dataset(folder, "voc")


@pytest.mark.parametrize(
    ("inner", "problem"),
    [
        (f"<object><name></name>{BOX}</object>", "the class is empty"),
        (f"<object>{BOX}</object>", "the class is missing"),
        ("<object><name>cat</name></object>", "it has no bndbox"),
        (f"<object><name>cat</name>{BOX.replace('1', 'nan')}</object>", "xmin is 'nan', which is no number"),
        (f"<object><name>cat</name>{BOX.replace('1', '1e999')}</object>", "xmin is '1e999'"),
    ],
)
def test_a_bad_object_of_voc(tmp_path: Path, write_images: WriteImages, inner: str, problem: str) -> None:
    write_images(tmp_path, ["1.png", "2.png"])
    dataset = voc(tmp_path, f"<object><name>dog</name>{BOX}</object>{inner}")
    assert [box.label for box in boxes(dataset)["1.png"]] == ["dog"]
    ((where, error),) = errors(dataset).items()
    assert where == "1.xml, object 2"
    assert problem in error


LAUGHS = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))


@pytest.mark.parametrize(
    ("before", "inner", "problem"),
    [
        (f'<!DOCTYPE a [<!ENTITY a0 "ha">{LAUGHS}]>', "<folder>&a9;</folder>", "a document type"),
        ('<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>', "<folder>&b;</folder>", "a document type"),
        ('<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd">', "", "a document type"),
        ("", "<object>", "not readable XML"),
        ('<?xml version="1.0" encoding="klingon"?>', "", "not readable XML"),
        ("", "<a>" * 100_000 + "</a>" * 100_000, None),
        ("", "<size><width>1000000000</width><height>1000000000</height></size>", "over the limit"),
    ],
    ids=["billion laughs", "external entity", "external DTD", "cut short", "encoding", "deep", "huge size"],
)
def test_hostile_xml(tmp_path: Path, write_images: WriteImages, before: str, inner: str, problem: str | None) -> None:
    write_images(tmp_path, ["1.png", "2.png"])
    dataset = voc(tmp_path, inner, before)
    assert len(boxes(dataset)["2.png"]) == 1
    if problem is None:
        assert boxes(dataset)["1.png"] == []
        return
    ((where, error),) = errors(dataset).items()
    assert where == "1.xml"
    assert problem in error


def test_what_no_list_names_is_left_out_and_noted(tmp_path: Path, soak: ModuleType) -> None:
    soak.write_voc(tmp_path)
    (tmp_path / "ImageSets/Main/val.txt").write_text("a\ngone\n")
    dataset = open_dataset(tmp_path)
    assert list(dataset.parts) == ["train"]
    assert any("1 file stands in no list" in note for note in dataset.notes)
    assert errors(dataset) == {
        "ImageSets/Main/val.txt, line 1": "a is in train already",
        "the list of val, gone": "it has no XML file",
    }


# --- YOLO ---------------------------------------------------------------------------------------------------------


def test_yolo_boxes_and_outlines(tmp_path: Path, soak: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    soak.write_yolo(tmp_path)
    monkeypatch.chdir(tmp_path)
    dataset = open_dataset(tmp_path)
    found = boxes(dataset)
    assert [(box.label, sides(box)) for box in found["images/train/1.png"]] == [("cat", (9, 4, 15, 12))]
    (outlined,) = found["images/train/2.png"]
    assert outlined.polygons[0] == pytest.approx((2.4, 1.6, 21.6, 1.6, 12, 12.8))
    assert found["images/val/3.png"] == []
    assert "what the YAML says under 'download' is not heeded" in dataset.notes
    assert not (tmp_path / "ran").exists()


def test_boxes_are_those_of_the_upright_image(tmp_path: Path, soak: ModuleType) -> None:
    soak.write_yolo(tmp_path)
    file = tmp_path / "images/train/1.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    Image.new("RGB", (24, 16)).save(file, exif=exif)
    (tmp_path / "images/train/1.png").unlink()
    assert [sides(box) for box in boxes(open_dataset(tmp_path))["images/train/1.jpg"]] == [(6, 6, 10, 18)]


@pytest.mark.parametrize("layout", ["{part}/{kind}/{name}", "{kind}/{part}/{name}"])
@pytest.mark.parametrize("valid", ["val", "valid"])
def test_layouts_of_yolo(tmp_path: Path, write_images: WriteImages, layout: str, valid: str) -> None:
    for part in ("train", valid):
        write_images(tmp_path, [layout.format(part=part, kind="images", name="1.png")])
        text = tmp_path / layout.format(part=part, kind="labels", name="1.txt")
        text.parent.mkdir(parents=True)
        text.write_text("0 0.5 0.5 1 1\n")
    guessed = open_dataset(tmp_path)
    assert {part: len(samples) for part, samples in guessed.parts.items()} == {"train": 1, "val": 1}
    # As Roboflow writes it, which is wrong by a folder.
    places = {
        part: layout.format(part=folder, kind="images", name="").rstrip("/")
        for part, folder in (("train", "train"), ("val", valid))
    }
    (tmp_path / "data.yaml").write_text(f"train: ../{places['train']}\nval: ../{places['val']}\nnc: 1\nnames: ['no']\n")
    named = open_dataset(tmp_path)
    assert {part: len(samples) for part, samples in named.parts.items()} == {"train": 1, "val": 1}
    assert {box.label for found in boxes(named).values() for box in found} == {"no"}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("5 0.5 0.5 1 1", "the class 5 has no name"),
        ("0 0.5 nan 1 1", "no number"),
        ("0 0.5 0.5 1", "neither a box nor an outline"),
        ("0.5 0.5 0.5 1 1", "no whole number"),
        ("cat 0.5 0.5 1 1", "no number"),
        ("0 " + "0.5 " * 7, "neither a box nor an outline"),
    ],
)
def test_a_bad_line_of_yolo(tmp_path: Path, soak: ModuleType, line: str, problem: str) -> None:
    soak.write_yolo(tmp_path)
    (tmp_path / "labels/train/1.txt").write_text(f"0 0.5 0.5 1 1\n{line}\n")
    dataset = open_dataset(tmp_path)
    assert len(boxes(dataset)["images/train/1.png"]) == 1
    ((where, error),) = errors(dataset).items()
    assert where == "labels/train/1.txt, line 2"
    assert problem in error


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("names: !!python/object/apply:os.system ['touch ran']\ntrain: images/train\n", "the tag"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nnames: *b\ntrain: images/train\n", "anchors"),
        ("names: " + "[" * 5000, "YAML"),
        ("names: cat\ntrain: images/train\n", "neither a list nor a table"),
        ("names: {a: cat}\ntrain: images/train\n", "no number"),
        ("train: images/train\nnames:\n" + "- cat\n" * 12_000, "over the limit"),
    ],
    ids=["tag", "anchors", "deep", "names", "number", "huge"],
)
def test_hostile_yaml(
    tmp_path: Path, soak: ModuleType, monkeypatch: pytest.MonkeyPatch, text: str, problem: str
) -> None:
    soak.write_yolo(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(UserError, match=r"data\.yaml: ") as caught:
        open_dataset(tmp_path / "data.yaml", "yolo")
    assert problem in str(caught.value)
    assert not (tmp_path / "ran").exists()


def test_folders_of_a_yaml_stay_inside(tmp_path: Path, soak: ModuleType) -> None:
    soak.write_yolo(tmp_path / "other")
    soak.write_yolo(tmp_path / "data")
    (tmp_path / "data/data.yaml").write_text(
        f"train: {tmp_path}/other/images/train\nval: images/val\nnames: [cat, dog]\n"
    )
    dataset = open_dataset(tmp_path / "data")
    assert list(boxes(dataset)) == ["images/val/3.png"]
    assert any("lies outside the data set's folder" in note for note in dataset.notes)


# --- Label Studio, CVAT, LabelMe, CSV -----------------------------------------------------------------------------


def test_label_studio(tmp_path: Path, soak: ModuleType) -> None:
    soak.write_label_studio(tmp_path)
    plain, turned, polygon = boxes(open_dataset(tmp_path))["1.png"]
    assert sides(plain) == pytest.approx((2.4, 3.2, 14.4, 7.2))
    # 12 × 4 pixels, turned by 30° about the upper left corner.
    assert sides(turned) == pytest.approx((2.4 - 2, 3.2, 2.4 + 12 * 0.8660254, 3.2 + 6 + 4 * 0.8660254))
    assert polygon.polygons[0] == pytest.approx((2.4, 1.6, 21.6, 1.6, 12, 12.88))


def test_choices_of_label_studio_are_classes(tmp_path: Path, write_images: WriteImages) -> None:
    write_images(tmp_path, ["1.png", "2.png"])

    def task(name: str, *choices: str) -> dict[str, Any]:
        result = [{"type": "choices", "value": {"choices": list(choices)}}]
        return {"data": {"image": f"https://host/{name}?key=1"}, "annotations": [{"result": result}]}

    (tmp_path / "export.json").write_text(json.dumps([task("1.png", "cat"), task("2.png", "dog")]))
    assert [sample.annotation for sample in open_dataset(tmp_path).parts["all"]] == ["cat", "dog"]
    (tmp_path / "export.json").write_text(json.dumps([task("1.png", "cat"), task("2.png", "dog", "cat")]))
    assert [sample.annotation for sample in open_dataset(tmp_path).parts["all"]] == [("cat",), ("cat", "dog")]


def test_cvat(tmp_path: Path, soak: ModuleType) -> None:
    soak.write_cvat(tmp_path)
    dataset = open_dataset(tmp_path)
    assert list(dataset.parts) == ["train", "val"]
    turned, polygon, ellipse, mask = boxes(dataset)["1.png"]
    assert len(turned.polygons[0]) == 8
    assert sides(polygon) == (1, 1, 9, 8.5)
    assert sides(ellipse) == (6, 7, 12, 11)
    # Columns 3 and 4 of row 3, in an image of 16 × 24.
    assert mask.runs == (3 * 16 + 3, 1, 15, 1, 16 * 24 - 4 * 16 - 4)
    assert sides(mask) == (2, 3, 6, 5)


def test_a_cvat_file_that_breaks_off_gives_what_came_before(tmp_path: Path, soak: ModuleType) -> None:
    soak.write_cvat(tmp_path)
    file = tmp_path / "annotations.xml"
    text = file.read_text()
    file.write_text(text[: text.index('<image id="2"') + 40])
    dataset = open_dataset(tmp_path)
    assert list(boxes(dataset)) == ["1.png"]
    assert "not readable XML" in errors(dataset)["annotations.xml, what follows image 1"]


def test_labelme(tmp_path: Path, soak: ModuleType) -> None:
    soak.write_labelme(tmp_path)
    found = boxes(open_dataset(tmp_path))["1.png"]
    assert [sides(box) for box in found] == [(1, 1, 9, 8.5), (1, 2, 9, 12), (6, 5, 12, 11)]


def test_a_csv_of_boxes(tmp_path: Path, soak: ModuleType) -> None:
    soak.write_csv(tmp_path)
    dataset = open_dataset(tmp_path / "labels.csv")
    assert dataset.format == "CSV of boxes"
    assert {name: [sides(box) for box in found] for name, found in boxes(dataset).items()} == {
        "1.png": [(1, 2, 9.5, 12)],
        "2.png": [],
    }


def test_a_bad_line_of_a_csv_of_boxes(tmp_path: Path, soak: ModuleType) -> None:
    soak.write_csv(tmp_path)
    with (tmp_path / "labels.csv").open("a") as file:
        file.write("1.png,cat,1,2,nan,4,train\n1.png,cat,1,2,3,4,val\n../x.png,cat,1,2,3,4,val\n2.png,,1,,,,val\n")
    told = errors(open_dataset(tmp_path / "labels.csv"))
    assert list(told) == [f"labels.csv, line {line}" for line in (4, 5, 6, 7)]
    assert [error.split("; ")[0] for error in told.values()] == [
        "right is 'nan', which is no number",
        "1.png is in train already",
        "../x.png lies outside the data set's folder",
        "top is '', which is no number",
    ]


def test_an_unknown_format(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown format 'cocoa'; did you mean coco") as caught:
        open_dataset(tmp_path, "cocoa")
    assert caught.value.where is None  # it is no fault of the data

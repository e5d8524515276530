"""The class list of a source, its order and its unused classes too, goes through every conversion."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import svertka
from svertka.annotations import Annotation, Box, Boxes, Mask
from svertka.data.readers.masks import MaskFile
from svertka.data.readers.reading import open_dataset
from svertka.data.samples import Dataset, ImageFile, Sample
from svertka.data.writers.writing import LAYOUTS, write_dataset

WriteImages = Callable[..., None]
NAMES = ("person", "bicycle", "car", "zebra", "apple", "2", "10")

QUICKLY = settings(
    max_examples=15,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
place = st.integers(0, 4)
objects = st.builds(
    lambda label, left, top, across, down: Box(label, left, top, left + across, top + down),
    *(st.sampled_from(NAMES), place, place, st.integers(1, 4), st.integers(1, 4)),
)
ANNOTATIONS: dict[str, st.SearchStrategy[Annotation]] = {
    "folders": st.sampled_from(NAMES),
    "coco": st.lists(objects, max_size=3).map(lambda boxes: Boxes(tuple(boxes))),
    "voc": st.lists(objects, max_size=3).map(lambda boxes: Boxes(tuple(boxes))),
    "yolo": st.lists(objects, max_size=3).map(lambda boxes: Boxes(tuple(boxes))),
    "csv": st.lists(objects, max_size=3).map(lambda boxes: Boxes(tuple(boxes))),
    "csv of classes": st.sampled_from(NAMES),
    "csv of labels": st.lists(st.sampled_from(NAMES), unique=True, max_size=3).map(lambda names: tuple(sorted(names))),
    "masks": st.sampled_from(NAMES),
}


def contents(dataset: Dataset) -> dict[tuple[str, str], Any]:
    """Annotations by part and stem."""
    found: dict[tuple[str, str], Any] = {}
    for part, samples in dataset.parts.items():
        for sample in samples:
            told: Any = sample.annotation
            if isinstance(told, Boxes):
                told = [
                    (box.label, *(round(s, 2) for s in (box.left, box.top, box.right, box.bottom)))
                    for box in told.boxes
                ]
            elif isinstance(told, Mask):
                told = [told.names[number] for number in told.source.load().ravel().tolist()]
            elif isinstance(told, tuple):
                told = sorted(told)
            found[part, Path(sample.name).stem] = told
    return found


def test_every_layout_is_tried() -> None:
    assert {name.split()[0] for name in ANNOTATIONS} == set(LAYOUTS)


@pytest.mark.parametrize("name", ANNOTATIONS)
@QUICKLY
@given(data=st.data())
def test_what_is_written_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("round")
    parts = data.draw(st.sampled_from([["all"] * 4, ["train", "train", "val", "test"], ["train", "val", "val", "val"]]))
    found = data.draw(st.lists(ANNOTATIONS[name], min_size=4, max_size=4))
    classes = tuple(data.draw(st.permutations(NAMES)))
    dataset = Dataset(folder, "made up", {}, classes=classes)
    for number, (part, annotation) in enumerate(zip(parts, found, strict=True)):
        Image.new("RGB", (9, 8), (number, 0, 0)).save(folder / f"{number}.png")
        if name == "masks":
            pixels = np.full((8, 9), classes.index(str(annotation)), np.uint8)
            Image.fromarray(pixels).save(folder / f"mask{number}.png")
            keys = tuple(range(len(classes)))
            annotation = Mask(MaskFile(folder / f"mask{number}.png", keys, keys), classes)
        sample = Sample(f"{number}.png", ImageFile(folder / f"{number}.png"), annotation)
        dataset.parts.setdefault(part, []).append(sample)
    written = write_dataset(dataset, folder / "out", name.split()[0])
    for entry in {written.entry, folder / "out"}:  # the folder too, where a file in it is named
        again = open_dataset(entry)
        assert again.skipped == []
        assert again.unread == ()
        assert contents(again) == contents(dataset)
        assert again.class_list() == classes


def test_a_chain_of_conversions_keeps_the_list(tmp_path: Path, write_images: WriteImages) -> None:
    write_images(tmp_path / "data", ["images/1.png", "images/2.png"])
    (tmp_path / "data/labels").mkdir()
    (tmp_path / "data/labels/1.txt").write_text("6 0.5 0.5 0.5 0.5\n")
    (tmp_path / "data/labels/2.txt").write_text("0 0.5 0.5 0.5 0.5\n3 0.5 0.5 0.5 0.5\n")
    (tmp_path / "data/data.yaml").write_text(f"train: images\nval: images\nnames: {json.dumps(NAMES)}\n")
    source = tmp_path / "data"
    for step, name in enumerate(("voc", "csv", "coco", "yolo", "yolo")):
        converted = svertka.convert(source, tmp_path / f"{step}", format=name, progress=False)
        assert converted.classes == NAMES
        source = converted.data
    lines = {file.name: file.read_text().split()[::5] for file in (source / "labels").iterdir()}
    assert lines == {"1.txt": ["6"], "2.txt": ["0", "3"]}


def test_ids_of_coco_stay(tmp_path: Path, write_images: WriteImages) -> None:
    write_images(tmp_path / "data", ["1.png"])
    categories = [{"id": 90, "name": "toothbrush"}, {"id": 0, "name": "person"}, {"id": 13, "name": "stop sign"}]
    told = {
        "images": [{"id": 7, "file_name": "1.png"}],
        "categories": categories,
        "annotations": [{"id": 1, "image_id": 7, "category_id": 0, "bbox": [0, 0, 2, 2]}],
    }
    (tmp_path / "data/boxes.json").write_text(json.dumps(told))
    svertka.convert(tmp_path / "data", tmp_path / "out", format="coco", progress=False)
    written = json.loads((tmp_path / "out/annotations/instances_all.json").read_text())
    assert [{"id": one["id"], "name": one["name"]} for one in written["categories"]] == categories
    assert written["annotations"][0]["category_id"] == 0


def test_classes_without_names_keep_their_numbers(tmp_path: Path, write_images: WriteImages) -> None:
    write_images(tmp_path / "data", ["images/1.png"])
    (tmp_path / "data/labels").mkdir()
    (tmp_path / "data/labels/1.txt").write_text("17 0.5 0.5 0.5 0.5\n")
    svertka.convert(tmp_path / "data", tmp_path / "out", format="yolo", progress=False)
    assert (tmp_path / "out/labels/1.txt").read_text().startswith("17 ")


def test_a_class_list_that_lacks_a_label_is_another(tmp_path: Path, write_images: WriteImages) -> None:
    write_images(tmp_path, ["cat/1.png", "dog/1.png"])
    (tmp_path / "classes.txt").write_text("dog\n")
    assert open_dataset(tmp_path).classes == ()
    (tmp_path / "classes.txt").write_text("dog\nox\ncat\n")
    dataset = open_dataset(tmp_path)
    assert dataset.classes == ("dog", "ox", "cat")
    assert dataset.unused_classes() == ("ox",)
    (found,) = [item for item in svertka.check(tmp_path, progress=False).findings if item.kind == "unused_classes"]
    assert list(found.files) == ["ox"]


def test_texts_without_an_image_are_named(tmp_path: Path, write_images: WriteImages) -> None:
    write_images(tmp_path / "data", ["images/train/1.png", "images/more/2.png"])
    for name in ("train/1", "train/alone", "more/2", "val/gone"):
        text = tmp_path / "data/labels" / f"{name}.txt"
        text.parent.mkdir(parents=True, exist_ok=True)
        text.write_text("0 0.5 0.5 0.5 0.5\n")
    (tmp_path / "data/labels/classes.txt").write_text("cat\n")
    (tmp_path / "data/README.txt").write_text("Made by hand.\n")
    converted = svertka.convert(tmp_path / "data", tmp_path / "out", format="yolo", progress=False).to_json()
    assert converted["skipped"] == [
        {"file": "labels/train/alone.txt", "error": "no image of that name"},
        {"file": "labels/val/gone.txt", "error": "no image of that name"},
    ]
    assert converted["unused"] == ["images/more/2.png"]
    assert converted["classes"] == ["cat"]
    (found,) = [
        item
        for item in svertka.check(tmp_path / "data", progress=False).findings
        if item.kind == "annotations_without_image"
    ]
    assert found.count == 2

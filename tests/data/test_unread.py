"""Whatever an annotation file states and its reader does not take is counted and named, in every reader."""

from __future__ import annotations

import base64
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from PIL import Image

import svertka
from svertka.annotations import Boxes
from svertka.data.readers.reading import open_dataset

Plant = Callable[[Path], object]


def _json(path: Path, change: Callable[[Any], None]) -> None:
    told = json.loads(path.read_text())
    change(told)
    path.write_text(json.dumps(told))


def _text(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1))


def _coco(change: Callable[[Any], None]) -> Plant:
    return lambda folder: _json(folder / "annotations/instances_val2017.json", change)


def _result(task: int, result: dict[str, Any]) -> Plant:
    return lambda folder: _json(
        folder / "export.json", lambda told: told[task]["annotations"][0]["result"].append(result)
    )


def _labelme(change: Callable[[Any], Any]) -> Plant:
    return lambda folder: _json(folder / "1.json", change)


def _cvat(before: str, after: str) -> Plant:
    return lambda folder: _text(folder / "annotations.xml", before, after)


def _voc(before: str, after: str) -> Plant:
    return lambda folder: _text(folder / "Annotations/a.xml", before, after)


def _member(name: str, data: bytes) -> Plant:
    def plant(folder: Path) -> None:
        with tarfile.open(folder / "train-000.tar", "a") as archive:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))

    return plant


def _column(folder: Path) -> None:
    (folder / "labels.csv").write_text("file,label,planted\n1.png,cat,x\n2.png,dog,\n")


PLANTED: list[tuple[str, Plant, str]] = [
    ("coco", _coco(lambda told: told["annotations"][0].update(planted=0)), "'planted' of an annotation"),
    ("coco", _coco(lambda told: told["annotations"][0].update(attributes={"planted": 1})), "'attributes.planted' of"),
    ("coco", _coco(lambda told: told["annotations"][0].update(score=0.5)), "'score' of an annotation"),
    ("coco", _coco(lambda told: told["images"][0].update(planted=[1])), "'planted' of an image"),
    ("coco", _coco(lambda told: told["categories"][0].update(planted="x")), "'planted' of a category"),
    ("coco", _coco(lambda told: told.update(planted={"a": 1})), "'planted.a' of the file"),
    ("voc", _voc("<name>", "<planted>x</planted><name>"), "'planted' of an object"),
    ("voc", _voc("<name>", "<truncated>1</truncated><name>"), "'truncated' of an object"),
    ("voc", _voc("<name>", "<part><name>head</name></part><name>"), "'part' of an object"),
    ("voc", _voc("<size>", "<planted>x</planted><size>"), "'planted' of an image"),
    ("voc", _voc("<xmin>", "<planted>x</planted><xmin>"), "'planted' of a bndbox"),
    ("yolo", lambda folder: _text(folder / "data.yaml", "names:", "planted: [1]\nnames:"), "'planted' of the YAML"),
    ("yolo", lambda folder: _text(folder / "labels/train/1.txt", "0.5\n", "0.5 0.9\n"), "a score after a box"),
    ("label_studio", _result(0, {"type": "choices", "value": {"choices": ["x"]}}), "label 'x' of a whole image"),
    ("label_studio", _result(0, {"type": "choices", "value": {"x": 1, "choices": ["x"]}}), "choice 'x' of an object"),
    ("label_studio", _result(0, {"type": "textarea", "value": {"text": ["x"]}}), "result of type 'textarea'"),
    ("label_studio", _result(0, {"type": "relation", "from_id": "a", "to_id": "b"}), "result of type 'relation'"),
    (
        "label_studio",
        lambda folder: _json(folder / "export.json", lambda told: told[0].update(predictions=[{"x": 1}])),
        "'predictions' of a task",
    ),
    (
        "label_studio",
        lambda folder: _json(folder / "export.json", lambda told: told[0]["annotations"][0].update(planted="x")),
        "'planted' of an annotation",
    ),
    (
        "label_studio",
        lambda folder: _json(
            folder / "export.json",
            lambda told: told[0]["annotations"][0]["result"][0]["value"]["rectanglelabels"].append("second"),
        ),
        "label 'second' of an object",
    ),
    ("cvat", _cvat("<box ", '<box planted="x" '), "'planted' of a box"),
    ("cvat", _cvat("<box ", '<box occluded="1" '), "'occluded' of a box"),
    ("cvat", _cvat("<polygon ", '<tag label="wet"/><polygon '), "label 'wet' of a whole image"),
    (
        "cvat",
        _cvat('rotation="10"/>', 'rotation="10"><attribute name="colour">red</attribute></box>'),
        "attribute 'colour' of a box",
    ),
    ("cvat", _cvat("<image ", '<image planted="x" '), "'planted' of an image"),
    ("labelme", _labelme(lambda told: told.update(flags={"wet": True, "dry": False})), "label 'wet' of a whole image"),
    ("labelme", _labelme(lambda told: told.update(planted="x")), "'planted' of an image"),
    ("labelme", _labelme(lambda told: told["shapes"][0].update(flags={"hard": True})), "'flags.hard' of a shape"),
    ("labelme", _labelme(lambda told: told["shapes"][0].update(group_id=3)), "'group_id' of a shape"),
    ("csv", _column, "'planted' of a record"),
    (
        "label columns",
        lambda folder: (folder / "train/_classes.csv").write_text("filename,dog,planted,cat\ntrain.png,1,x,0\n"),
        "'planted' of a record",
    ),
    (
        "createml",
        lambda folder: _json(
            folder / "train/_annotations.createml.json", lambda told: told[0]["annotations"][0].update(planted=1)
        ),
        "'planted' of an annotation",
    ),
    (
        "panoptic",
        lambda folder: _json(
            folder / "annotations/panoptic_val2017.json",
            lambda told: told["annotations"][0]["segments_info"][0].update(planted=1),
        ),
        "'planted' of a segment",
    ),
    ("cvat video", _cvat('<track id="1"', '<track planted="x" id="1"'), "'planted' of a track"),
    (
        "label studio min",
        lambda folder: _json(folder / "min.json", lambda told: told[0].update(planted="x")),
        "'planted' of a task",
    ),
    ("metadata csv", lambda _: None, "'more' of a record"),
    ("shards", _member("00.json", b'{"label": 1}'), "file '.json' of a sample"),
    ("shards", _member("01.txt", b"wet"), "file '.txt' of a sample"),
]


@pytest.mark.parametrize(("format_", "plant", "what"), PLANTED, ids=[f"{name}: {what}" for name, _, what in PLANTED])
def test_what_is_planted_is_reported(tmp_path: Path, soak: ModuleType, format_: str, plant: Plant, what: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    soak.SETS[format_][1](data)
    before = {item.what for item in open_dataset(data).unread}
    if format_ != "metadata csv":
        assert before == set() or format_ == "shards"
    plant(data)
    dataset = open_dataset(data)
    (found,) = [item for item in dataset.unread if what in item.what]
    assert found.count == (1 if format_ != "metadata csv" else found.count)
    assert found.first
    assert dataset.skipped == []
    (noted, *_) = [item for item in svertka.check(data, progress=False).findings if item.kind == "unread_annotations"]
    assert any(what in line for line in noted.files)


@pytest.mark.parametrize("format_", ["parquet", "hugging face"])
def test_columns_of_parquet_are_reported(tmp_path: Path, soak: ModuleType, format_: str) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    soak.SETS[format_][1](tmp_path)
    (file,) = tmp_path.rglob("*.parquet")
    table = pq.read_table(file)
    pq.write_table(table.append_column("planted", pa.array([1] * len(table))), file)
    dataset = open_dataset(tmp_path if format_ != "parquet" else file)
    assert [(item.what, item.count) for item in dataset.unread] == [("column 'planted'", len(table))]


def test_convert_and_train_report_it(tmp_path: Path, soak: ModuleType) -> None:
    soak.write_cvat(tmp_path / "data")
    _text(tmp_path / "data/annotations.xml", "<box ", '<box planted="x" ')
    converted = svertka.convert(tmp_path / "data", tmp_path / "out", format="coco", progress=False)
    assert converted.to_json()["unread"] == [
        {"what": "'planted' of a box", "count": 1, "first": "annotations.xml, image 1, shape 1"}
    ]
    assert "in the annotations and not read: 'planted' of a box (1)" in converted.notes
    from svertka.data.preparing import prepare
    from svertka.runtime.preprocess import Preprocess

    preprocess = Preprocess(height=8, width=8, channels=3, mean=(0,) * 3, std=(1,) * 3)
    assert converted.notes[0] in prepare(tmp_path / "data", preprocess, val_fraction=0, seed=0).notes


def test_a_million_names_stay_bounded(tmp_path: Path, soak: ModuleType) -> None:
    soak.write_labelme(tmp_path)
    _json(tmp_path / "1.json", lambda told: told.update({f"name {number}": 1 for number in range(3000)}))
    unread = open_dataset(tmp_path).unread
    assert len(unread) <= 501
    assert sum(item.count for item in unread) == 3000


REFUSED: list[tuple[str, Plant, str]] = [
    ("cvat", _cvat("<polygon ", '<polygon rotation="5" '), "a polygon with a rotation"),
    ("cvat", _cvat("<mask ", '<mask rotation="5" '), "a mask with a rotation"),
    ("cvat", _cvat("<polygon ", '<polyline label="x" points="1,1;2,2"/><polygon '), "'polyline'"),
    ("cvat", _cvat("<polygon ", '<cuboid label="x"/><polygon '), "'cuboid'"),
    ("cvat", _cvat("<polygon ", '<skeleton label="x"/><polygon '), "'skeleton'"),
    ("coco", _coco(lambda told: told["annotations"][0].update(attributes={"rotation": 30.0})), "rotation 30.0"),
    ("coco", _coco(lambda told: told["annotations"][0].update(bbox=[1, 2, 3, 4, 30])), "bbox has 5 numbers"),
    ("voc", _voc("<bndbox>", "<bndbox><angle>0.5</angle>"), "angle '0.5'"),
    ("labelme", _labelme(lambda told: told["shapes"][0].update(shape_type="linestrip")), "'linestrip' of 3 points"),
    ("labelme", _labelme(lambda told: told["shapes"][1].update(shape_type="line")), "'line' of 2 points"),
    ("labelme", _labelme(lambda told: told["shapes"][1].update(shape_type="ellipse")), "'ellipse' of 2 points"),
    ("labelme", _labelme(lambda told: told["shapes"][1].update(rotation=0.3)), "rotation 0.3"),
    ("label_studio", _result(0, {"type": "brushlabels", "value": {"rle": [1]}}), "'brushlabels'"),
    ("label_studio", _result(0, {"type": "rectangle", "value": {"x": 1, "y": 1}}), "'rectangle'"),
    (
        "label_studio",
        lambda folder: _json(
            folder / "export.json", lambda told: told[0]["annotations"][0]["result"][0].update(image_rotation=90)
        ),
        "image_rotation 90",
    ),
]


@pytest.mark.parametrize(("format_", "plant", "what"), REFUSED, ids=[f"{name}: {what}" for name, _, what in REFUSED])
def test_geometry_that_is_not_applied_is_refused_by_name(
    tmp_path: Path, soak: ModuleType, format_: str, plant: Plant, what: str
) -> None:
    soak.SETS[format_][1](tmp_path)
    plant(tmp_path)
    ((error),) = [item.error for item in open_dataset(tmp_path).skipped]
    assert what in error


def test_an_ellipse_of_cvat_is_turned(tmp_path: Path, soak: ModuleType) -> None:
    soak.write_cvat(tmp_path)
    _text(tmp_path / "annotations.xml", 'rx="3" ry="2"', 'rx="3" ry="2" rotation="90"')
    annotation = open_dataset(tmp_path).parts["train"][0].annotation
    assert isinstance(annotation, Boxes)
    ellipse = annotation.boxes[2]
    assert (ellipse.left, ellipse.top, ellipse.right, ellipse.bottom) == pytest.approx((7, 6, 11, 12))


def test_a_mask_of_labelme(tmp_path: Path, soak: ModuleType) -> None:
    soak.write_labelme(tmp_path)
    picture = Image.new("L", (3, 2))
    picture.putdata([1, 1, 0, 0, 1, 1])
    file = io.BytesIO()
    picture.save(file, "PNG")
    shape = {"label": "m", "shape_type": "mask", "points": [[4, 5], [6, 6]]}
    encoded = base64.b64encode(file.getvalue()).decode()
    _json(tmp_path / "1.json", lambda told: told["shapes"].append(shape | {"mask": encoded}))
    _json(tmp_path / "2.json", lambda told: told["shapes"].append(shape | {"mask": "&"}))
    dataset = open_dataset(tmp_path)
    annotation = dataset.parts["all"][0].annotation
    assert isinstance(annotation, Boxes)
    box = annotation.boxes[-1]
    assert (box.left, box.top, box.right, box.bottom) == (4, 5, 7, 7)
    assert box.runs == (4 * 16 + 5, 1, 15, 2, 15, 1, 16 * 24 - 6 * 16 - 7)
    assert [item.error for item in dataset.skipped] == ["the mask is no base64"]

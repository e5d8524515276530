"""Formats that are known by a file's name or keys: what they state, and what is said of those that cannot be read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import svertka
from svertka.annotations import Boxes, Mask
from svertka.data.preparing import learnable_classes, prepare
from svertka.data.readers.reading import open_dataset
from svertka.data.samples import Dataset
from svertka.errors import UserError
from svertka.runtime.preprocess import Preprocess
from svertka.testing import check_reader

WriteImages = Callable[..., None]


def boxes(dataset: Dataset) -> dict[str, list[tuple[Any, ...]]]:
    found: dict[str, list[tuple[Any, ...]]] = {}
    for samples in dataset.parts.values():
        for sample in samples:
            assert isinstance(sample.annotation, Boxes)
            found[sample.name] = [
                (box.label, *map(pytest.approx, (box.left, box.top, box.right, box.bottom)))
                for box in sample.annotation.boxes
            ]
    return found


def labels(dataset: Dataset) -> dict[str, Any]:
    return {sample.name: sample.annotation for samples in dataset.parts.values() for sample in samples}


def test_every_reader_keeps_the_contract(tmp_path: Path, soak: ModuleType) -> None:
    for name, (reader, write, _) in soak.SETS.items():
        if name in ("zip", "tar", "tar.gz"):  # no formats, but what holds one
            continue
        folder = tmp_path / name.replace(" ", "_")
        folder.mkdir()
        write(folder)
        check_reader(reader, folder / soak._FILES.get(name, ""))
        if not name.startswith("metadata"):  # these state what is not read, on purpose
            assert all(item.minor for item in soak.opened(name, folder).unread)


def test_label_columns(tmp_path: Path, soak: ModuleType) -> None:
    soak.write_label_columns(tmp_path)
    dataset = open_dataset(tmp_path)
    assert {part: len(samples) for part, samples in dataset.parts.items()} == {"train": 1, "val": 1}
    assert labels(dataset) == {"train/train.png": ("dog",), "valid/valid.png": ("dog", "cat")}
    assert dataset.classes == ("dog", "cat")
    alone = open_dataset(tmp_path / "valid/_classes.csv")
    assert labels(alone) == {"valid.png": ("dog", "cat")}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("1.png,2,0", "'dog' is '2', neither 0 nor 1"),
        ("1.png,1", "the record ends before 'cat'"),
        ("gone.png,1,0", "gone.png does not exist"),
        ("../1.png,1,0", "lies outside"),
        (",1,0", "the file is empty"),
    ],
)
def test_a_bad_record_of_label_columns(tmp_path: Path, write_images: WriteImages, line: str, problem: str) -> None:
    write_images(tmp_path, ["1.png", "2.png"])
    good = "2.png,1,0\n" * 50  # what a table is is seen by its first records
    (tmp_path / "_classes.csv").write_text(f"filename,dog,cat\n{good}{line}\n")
    ((error),) = [item.error for item in open_dataset(tmp_path).skipped]
    assert problem in error


def test_createml(tmp_path: Path, soak: ModuleType) -> None:
    soak.write_createml(tmp_path)
    dataset = open_dataset(tmp_path)
    assert {part: len(samples) for part, samples in dataset.parts.items()} == {"train": 1, "val": 1}
    assert boxes(dataset)["train/1.png"] == [("cat", 4, 5, 8, 11), ("dog", 4, 5, 8, 11)]
    file = tmp_path / "train/_annotations.createml.json"
    file.write_text(json.dumps([{"image": "1.png", "annotations": [{"label": "cat", "coordinates": {"x": 1}}]}]))
    assert [item.error for item in open_dataset(tmp_path).skipped] == ["y is None, which is no number"]
    for part, number in (("train", 1), ("valid", 2)):
        told = [{"image": f"{number}.png", "annotations": [{"label": part}]}]
        (tmp_path / part / "_annotations.createml.json").write_text(json.dumps(told))
    assert labels(open_dataset(tmp_path)) == {"train/1.png": "train", "valid/2.png": "valid"}


def test_json_min(tmp_path: Path, soak: ModuleType) -> None:
    soak.write_label_studio_min(tmp_path)
    assert boxes(open_dataset(tmp_path)) == {
        "1.png": [("cat", 2.4, 3.2, 14.4, 7.2), ("dog", 9.6, 4.8, 14.4, 11.2)],
        "2.png": [],
    }
    told = [
        {"id": number, "image": f"x/{number}.png", "annotator": 1, "annotation_id": 1, "choice": choice}
        for number, choice in ((1, "cat"), (2, {"choices": ["cat", "dog"]}))
    ]
    (tmp_path / "min.json").write_text(json.dumps(told))
    assert labels(open_dataset(tmp_path)) == {"1.png": ("cat",), "2.png": ("cat", "dog")}
    told = [{"id": 1, "image": "x/1.png", "annotator": 1, "annotation_id": 1, "remark": "x"}]
    (tmp_path / "min.json").write_text(json.dumps(told))
    with pytest.raises(UserError, match=r"min\.json: nothing in this JSON-MIN .* export it from Label Studio as JSON"):
        open_dataset(tmp_path)


def test_tracks_of_cvat(tmp_path: Path, soak: ModuleType) -> None:
    soak.write_cvat_video(tmp_path)
    dataset = open_dataset(tmp_path)
    assert boxes(dataset) == {
        "images/frame_000000.PNG": [("cat", 0, 1, 4, 6)],
        "images/frame_000001.PNG": [("cat", 1, 1, 5, 6), ("dog", 1, 1, 9, 8.5)],
        "images/frame_000002.PNG": [],
    }
    assert dataset.classes == ("dog", "ox", "cat")
    file = tmp_path / "annotations.xml"
    text = file.read_text()
    start = text.index('<box frame="1"')
    file.write_text(text[:start] + text[text.index("<box", start + 1) :])  # the frame between two keyframes
    assert [item.what for item in open_dataset(tmp_path).unread] == ["place of a track in frames between two keyframes"]


def test_tracks_without_frames_are_refused(tmp_path: Path, soak: ModuleType) -> None:
    soak.write_cvat_video(tmp_path)
    for file in (tmp_path / "images").iterdir():
        file.unlink()
    with pytest.raises(UserError, match=r"no images called frame_000000 .*; export the task as"):
        open_dataset(tmp_path)
    (tmp_path / "drive.mp4").write_bytes(b"")
    with pytest.raises(UserError, match=r"its frames are in the video drive\.mp4"):
        open_dataset(tmp_path)
    file = tmp_path / "annotations.xml"
    file.write_text(file.read_text().replace("<task>", "<task></task><task>"))
    with pytest.raises(UserError, match="tracks of several tasks"):
        open_dataset(tmp_path)


def test_panoptic(tmp_path: Path, soak: ModuleType) -> None:
    soak.write_panoptic(tmp_path)
    dataset = open_dataset(tmp_path)
    ((name, mask),) = labels(dataset).items()
    assert name == "val2017/1.jpg"
    assert list(dataset.parts) == ["val"]
    assert isinstance(mask, Mask)
    assert mask.names == ("sky", "ox", "cat")
    pixels = mask.source.load()
    expected = np.full(pixels.shape, 255)
    expected[2:6, 3:9], expected[6:9, 3:9] = 2, 0
    np.testing.assert_array_equal(pixels, expected)
    from svertka.data.writers.writing import write_dataset

    again = open_dataset(write_dataset(dataset, tmp_path / "out", "masks").entry)
    ((_, other),) = labels(again).items()
    assert other.names == mask.names
    np.testing.assert_array_equal(other.source.load(), pixels)


def test_labels_of_coco_without_a_place(tmp_path: Path, write_images: WriteImages) -> None:
    write_images(tmp_path, ["1.png", "2.png"])
    told = {
        "images": [{"id": number, "file_name": f"{number}.png"} for number in (1, 2)],
        "categories": [{"id": 3, "name": "dog"}, {"id": 1, "name": "cat"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 3},
            {"id": 2, "image_id": 2, "category_id": 1, "bbox": [], "segmentation": []},
        ],
    }
    (tmp_path / "labels.json").write_text(json.dumps(told))
    assert labels(open_dataset(tmp_path)) == {"1.png": "dog", "2.png": "cat"}


@pytest.mark.parametrize(
    ("format_", "name", "text"),
    [
        ("coco", "instances.json", '{"images": [], "annotations": [], "categories": []}'),
        ("coco_panoptic", "panoptic.json", '{"images": [], "annotations": [], "segments_info": []}'),
        ("createml", "_annotations.createml.json", '[{"image": "gone.png", "annotations": [{"label": "a"}]}]'),
        (
            "cvat",
            "annotations.xml",
            '<annotations><image id="0" name="gone.png"/></annotations>',
        ),
        ("label_studio", "tasks.json", '[{"id": 1, "data": {"image": "gone.png"}, "annotations": []}]'),
        ("label_columns", "_classes.csv", "filename,cat,dog\ngone.png,1,0\n"),
        ("imagefolder", "_annotations.csv", "filename,class\ngone.png,cat\n"),
        ("imagefolder", "metadata.jsonl", '{"file_name": "gone.png", "label": "cat"}'),
        ("csv", "labels.csv", "file,label\n1.png,\n"),
    ],
)
def test_a_file_without_a_usable_record_is_named(
    tmp_path: Path, write_images: WriteImages, format_: str, name: str, text: str
) -> None:
    write_images(tmp_path, ["1.png", "2.png"])
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=f"^{tmp_path / name}: .*no usable record"):
        open_dataset(tmp_path, format_)


def test_a_file_without_annotations_is_named(tmp_path: Path, write_images: WriteImages) -> None:
    data = tmp_path / "data"
    write_images(data, ["1.png", "2.png"])
    images = [{"id": number, "file_name": f"{number}.png"} for number in (1, 2)]
    (data / "labels.json").write_text(json.dumps({"images": images, "annotations": [], "categories": []}))
    with pytest.raises(UserError, match=f"^{data / 'labels.json'}: no image has a box; annotate the objects"):
        learnable_classes(prepare(data, Preprocess(height=4, width=4), val_fraction=0, seed=0))
    zipped = Path(shutil.make_archive(str(data), "zip", data))
    with pytest.raises(UserError, match=f"^{zipped / 'labels.json'}: no image has a box"):
        learnable_classes(prepare(zipped, Preprocess(height=4, width=4), val_fraction=0, seed=0))


def test_a_table_of_boxes_in_each_part(tmp_path: Path, write_images: WriteImages) -> None:
    for part in ("train", "valid"):
        write_images(tmp_path, [f"{part}/{part}.png"])
        text = f"filename,width,height,class,xmin,ymin,xmax,ymax\n{part}.png,5,6,cat,1,2,3,4\n"
        (tmp_path / part / "_annotations.csv").write_text(text)
    dataset = open_dataset(tmp_path)
    assert {part: len(samples) for part, samples in dataset.parts.items()} == {"train": 1, "val": 1}
    assert boxes(dataset)["train.png"] == [("cat", 1, 2, 3, 4)]


@pytest.mark.parametrize(
    ("columns", "rows", "size", "unread"),
    [
        # The images are 5 pixels wide and 6 high.
        ("width,height", ["5,6,1,2,3,4", "5,6,0,0,5,6"], (6, 5), []),
        ("image_width,image_height", ["5.0,6.0,1,2,3,4"], (6, 5), []),
        ("width,height", ["50,60,1,2,3,4"], (60, 50), []),
        ("width,height", ["5,6,1,2,3,4", "50,60,1,2,3,4"], (6, 5), ["another size of the same image"]),
        ("width,height", ["2,2,1,2,3,4"], None, []),  # the box's
        ("width,height", ["0,0,1,2,3,4"], None, []),
        ("width,height", [",,1,2,3,4"], None, []),
        ("width,height", ["0.5,0.5,1,2,3,4"], None, ["'width' of a record", "'height' of a record"]),
        ("width,depth", ["5,3,1,2,3,4"], None, ["'width' of a record", "'depth' of a record"]),
    ],
)
def test_a_table_of_boxes_gives_the_size_of_images(
    tmp_path: Path,
    write_images: WriteImages,
    columns: str,
    rows: list[str],
    size: tuple[int, int] | None,
    unread: list[str],
) -> None:
    write_images(tmp_path, ["1.png"])
    lines = [f"filename,class,{columns},xmin,ymin,xmax,ymax", *(f"1.png,cat,{row}" for row in rows)]
    (tmp_path / "_annotations.csv").write_text("\n".join(lines))
    dataset = open_dataset(tmp_path)
    ((sample,),) = dataset.parts.values()
    assert isinstance(sample.annotation, Boxes)
    assert len(sample.annotation.boxes) == len(rows)
    assert sample.annotation.size == size
    assert [item.what for item in dataset.unread] == unread
    assert dataset.skipped == []
    found = {finding.kind for finding in svertka.check(tmp_path, progress=False).findings}
    assert ("sizes_differ" in found) == (size == (60, 50))


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("via.json", '{"_via_settings": {}}', r"via\.json \(VGG Image Annotator\)"),
        ("train/x.tfrecord", "", r"train/x\.tfrecord \(TFRecord\)"),
        ("boxes.json", '{"a": 1}', r"boxes\.json"),
    ],
)
def test_annotations_of_no_format_that_is_read_are_named(
    tmp_path: Path, write_images: WriteImages, name: str, text: str, told: str
) -> None:
    write_images(tmp_path, ["1.png", "2.png"])
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=f"annotations of no format that is read: {told}; export them as COCO JSON"):
        open_dataset(tmp_path)
    write_images(tmp_path, ["cat/1.png", "dog/1.png"] if "/" not in name else ["train/cat/1.png", "train/dog/1.png"])
    (found,) = open_dataset(tmp_path).unread
    assert name in found.what


def test_a_file_of_captions_is_refused_by_name(tmp_path: Path, write_images: WriteImages) -> None:
    write_images(tmp_path, ["1.png"])
    told = {"images": [{"id": 1, "file_name": "1.png"}], "annotations": [{"id": 1, "image_id": 1, "caption": "a cat"}]}
    (tmp_path / "captions_val2017.json").write_text(json.dumps(told))
    with pytest.raises(UserError, match=r"captions_val2017\.json.*put the file called instances_"):
        open_dataset(tmp_path)

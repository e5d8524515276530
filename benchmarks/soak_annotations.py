"""What mutated annotations do to the readers: nothing but records that are named and left out.

    python benchmarks/soak_annotations.py [--mutants 5000] [--formats coco voc …]

Of each format a small data set is written, its annotations are mutated (bytes are changed, cut out, doubled; values,
tags and words are replaced by hostile ones), and it is read: each time within 5 seconds and 256 MB. What comes out must
be a data set of finite boxes and of files within its folder, or a `UserError` of one line. An audit hook sees to it
that no file outside is opened, nothing is started and no connection made. Last measured:

    mutants of        read  left something out   slowest   memory
    coco             5,000               4,324    228 ms     2 MB
    voc              5,000               4,876     31 ms     3 MB
    voc lists        5,000               3,012     35 ms     1 MB
    yolo             5,000               4,142     49 ms     2 MB
    yolo yaml        2,739                  53     45 ms     1 MB
    label_studio     2,559               2,313    120 ms     2 MB
    cvat             2,366               2,207     23 ms     0 MB
    labelme          5,000               4,690     34 ms     2 MB
    csv              2,577               2,226     60 ms     1 MB
    masks            5,000                   0     51 ms     0 MB
    legend csv         316                   0     30 ms     1 MB
    legend json        250                   0     29 ms     0 MB
    parquet             49                   0     49 ms     3 MB
    hugging face       413                   0     38 ms     3 MB
    arrow              391                  11     15 ms     7 MB
    shards           4,716               4,356    233 ms     2 MB
    metadata csv     2,126               1,439    122 ms     1 MB
    metadata jsonl   1,858               1,339     14 ms     1 MB
    idx (2,000)        779                   0      6 ms     0 MB
    idx.gz (2,000)      17                   0      6 ms     0 MB
    zip                 16                   0    224 ms     1 MB
    tar                819                   0    206 ms     1 MB
    tar.gz              18                   0     19 ms     1 MB
    5,000 mutants each but where it is said; x86_64, 2 cores that others used too
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import math
import os
import random
import re
import resource
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from svertka.annotations import Boxes, Mask
from svertka.data.readers.arrow import ParquetImage
from svertka.data.readers.idx import IdxImage
from svertka.data.readers.reading import open_dataset
from svertka.data.samples import Dataset, FileSlice, ImageFile
from svertka.errors import UserError
from svertka.runtime.files import cache_folder
from svertka.runtime.image import ImageError

SECONDS, MEGABYTES = 5, 256
HEIGHT, WIDTH = 16, 24
SECRET = "secret-outside"
HOSTILE = (
    *(None, True, "", [], {}, 0, -1, 1, 2**31, 2**63, 10**9, 10**40, 1e308, -1e308, 0.5),
    *(math.nan, math.inf, -math.inf, "nan", "inf", "1e999", "-0", "٣", "\ud800", "\0", "a\nb", "x" * 5000),
    *("../../secret-outside.png", "../secret-outside.png", "/etc/passwd", "C:\\secret", "file:///etc/passwd"),
    *("http://127.0.0.1:9/x.png", "a/../../../b.png", "link.png", "1" * 5000, "!!python/object:os.system", "&a *a"),
    *([[[[[]]]]], [1, 2, 3, 4, 5], [math.nan] * 4, [1e308] * 4, [-5, -5, -1, -1], [0, 0, 10**9, 10**9]),
    *(
        {"size": [10**9, 10**9], "counts": [10**18]},
        {"size": [16, 24], "counts": "~" * 2000},
        {"size": [16, 24], "counts": [5]},
    ),
)
SNIPPETS = (
    *(
        b"\0",
        b"\xff\xfe",
        b"[" * 3000,
        b"{" * 3000,
        b'{"a":' * 3000,
        b"<a>" * 3000,
        b"- " * 3000,
        b"9" * 5000,
        b"NaN",
        b"1e999",
    ),
    *(
        b"<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]>",
        b"&b;",
        b"<![CDATA[",
        b"*a",
        b"&a [",
        b"!!python/name:os",
    ),
    *(b"../../secret-outside.png", b"/etc/passwd", b"\r\n", b"-", b",", b";", b":", b"download: |\n  import os\n"),
)


def write_images(folder: Path, names: tuple[str, ...]) -> None:
    """Small images, no two alike."""
    for seed, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
        Image.fromarray(pixels).save(folder / name)


def write_coco(folder: Path) -> None:
    """Boxes, a polygon, both kinds of runs, keypoints and a crowd, in two parts."""
    write_images(folder, ("train2017/1.png", "train2017/2.png", "val2017/3.png"))
    categories = [{"id": 1, "name": "cat", "keypoints": ["nose", "tail"]}, {"id": 7, "name": "dog"}]
    common: dict[str, Any] = {"category_id": 7, "iscrowd": 0}
    objects = [
        {
            "bbox": [1, 2, 8, 4.5],
            "segmentation": [[1, 2, 9, 2, 9, 6.5]],
            "keypoints": [2, 3, 2, 0, 0, 0],
            "category_id": 1,
        },
        {"bbox": [0, 0, 24, 16], "segmentation": {"size": [16, 24], "counts": [16, 32, 336]}, "iscrowd": 1},
        {"bbox": [1, 0, 2, 16], "segmentation": {"size": [16, 24], "counts": "`0P1`:"}, "iscrowd": 1},
    ]
    for part, files in (("train", ("1.png", "2.png")), ("val", ("3.png",))):
        images = [{"id": int(name[0]), "file_name": name, "width": WIDTH, "height": HEIGHT} for name in files]
        told = [common | objects[n] | {"id": n, "image_id": images[n % len(images)]["id"]} for n in range(3)]
        document = {"info": {}, "images": images, "annotations": told, "categories": categories}
        (folder / "annotations").mkdir(exist_ok=True)
        (folder / "annotations" / f"instances_{part}2017.json").write_text(json.dumps(document))


def write_voc(folder: Path) -> None:
    """Three images and lists of the parts."""
    write_images(folder, tuple(f"JPEGImages/{name}.png" for name in "abc"))
    (folder / "Annotations").mkdir()
    (folder / "ImageSets/Main").mkdir(parents=True)
    for name in "abc":
        box = "<bndbox><xmin>1</xmin><ymin>2.5</ymin><xmax>9</xmax><ymax>12</ymax></bndbox>"
        objects = (
            f"<object><name>cat</name><difficult>1</difficult>{box}</object><object><name>dog</name>{box}</object>"
        )
        size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>"
        text = f"<annotation><filename>{name}.png</filename>{size}{objects}</annotation>"
        (folder / "Annotations" / f"{name}.xml").write_text(text)
    (folder / "ImageSets/Main/train.txt").write_text("a\nb\n")
    (folder / "ImageSets/Main/val.txt").write_text("c\n")


def write_yolo(folder: Path) -> None:
    """Boxes, an outline, and a YAML that asks for a download."""
    write_images(folder, ("images/train/1.png", "images/train/2.png", "images/val/3.png"))
    for part, name, text in (
        ("train", "1", "0 0.5 0.5 0.25 0.5\n"),
        ("train", "2", "1 0.1 0.1 0.9 0.1 0.5 0.8\n"),
        ("val", "3", ""),
    ):
        (folder / "labels" / part).mkdir(parents=True, exist_ok=True)
        (folder / "labels" / part / f"{name}.txt").write_text(text)
    (folder / "data.yaml").write_text(
        "path: .\ntrain: images/train\nval: images/val\nnames:\n  0: cat\n  1: dog\ndownload: |\n  open('ran', 'w')\n"
    )


def write_label_studio(folder: Path) -> None:
    """A rectangle, a turned one and a polygon."""
    write_images(folder, ("1.png", "2.png"))
    common = {"original_width": WIDTH, "original_height": HEIGHT}
    square = {"x": 10, "y": 20, "width": 50, "height": 25, "rectanglelabels": ["cat"]}
    polygon = {"points": [[10, 10], [90, 10], [50, 80.5]], "polygonlabels": ["dog"]}
    results = [
        common | {"type": "rectanglelabels", "value": square},
        common | {"type": "rectanglelabels", "value": square | {"rotation": 30}},
        common | {"type": "polygonlabels", "value": polygon},
    ]
    tasks = [
        {"id": 1, "data": {"image": "/data/upload/1/0a1b2c3d-1.png"}, "annotations": [{"result": results}]},
        {"id": 2, "data": {"image": "/data/local-files/?d=x/2.png"}, "annotations": [{"result": results[:1]}]},
    ]
    (folder / "export.json").write_text(json.dumps(tasks))


def write_cvat(folder: Path) -> None:
    """A box, a polygon and a mask, in two subsets."""
    write_images(folder, ("1.png", "2.png"))
    shapes = (
        '<box label="cat" xtl="1" ytl="2" xbr="9.5" ybr="12" rotation="10"/>'
        '<polygon label="dog" points="1,1;9,1;5,8.5"/><ellipse label="cat" cx="9" cy="9" rx="3" ry="2"/>'
        '<mask label="dog" left="2" top="3" width="4" height="2" rle="1,2,5"/>'
    )
    images = "".join(
        f'<image id="{number}" name="{number}.png" subset="{part}" width="{WIDTH}" height="{HEIGHT}">{shapes}</image>'
        for number, part in ((1, "train"), (2, "val"))
    )
    (folder / "annotations.xml").write_text(f"<annotations><version>1.1</version><meta/>{images}</annotations>")


def write_labelme(folder: Path) -> None:
    """A polygon, a rectangle and a circle."""
    write_images(folder, ("1.png", "2.png"))
    shapes = [
        {"label": "cat", "points": [[1, 1], [9, 1], [5, 8.5]], "shape_type": "polygon"},
        {"label": "dog", "points": [[9, 12], [1, 2]], "shape_type": "rectangle"},
        {"label": "dog", "points": [[9, 8], [9, 11]], "shape_type": "circle"},
    ]
    for name in "12":
        told = {"version": "5", "shapes": shapes, "imagePath": f"{name}.png", "imageData": None}
        (folder / f"{name}.json").write_text(json.dumps(told | {"imageHeight": HEIGHT, "imageWidth": WIDTH}))


def write_cvat_video(folder: Path) -> None:
    """Two tracks through three frames, one of which leaves, and a label that nothing has."""
    write_images(folder, tuple(f"images/frame_00000{number}.PNG" for number in range(3)))
    boxes = "".join(
        f'<box frame="{frame}" keyframe="1" outside="{int(frame == 2)}" occluded="0" xtl="{frame}" ytl="1" '
        f'xbr="{frame + 4}" ybr="6" z_order="0"/>'
        for frame in range(3)
    )
    polygon = '<polygon frame="1" keyframe="1" outside="0" occluded="0" points="1,1;9,1;5,8.5" z_order="0"/>'
    labels = "".join(f"<label><name>{name}</name></label>" for name in ("dog", "ox", "cat"))
    meta = f"<meta><task><size>3</size><labels>{labels}</labels></task></meta>"
    tracks = f'<track id="0" label="cat" source="manual">{boxes}</track><track id="1" label="dog">{polygon}</track>'
    (folder / "annotations.xml").write_text(f"<annotations><version>1.1</version>{meta}{tracks}</annotations>")


def write_label_studio_min(folder: Path) -> None:
    """A rectangle and an ellipse in flat tasks."""
    write_images(folder, ("1.png", "2.png"))
    common = {"original_width": WIDTH, "original_height": HEIGHT, "rotation": 0}
    box = {"x": 10, "y": 20, "width": 50, "height": 25, "rectanglelabels": ["cat"]}
    ellipse = {"x": 50, "y": 50, "radiusX": 10, "radiusY": 20, "ellipselabels": ["dog"]}
    task = {"annotator": 1, "annotation_id": 1, "created_at": "2024-01-01T00:00:00.5Z", "lead_time": 1.5}
    tasks = [
        task | {"id": 1, "image": "/data/upload/1/0a1b2c3d-1.png", "label": [box | common, ellipse | common]},
        task | {"id": 2, "image": "/data/upload/1/0a1b2c3d-2.png"},
    ]
    (folder / "min.json").write_text(json.dumps(tasks))


def write_createml(folder: Path) -> None:
    """Boxes by their middle, in a file for each part."""
    box = {"label": "cat", "coordinates": {"x": 6, "y": 8, "width": 4, "height": 6}}
    for part, number in (("train", 1), ("valid", 2)):
        write_images(folder, (f"{part}/{number}.png",))
        told = [{"image": f"{number}.png", "annotations": [box, box | {"label": "dog"}]}]
        (folder / part / "_annotations.createml.json").write_text(json.dumps(told))


def write_label_columns(folder: Path) -> None:
    """A column for each label, in a file for each part."""
    for part, line in (("train", "1, 0"), ("valid", "1, 1")):
        write_images(folder, (f"{part}/{part}.png",))
        (folder / part / "_classes.csv").write_text(f"filename, dog, cat\n{part}.png, {line}\n")


def write_panoptic(folder: Path) -> None:
    """Segments of two classes in a PNG, and pixels of none."""
    write_images(folder, ("val2017/1.jpg",))
    ids = np.zeros((HEIGHT, WIDTH), np.int64)
    ids[2:6, 3:9], ids[6:9, 3:9] = 70_000, 300
    (folder / "annotations/panoptic_val2017").mkdir(parents=True)
    colours = np.stack([ids & 255, ids >> 8 & 255, ids >> 16], -1).astype(np.uint8)
    Image.fromarray(colours).save(folder / "annotations/panoptic_val2017/1.png")
    segments = [{"id": 70_000, "category_id": 9, "iscrowd": 0}, {"id": 300, "category_id": 2, "iscrowd": 0}]
    told = {
        "images": [{"id": 1, "file_name": "1.jpg", "width": WIDTH, "height": HEIGHT}],
        "annotations": [{"image_id": 1, "file_name": "1.png", "segments_info": segments}],
        "categories": [{"id": 2, "name": "sky"}, {"id": 5, "name": "ox"}, {"id": 9, "name": "cat"}],
    }
    (folder / "annotations/panoptic_val2017.json").write_text(json.dumps(told))


def write_csv(folder: Path) -> None:
    """Boxes in a CSV."""
    write_images(folder, ("1.png", "2.png"))
    (folder / "labels.csv").write_text(
        "file,label,xmin,ymin,xmax,ymax,split\n1.png,cat,1,2,9.5,12,train\n2.png,,,,,,val\n"
    )


def write_masks(folder: Path) -> None:
    """Masks in colours, with a legend."""
    write_images(folder, ("images/1.png", "images/2.png"))
    (folder / "masks").mkdir()
    for name in "12":
        pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        pixels[4:9, 3:8] = 64, 128, int(name)
        Image.fromarray(pixels).save(folder / "masks" / f"{name}.png")
    (folder / "class_dict.csv").write_text("name,r,g,b\nvoid,0,0,0\ncat,64,128,1\ndog,64,128,2\n")


def write_legend(folder: Path) -> None:
    """Masks of indices, with a legend in JSON."""
    write_masks(folder)
    (folder / "class_dict.csv").unlink()
    told = [
        {"name": "void", "color": [0, 0, 0]},
        {"name": "cat", "color": "#408001"},
        {"name": "dog", "color": [64, 128, 2]},
    ]
    (folder / "legend.json").write_text(json.dumps(told))


def write_parquet(folder: Path) -> None:
    """Files and labels in a Parquet table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    write_images(folder, ("1.png", "2.png", "3.png"))
    columns = {"file": ["1.png", "2.png", "3.png"], "labels": [["cat"], [], ["cat", "dog"]], "split": ["train"] * 3}
    pq.write_table(pa.table(columns), folder / "labels.parquet")


def write_hugging_face(folder: Path) -> None:
    """Images and class numbers in a Parquet shard, as `datasets` pushes them."""
    import pyarrow.parquet as pq

    (folder / "data").mkdir()
    pq.write_table(_rows(), folder / "data" / "train-00000-of-00001.parquet", row_group_size=2)


def write_arrow(folder: Path) -> None:
    """The same as `datasets` saves them to disk."""
    import pyarrow as pa

    table = _rows()
    (folder / "state.json").write_text("{}")
    with (
        pa.OSFile(str(folder / "data-00000-of-00001.arrow"), "wb") as file,
        pa.ipc.new_stream(file, table.schema) as stream,
    ):
        stream.write_table(table, max_chunksize=2)


def write_shards(folder: Path) -> None:
    """Two shards, with labels in all three ways."""
    kinds = {"cls": b"1", "json": b'{"label": "cat", "width": 24}', "txt": b"dog\n"}
    for shard in range(2):
        members: dict[str, bytes] = {}
        for number, (kind, label) in enumerate(kinds.items()):
            members |= {f"{shard}{number}.png": _png(number), f"{shard}{number}.{kind}": label}
        _write_tar(folder / f"train-{shard:03d}.tar", members, "w")


def write_metadata_csv(folder: Path) -> None:
    """An imagefolder, with a CSV in its part."""
    write_images(folder, ("train/1.png", "train/deep/2.png"))
    (folder / "train" / "metadata.csv").write_text("file_name,label,more\n1.png,cat,x\ndeep/2.png,dog,\n")


def write_metadata_jsonl(folder: Path) -> None:
    """An imagefolder, with lines of JSON."""
    write_images(folder, ("1.png", "2.png"))
    lines = [{"file_name": "1.png", "labels": ["cat", "dog"]}, {"file_name": "2.png", "labels": [], "more": 1}]
    (folder / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def write_idx(folder: Path) -> None:
    """Three images in IDX files, and names of their classes."""
    for name, data in _idx_files().items():
        (folder / name).write_bytes(data)
    (folder / "classes.txt").write_text("cat\ndog\n")


def write_idx_gz(folder: Path) -> None:
    """The same, compressed."""
    for name, data in _idx_files().items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(data))


def write_zip(folder: Path) -> None:
    """Class folders in a zip archive."""
    with zipfile.ZipFile(folder / "set.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in _class_folders().items():
            archive.writestr(name, data)


def write_tar(folder: Path) -> None:
    """Class folders in a tar archive."""
    _write_tar(folder / "set.tar", _class_folders(), "w")


def write_tar_gz(folder: Path) -> None:
    """Class folders in a compressed tar archive."""
    _write_tar(folder / "set.tar.gz", _class_folders(), "w:gz")


def _idx_files() -> dict[str, bytes]:
    pixels = np.random.default_rng(0).integers(0, 256, (3, HEIGHT, WIDTH), np.uint8)
    labels = np.array([0, 1, 1], np.uint8)
    return {
        f"train-{what}-idx{array.ndim}-ubyte": bytes((0, 0, 8, array.ndim))
        + b"".join(length.to_bytes(4) for length in array.shape)
        + array.tobytes()
        for what, array in (("images", pixels), ("labels", labels))
    }


def _class_folders() -> dict[str, bytes]:
    return {f"set/{label}/deep/{label}{number}.png": _png(number) for label in ("cat", "dog") for number in range(2)}


def _write_tar(path: Path, files: dict[str, bytes], mode: str) -> None:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def _rows() -> Any:
    import pyarrow as pa

    images = [{"bytes": _png(number), "path": f"{number}.png"} for number in range(3)]
    made = pa.array(images, pa.struct({"bytes": pa.binary(), "path": pa.string()}))
    said = {"image": {"_type": "Image"}, "label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}
    metadata = {b"huggingface": json.dumps({"info": {"features": said}}).encode()}
    return pa.table({"image": made, "label": pa.array([0, 1, 1])}).replace_schema_metadata(metadata)


def _png(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


SETS: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "coco": ("coco", write_coco, "*.json"),
    "voc": ("voc", write_voc, "*.xml"),
    "voc lists": ("voc", write_voc, "*.txt"),
    "yolo": ("yolo", write_yolo, "*.txt"),
    "yolo yaml": ("yolo", write_yolo, "*.yaml"),
    "label_studio": ("label_studio", write_label_studio, "*.json"),
    "cvat": ("cvat", write_cvat, "*.xml"),
    "labelme": ("labelme", write_labelme, "*.json"),
    "cvat video": ("cvat", write_cvat_video, "*.xml"),
    "label studio min": ("label_studio", write_label_studio_min, "*.json"),
    "createml": ("createml", write_createml, "*.json"),
    "label columns": ("label_columns", write_label_columns, "*.csv"),
    "panoptic": ("coco_panoptic", write_panoptic, "*.json"),
    "csv": ("csv", write_csv, "*.csv"),
    "masks": ("masks", write_masks, "masks/*.png"),
    "legend csv": ("masks", write_masks, "*.csv"),
    "legend json": ("masks", write_legend, "*.json"),
    "parquet": ("parquet", write_parquet, "*.parquet"),
    "hugging face": ("huggingface", write_hugging_face, "*.parquet"),
    "arrow": ("huggingface", write_arrow, "*.arrow"),
    "shards": ("webdataset", write_shards, "*.tar"),
    "metadata csv": ("imagefolder", write_metadata_csv, "*.csv"),
    "metadata jsonl": ("imagefolder", write_metadata_jsonl, "*.jsonl"),
    "idx": ("idx", write_idx, "*"),
    "idx.gz": ("idx", write_idx_gz, "*.gz"),
    "zip": ("folders", write_zip, "*.zip"),
    "tar": ("folders", write_tar, "*.tar"),
    "tar.gz": ("folders", write_tar_gz, "*.tar.gz"),
}
"""By name: the format, what writes a small data set of it, and the files that are mutated."""

_FILES = {"csv": "labels.csv", "parquet": "labels.parquet", "zip": "set.zip", "tar": "set.tar", "tar.gz": "set.tar.gz"}


def opened(name: str, folder: Path) -> Dataset:
    """The set of that name in ``folder``, as a user would give it."""
    return open_dataset(folder / _FILES.get(name, ""), SETS[name][0])


def mutated(data: bytes, suffix: str, chance: random.Random) -> bytes:
    """The file with one to four changes."""
    for _ in range(chance.randint(1, 4)):
        kind = chance.random()
        if suffix == ".json" and kind < 0.6:
            data = _json_mutant(data, chance)
        elif suffix not in (".png", ".zip", ".gz") and kind < 0.75:
            data = _word_mutant(data, chance)
        else:
            data = _byte_mutant(data, chance)
    return data


def judge(dataset: Dataset) -> None:
    """Fail unless all that was read is sound, and lies in the folder."""
    root = dataset.root.resolve()
    # Archives are unpacked into the cache.
    places = (root if root.is_dir() else root.parent, cache_folder().resolve())
    for item in dataset.skipped:
        assert item.file, item
        assert item.error, item
        assert "\n" not in item.error, item
    for sample in (sample for samples in dataset.parts.values() for sample in samples):
        assert isinstance(sample.source, ImageFile | FileSlice | ParquetImage | IdxImage)
        assert isinstance(sample.source, IdxImage) or any(
            sample.source.path.resolve().is_relative_to(place) for place in places
        ), sample
        assert SECRET not in sample.name
        if not isinstance(sample.source, ImageFile):  # where it stands in the file was read from the file
            with suppress(ImageError):
                assert sample.source.load()[0].ndim == 3
        if isinstance(sample.annotation, Boxes):
            for box in sample.annotation.boxes:
                assert box.label
                sides = [
                    box.left,
                    box.top,
                    box.right,
                    box.bottom,
                    *(side for outline in box.polygons for side in outline),
                ]
                assert all(math.isfinite(side) for side in sides), box
                assert not box.runs or sum(box.runs) == math.prod(sample.annotation.size or ())
        elif isinstance(sample.annotation, Mask):
            assert sample.annotation.names
            try:
                assert sample.annotation.source.load().dtype == np.uint8
            except UserError as error:
                if "\n" in str(error):
                    raise AssertionError("an error of several lines") from error


def soak(name: str, mutants: int, folder: Path, *, seed: int = 0) -> dict[str, float]:
    """Read so many mutants of one set, in ``folder``; seconds of the slowest, and how many were still read.

    Raises:
        AssertionError: One was read as something that is not sound, or opened a file outside.
    """
    _, write, pattern = SETS[name]
    data = folder / "data"
    data.mkdir(parents=True)
    write(data)
    (folder / f"{SECRET}.png").write_bytes(b"secret")
    (data / "link.png").symlink_to(folder / f"{SECRET}.png")
    files = sorted(data.rglob(pattern))
    whole = {file: file.read_bytes() for file in files}
    chance = random.Random(f"{name} {seed}")
    slowest, sound, skipped = 0.0, 0, 0
    for _ in range(mutants):
        file = chance.choice(files)
        file.write_bytes(mutated(whole[file], file.suffix, chance))
        started = time.perf_counter()
        try:
            with _watched(data):
                dataset = opened(name, data)
                judge(dataset)
            sound += 1
            skipped += bool(dataset.skipped)
        except UserError as error:
            if "\n" in str(error):
                raise AssertionError("an error of several lines") from error
        finally:
            slowest = max(slowest, time.perf_counter() - started)
        file.write_bytes(whole[file])
    return {"slowest": slowest, "read": sound, "left something out": skipped}


class _watched:  # noqa: N801 (a context)
    """Within, no file outside a folder is opened and nothing is started."""

    _folder: str | None = None
    _hooked = False

    def __init__(self, folder: Path) -> None:
        self.folder = os.path.realpath(folder)

    def __enter__(self) -> None:
        if not _watched._hooked:
            sys.addaudithook(_watched._hook)
            _watched._hooked = True
        _watched._folder = self.folder

    def __exit__(self, *raised: object) -> None:
        _watched._folder = None

    @staticmethod
    def _hook(event: str, arguments: tuple[Any, ...]) -> None:
        folder = _watched._folder
        if folder is None:
            return
        if event in ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "socket.connect", "os.fork"):
            raise AssertionError(f"{event} {arguments}")
        if event == "open" and isinstance(arguments[0], str | bytes):
            if arguments[1] is None and os.path.basename(arguments[0]) == arguments[0]:  # noqa: PTH119
                return  # within a folder that is open already, as shutil.rmtree goes
            place = os.path.realpath(os.fsdecode(arguments[0]))
            known = (folder, os.path.realpath(cache_folder()), sys.prefix, sys.base_prefix, "/sys/fs/cgroup")
            if place == f"/proc/{os.getpid()}/cgroup":  # how many processors there are
                return
            if not place.startswith(known) and "/src/svertka/" not in place:
                raise AssertionError(f"opened {place}")


def _json_mutant(data: bytes, chance: random.Random) -> bytes:
    try:
        told = json.loads(data)
    except (ValueError, RecursionError):
        return _byte_mutant(data, chance)
    places: list[tuple[Any, Any]] = []
    waiting = [told] if isinstance(told, dict | list) else []
    while waiting:
        node = waiting.pop()
        for key in node if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], dict | list):
                waiting.append(node[key])
    if not places:
        return json.dumps(chance.choice(HOSTILE)).encode("utf-8", "surrogatepass")
    node, key = chance.choice(places)
    match chance.randrange(5):
        case 0:
            del node[key]
        case 1 if isinstance(node, list):
            node += [node[key]] * chance.randint(1, 50)
        case 2:
            node[key] = [node[key]]
        case 3:
            _, other = chance.choice(places)
            node[key] = other
        case _:
            node[key] = chance.choice(HOSTILE)
    return json.dumps(told).encode()


def _word_mutant(data: bytes, chance: random.Random) -> bytes:
    words = list(re.finditer(rb"[\w.\-]+", data))
    if not words:
        return chance.choice(SNIPPETS)
    word = chance.choice(words)
    value = chance.choice([str(chance.choice(HOSTILE)).encode("utf-8", "surrogatepass"), chance.choice(words)[0], b""])
    return data[: word.start()] + value + data[word.end() :]


def _byte_mutant(data: bytes, chance: random.Random) -> bytes:
    start = chance.randint(0, len(data))
    end = min(len(data), start + chance.randint(0, 64))
    match chance.randrange(5):
        case 0:
            return data[:start] + chance.randbytes(end - start) + data[end:]
        case 1:
            return data[:start] + data[end:]
        case 2:
            return data[:end] + data[start:end] * chance.randint(1, 20) + data[end:]
        case 3:
            return data[:start]
        case _:
            return data[:start] + chance.choice(SNIPPETS) + data[start:]


def _limited(name: str, mutants: int) -> None:
    """In a process of its own: the limits are the process's."""
    with tempfile.TemporaryDirectory() as place:
        os.environ["SVERTKA_CACHE"] = str(Path(place) / "cache")
        soak(name, 5, Path(place) / "warm")  # imports
        base = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (base + MEGABYTES * 2**20,) * 2)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        found = soak(name, mutants, Path(place) / "soak")
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(json.dumps(found | {"megabytes": grown / 1024}))


def main() -> None:
    """Soak all formats and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutants", type=int, default=5000)
    parser.add_argument("--formats", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        _limited(arguments.one, arguments.mutants)
        return
    bad = False
    print(f"{'mutants of':14}{'read':>8}{'left something out':>20}{'slowest':>10}{'memory':>9}")
    for name in arguments.formats:
        command = [sys.executable, __file__, "--one", name, "--mutants", str(arguments.mutants)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            bad = True
            print(f"{name:14}FAILED: {done.stderr.strip().splitlines()[-1] if done.stderr else done.returncode}")
            continue
        told = json.loads(done.stdout.splitlines()[-1])
        bad |= told["slowest"] > SECONDS or told["megabytes"] > MEGABYTES
        slowest, memory = f"{told['slowest'] * 1000:.0f} ms", f"{told['megabytes']:.0f} MB"
        print(f"{name:14}{told['read']:8,}{told['left something out']:20,}{slowest:>10}{memory:>9}")
    sys.exit(bad)


if __name__ == "__main__":
    main()

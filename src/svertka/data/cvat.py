"""CVAT's XML for images: all images of a task in one file."""

from __future__ import annotations

import math
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from svertka.annotations import Annotation, Box, Boxes
from svertka.data.documents import peek, stream_xml
from svertka.data.layout import files_in, part_in, relative
from svertka.data.paths import ImageFinder
from svertka.data.records import RecordError, alike, dataset_of, extent, name_of, number, size_of, whole
from svertka.data.runs import runs_of
from svertka.data.samples import Dataset, Format, ImageFile, Sample, Skipped
from svertka.errors import UserError
from svertka.wording import counted


def is_cvat(path: Path) -> bool:
    """Whether it is such a file, or a folder with one."""
    return _file(path) is not None


def read_cvat(path: Path) -> Dataset:
    """Read boxes, polygons, ellipses and masks of each image, or its tags; lines and points are left out, and named.

    An image's ``subset`` is its part. Shapes with the same ``group_id`` stay apart.

    Raises:
        UserError: The file cannot be read, or no image can be used.
    """
    root = path if path.is_dir() else path.parent
    file = _file(path) or (path if path.is_file() else None)
    if file is None:
        raise UserError("no XML of CVAT in it", where=path)
    finder = ImageFinder(root, [root, *(root / name for name in ("images", "data"))])
    parts: dict[str, list[Sample]] = {}
    skipped: list[Skipped] = []
    told: set[str] = set()
    try:
        for place, image in enumerate(stream_xml(file, "image"), 1):
            where = f"{file.name}, image {image.get('id', '')[:20] or place}"
            try:
                found = finder.find(name_of(image.get("name"), "its name"))
                name = relative(found, root)
                if name in told:
                    raise RecordError(f"another record speaks of {name} already")
                part = part_in(image.get("subset") or "") or "all"
                sample = Sample(name, ImageFile(found), _annotation(image, where, skipped))
            except RecordError as error:
                skipped.append(Skipped(where, str(error)))
                continue
            told.add(name)
            parts.setdefault(part, []).append(sample)
    except RecordError as error:
        if not parts:
            raise UserError(str(error), where=file) from error
        skipped.append(Skipped(f"{file.name}, what follows image {place}", str(error)))
    whole_set = iter(alike([sample for samples in parts.values() for sample in samples]))
    parts = {part: [next(whole_set) for _ in samples] for part, samples in parts.items()}
    return dataset_of(root, "CVAT XML", parts, [], skipped)


def _file(path: Path) -> Path | None:
    files = [path] if path.is_file() else files_in(path, ".xml", path)[:20]
    for file in files:
        text = peek(file) if file.suffix.lower() == ".xml" else ""
        if "<annotations>" in text[:2000] and "<image " in text:
            return file
    return None


def _annotation(image: Element, where: str, skipped: list[Skipped]) -> Annotation:
    size = size_of(image.get("height"), image.get("width"))
    boxes: list[Box] = []
    tags: list[str] = []
    for place, shape in enumerate(image, 1):
        try:
            if shape.tag == "tag":
                tags.append(name_of(shape.get("label")))
            elif shape.tag in _SHAPES:
                boxes.append(_SHAPES[shape.tag](shape, size))
            else:
                raise RecordError(f"{shape.tag[:50]!r}, which is not read")
        except RecordError as error:
            skipped.append(Skipped(f"{where}, shape {place}", str(error)))
    if tags and not boxes:
        return tags[0] if len(tags) == 1 else tuple(sorted(set(tags)))
    return Boxes(tuple(boxes), size)


def _box(shape: Element, size: tuple[int, int]) -> Box:
    del size
    left, top, right, bottom = (number(shape.get(side), side) for side in ("xtl", "ytl", "xbr", "ybr"))
    label, turn = name_of(shape.get("label")), math.radians(number(shape.get("rotation") or 0, "rotation"))
    if not turn:
        return Box(label, left, top, right, bottom)
    x, y = (left + right) / 2, (top + bottom) / 2  # it is turned about its middle
    corners: list[float] = []
    for across, down in ((left - x, top - y), (right - x, top - y), (right - x, bottom - y), (left - x, bottom - y)):
        corners += [
            x + across * math.cos(turn) - down * math.sin(turn),
            y + across * math.sin(turn) + down * math.cos(turn),
        ]
    return Box(label, *extent([corners]), polygons=(tuple(corners),))


def _polygon(shape: Element, size: tuple[int, int]) -> Box:
    del size
    outline: list[float] = []
    for point in (shape.get("points") or "").split(";"):
        sides = point.split(",")
        if len(sides) != 2:
            raise RecordError("a point that is not two numbers")
        outline += [number(sides[0], "x"), number(sides[1], "y")]
    if len(outline) < 6:
        raise RecordError("a polygon of less than three corners")
    return Box(name_of(shape.get("label")), *extent([outline]), polygons=(tuple(outline),))


def _ellipse(shape: Element, size: tuple[int, int]) -> Box:
    del size
    x, y, across, down = (number(shape.get(side), side) for side in ("cx", "cy", "rx", "ry"))
    return Box(name_of(shape.get("label")), x - across, y - down, x + across, y + down)


def _mask(shape: Element, size: tuple[int, int]) -> Box:
    # Runs along the rows of a box in the image, outside first.
    left, top, width, height = (whole(shape.get(side), side) for side in ("left", "top", "width", "height"))
    if left < 0 or top < 0 or min(width, height) < 1 or left + width > size[1] or top + height > size[0]:
        raise RecordError("a mask that reaches out of its image")
    counts = np.asarray([whole(text, "a run") for text in (shape.get("rle") or "").split(",")], np.int64)
    if counts.min() < 0 or counts.max() > width * height or counts.sum() != width * height:
        raise RecordError(f"runs of {counted(int(counts.sum()), 'pixel')} for a mask of {width * height:,}")
    inside = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    mask = np.zeros(size, np.bool_)
    mask[top : top + height, left : left + width] = inside.reshape(height, width)
    return Box(name_of(shape.get("label")), left, top, left + width, top + height, runs=runs_of(mask))


_SHAPES = {"box": _box, "polygon": _polygon, "ellipse": _ellipse, "mask": _mask}

CVAT = Format("cvat", "CVAT XML", is_cvat, read_cvat)

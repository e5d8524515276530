"""LabelMe: a JSON file beside each image."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from svertka.annotations import Box
from svertka.data.files.documents import has_keys, peek, read_json
from svertka.data.files.layout import files_in, part_in, relative, subfolders, unwrapped
from svertka.data.files.paths import ImageFinder
from svertka.data.files.records import (
    RecordError,
    dataset_of,
    extent,
    list_of,
    name_of,
    numbers,
    refuse_turned,
    shown,
    size_of,
    table_of,
    whole,
)
from svertka.data.files.runs import runs_at
from svertka.data.files.stated import Stated, samples_by_part
from svertka.data.files.unread import Fields, UnreadCounter
from svertka.data.samples import Dataset, Format, ImageFile, Skipped
from svertka.runtime.image import ImageError, decode, image_size, read_file
from svertka.wording import counted

_CORNERS = 3
_FILE = Fields(
    "an image",
    read=(
        *("version", "flags", "shapes", "imagePath", "imageData", "imageHeight", "imageWidth"),
        *("lineColor", "fillColor", "imageDepth"),
    ),
)
_SHAPE = Fields(
    "a shape",
    read=("label", "points", "shape_type", "mask", "line_color", "fill_color"),
    minor=("group_id", "description", "difficult", "direction", "kie_linking"),
)


def is_labelme(path: Path) -> bool:
    """Whether a folder, or a folder of a part in it, has JSON files of LabelMe."""
    if not path.is_dir():
        return False
    for place, (file, _) in enumerate(_files(unwrapped(path))):
        text = peek(file)
        if text.startswith("{") and has_keys(text, "shapes", "imagePath"):
            return True
        if place == 20:
            break
    return False


def read_labelme(path: Path) -> Dataset:
    """Read rectangles, polygons, circles and masks, or, where no image has any, the flags that are set, as labels.

    Lines and points are left out, and named. A picture within the JSON is not read.

    Raises:
        UserError: No image with its JSON file can be used.
    """
    root = unwrapped(path) if path.is_dir() else path.parent
    notes = [] if root == path or path.is_file() else [f"read from {root}"]
    skipped: list[Skipped] = []
    unread = UnreadCounter()
    finder = ImageFinder(root, [root])
    images: dict[str, Stated] = {}
    for file, part in _files(root):
        name = relative(file, root)
        try:
            image = _image(file, name, part, finder, skipped, unread)
            if image.name in images:
                raise RecordError(f"another file speaks of {image.name} already")
        except RecordError as error:
            skipped.append(Skipped(name, str(error)))
            continue
        images[image.name] = image
    parts = samples_by_part(list(images.values()), unread)
    return dataset_of(root, "LabelMe JSON", parts, notes, skipped, unread=unread.found())


def _files(root: Path) -> Iterator[tuple[Path, str]]:
    yield from ((file, "all") for file in files_in(root, ".json", root))
    for folder in subfolders(root):
        part = part_in(folder.name) or "all"
        yield from ((file, part) for file in files_in(folder, ".json", root))


def _image(
    file: Path, name: str, part: str, finder: ImageFinder, skipped: list[Skipped], unread: UnreadCounter
) -> Stated:
    record = table_of(read_json(file), "the file")
    if record.get("shapes") is None:
        raise RecordError("no shapes in it")
    path = finder.find(name_of(record.get("imagePath"), "imagePath"), beside=file.parent)
    image = Stated(relative(path, finder.root), ImageFile(path), part)
    if record.get("imageHeight") is not None and record.get("imageWidth") is not None:
        image.size = size_of(record["imageHeight"], record["imageWidth"])
    unread.fields(record, _FILE, name)
    for flag, value in table_of(record.get("flags") or {}, "flags").items():
        if value is True:
            image.labels.append(name_of(flag, "a flag"))
        elif value:
            unread.add(f"flag {shown(flag)} with another value than true and false", name)
    for place, value in enumerate(list_of(record["shapes"], "shapes"), 1):
        where = f"{name}, shape {place}"
        try:
            shape = table_of(value, "it")
            image.boxes.append(_box(shape, (image.size or _size(path)) if shape.get("mask") is not None else (0, 0)))
            unread.fields(shape, _SHAPE, where)
        except RecordError as error:
            skipped.append(Skipped(where, str(error)))
    return image


def _size(path: Path) -> tuple[int, int]:
    try:
        return image_size(read_file(path))
    except ImageError as error:
        raise RecordError(error.what) from error


def _box(shape: dict[str, object], size: tuple[int, int]) -> Box:
    label = name_of(shape.get("label"))
    refuse_turned(shape)
    points = [numbers(point, "a point") for point in list_of(shape.get("points"), "points")]
    if any(len(point) != 2 for point in points):
        raise RecordError("a point that is not two numbers")
    outline = tuple(side for point in points for side in point)
    match shape.get("shape_type") or "polygon":
        case "polygon" | "rotation":  # a turned rectangle has its four corners
            if len(points) < _CORNERS:
                raise RecordError("a polygon of less than three corners")
            return Box(label, *extent([outline]), polygons=(outline,))
        case "rectangle" if len(points) >= 2:
            return Box(label, *extent([outline]))
        case "circle" if len(points) == 2:
            (x, y), rim = points
            radius = math.dist((x, y), rim)
            return Box(label, x - radius, y - radius, x + radius, y + radius)
        case "mask" if len(points) == 2:
            return _mask(label, outline, shape.get("mask"), size)
        case kind:
            raise RecordError(f"{shown(kind)} of {counted(len(points), 'point')}, which is not read")


def _mask(label: str, corners: tuple[float, ...], value: object, size: tuple[int, int]) -> Box:
    # A picture of the rectangle, whose last column and row are within.
    left, top, right, bottom = (whole(side, "a corner of the mask") for side in corners)
    if not isinstance(value, str):
        raise RecordError(f"the mask is {shown(value)}, not a picture in base64")
    try:
        data = base64.b64decode(value, validate=True)
        height, width = image_size(data)
        if (height, width) != (bottom - top + 1, right - left + 1):
            raise RecordError(
                f"a mask of {width}×{height} pixels in a rectangle of {right - left + 1}×{bottom - top + 1}"
            )
        inside = np.asarray(decode(data, where="the mask").any(axis=2))
    except (binascii.Error, ValueError) as error:
        raise RecordError("the mask is no base64") from error
    except ImageError as error:
        raise RecordError(f"the mask cannot be read: {error.what}") from error
    return Box(label, left, top, right + 1, bottom + 1, runs=runs_at(inside, left, top, size))


LABELME = Format("labelme", "LabelMe JSON", is_labelme, read_labelme)

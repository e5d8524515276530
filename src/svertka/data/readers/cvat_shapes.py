"""The shapes of CVAT's XML."""

from __future__ import annotations

from collections.abc import Callable
from xml.etree.ElementTree import Element

import numpy as np

from svertka.annotations import Box
from svertka.data.files.records import RecordError, extent, name_of, number, whole
from svertka.data.files.runs import runs_at
from svertka.data.files.turned import turned_corners, turned_ellipse
from svertka.data.files.unread import Fields, UnreadCounter

_COMMON = ("label", "source", "frame", "keyframe", "outside")
_MINOR = ("occluded", "z_order", "group_id")
_DEFAULT = {"occluded": ("0",), "z_order": ("0",), "rotation": ("0", "0.0", "0.00")}


def read_shape(shape: Element, size: tuple[int, int], unread: UnreadCounter, where: str, label: str = "") -> Box:
    """The object that a shape is; what else it states is counted.

    Args:
        shape: An element of an image, or of a track.
        size: Height and width of the image.
        unread: Counts what is not read.
        where: What the shape is called there.
        label: Its class, where that stands elsewhere.

    Raises:
        RecordError: It is of another kind, or states something impossible.
    """
    if shape.tag not in _SHAPES:
        raise RecordError(f"{shape.tag[:50]!r}, which is not read")
    read, known = _SHAPES[shape.tag]
    if "rotation" not in known.read and number(shape.get("rotation") or 0, "rotation"):
        raise RecordError(f"a {shape.tag} with a rotation, which is not read")
    box = read(shape, label or name_of(shape.get("label")), size)
    unread.fields(shape.attrib, known, where)
    count_attributes(shape, unread, where)
    return box


def count_attributes(element: Element, unread: UnreadCounter, where: str) -> None:
    """Count what the attributes within a shape or a tag state."""
    for inner in element:
        name = " ".join((inner.get("name") or "").split())[:80]
        if (inner.text or "").strip() not in ("", "false") or inner.tag != "attribute":
            unread.add(f"{inner.tag[:50]} {name!r} of a {element.tag}", where)


def _box(shape: Element, label: str, size: tuple[int, int]) -> Box:
    del size
    left, top, right, bottom = (number(shape.get(side), side) for side in ("xtl", "ytl", "xbr", "ybr"))
    turn = number(shape.get("rotation") or 0, "rotation")
    if not turn:
        return Box(label, left, top, right, bottom)
    corners = turned_corners((left, top, right, bottom), turn, about=((left + right) / 2, (top + bottom) / 2))
    return Box(label, *extent([corners]), polygons=(corners,))


def _polygon(shape: Element, label: str, size: tuple[int, int]) -> Box:
    del size
    outline: list[float] = []
    for point in (shape.get("points") or "").split(";"):
        sides = point.split(",")
        if len(sides) != 2:
            raise RecordError("a point that is not two numbers")
        outline += [number(sides[0], "x"), number(sides[1], "y")]
    if len(outline) < 6:
        raise RecordError("a polygon of less than three corners")
    return Box(label, *extent([outline]), polygons=(tuple(outline),))


def _ellipse(shape: Element, label: str, size: tuple[int, int]) -> Box:
    del size
    x, y, across, down = (number(shape.get(side), side) for side in ("cx", "cy", "rx", "ry"))
    return Box(label, *turned_ellipse(x, y, across, down, number(shape.get("rotation") or 0, "rotation")))


def _mask(shape: Element, label: str, size: tuple[int, int]) -> Box:
    # Runs along the rows of a box in the image, outside first.
    left, top, width, height = (whole(shape.get(side), side) for side in ("left", "top", "width", "height"))
    if left < 0 or top < 0 or min(width, height) < 1 or left + width > size[1] or top + height > size[0]:
        raise RecordError("a mask that reaches out of its image")
    counts = np.asarray([whole(text, "a run") for text in (shape.get("rle") or "").split(",")], np.int64)
    if counts.min() < 0 or counts.max() > width * height or counts.sum() != width * height:
        raise RecordError(f"runs of {int(counts.sum()):,} pixels for a mask of {width * height:,}")
    inside = np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(height, width)
    return Box(label, left, top, left + width, top + height, runs=runs_at(inside, left, top, size))


def _fields(tag: str, *sides: str) -> Fields:
    return Fields(f"a {tag}", (*_COMMON, *sides), _MINOR, _DEFAULT)


_Read = Callable[[Element, str, tuple[int, int]], Box]
_SHAPES: dict[str, tuple[_Read, Fields]] = {
    "box": (_box, _fields("box", "xtl", "ytl", "xbr", "ybr", "rotation")),
    "polygon": (_polygon, _fields("polygon", "points")),
    "ellipse": (_ellipse, _fields("ellipse", "cx", "cy", "rx", "ry", "rotation")),
    "mask": (_mask, _fields("mask", "left", "top", "width", "height", "rle")),
}

"""What a record of an annotation file may say, and what is done with one that says something else."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from svertka.data.samples import Dataset, Sample, Skipped, Unread, place_of
from svertka.errors import UserError
from svertka.runtime.image import MAX_PIXELS

_FAR = 1e9  # pixels; sums and differences of what is nearer are finite
_TURNS = ("rotation", "angle", "theta")
_LONG = 500  # characters
_SHOWN = 80


class RecordError(Exception):
    """Why one record, or one file of many, is left out: a line that names neither."""


def number(value: object, what: str) -> float:
    """A finite number, from a number or a text.

    Raises:
        RecordError: It is none, or over a thousand million.
    """
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        try:
            found = float(value)
        except (ValueError, OverflowError):
            found = math.nan
        if abs(found) <= _FAR:
            return found
    raise RecordError(f"{what} is {shown(value)}, which is no number" + _far(value))


def numbers(values: object, what: str) -> tuple[float, ...]:
    """Finite numbers from a list.

    Raises:
        RecordError: It is no list, or something in it is no number.
    """
    if not isinstance(values, list):
        raise RecordError(f"{what} is {shown(values)}, not a list of numbers")
    return tuple(number(value, what) for value in values)


def whole(value: object, what: str) -> int:
    """A whole number.

    Raises:
        RecordError: It is none.
    """
    found = number(value, what)
    if found != int(found):
        raise RecordError(f"{what} is {shown(value)}, which is no whole number")
    return int(found)


def size_of(height: object, width: object) -> tuple[int, int]:
    """Height and width of an image.

    Raises:
        RecordError: One is not a whole number above nought, or there are more pixels than an image may have.
    """
    found = whole(height, "the height"), whole(width, "the width")
    if min(found) < 1:
        raise RecordError(f"a size of {found[1]}×{found[0]} pixels")
    if found[0] * found[1] > MAX_PIXELS:
        raise RecordError(f"a size of {found[1]}×{found[0]} pixels, over the limit of {MAX_PIXELS:,}")
    return found


def name_of(value: object, what: str = "the class") -> str:
    """The name of a class, a point or a file, without blanks around it.

    Raises:
        RecordError: There is none, or it is endless.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        value = shown(value)
    if not isinstance(value, str):
        raise RecordError(f"{what} is missing" if value is None else f"{what} is {shown(value)}, not a name")
    if len(value) > _LONG:
        raise RecordError(f"{what} has {len(value):,} characters")
    name = " ".join(value.encode("utf-8", "backslashreplace").decode().split())
    if not name:
        raise RecordError(f"{what} is empty")
    return name


def table_of(value: object, what: str) -> dict[str, object]:
    """An object of JSON.

    Raises:
        RecordError: It is something else.
    """
    if not isinstance(value, dict):
        raise RecordError(f"{what} is {shown(value)}, not an object")
    return value


def list_of(value: object, what: str) -> list[object]:
    """A list of JSON; an absent one is empty.

    Raises:
        RecordError: It is something else.
    """
    if value is None:
        return []
    if not isinstance(value, list):
        raise RecordError(f"{what} is {shown(value)}, not a list")
    return value


def shown(value: object) -> str:
    """The beginning of a value, for a message."""
    match value:
        case dict():
            return "an object"
        case list() | tuple():
            return "a list"
        case int() if not isinstance(value, bool) and value.bit_length() > 64:
            return "a number of many digits"
        case str() if len(value) > _SHOWN:
            return repr(value[:_SHOWN]) + "…"
    return repr(value) if isinstance(value, str) else str(value)


def refuse_turned(record: Mapping[str, object]) -> None:
    """Refuse a shape that states a rotation, where that is not applied.

    Raises:
        RecordError: It does.
    """
    for name in _TURNS:
        value = record.get(name)
        stated = isinstance(value, str | int | float) and not isinstance(value, bool) and str(value).strip()
        if stated and number(value, name):
            raise RecordError(f"{name} {shown(value)}, which is not read")


def extent(polygons: Iterable[Sequence[float]]) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of points ``x, y, x, y, …``.

    Raises:
        RecordError: There are no points, or one lacks its y.
    """
    across: list[float] = []
    down: list[float] = []
    for polygon in polygons:
        if len(polygon) % 2:
            raise RecordError("a point without its y")
        across += polygon[::2]
        down += polygon[1::2]
    if not across:
        raise RecordError("no points")
    return min(across), min(down), max(across), max(down)


def dataset_of(
    root: Path,
    title: str,
    parts: dict[str, list[Sample]],
    notes: list[str],
    skipped: list[Skipped],
    *,
    classes: Iterable[str] = (),
    unread: tuple[Unread, ...] = (),
    files: Sequence[Path] = (),
) -> Dataset:
    """The data set that was read; see `svertka.data.samples.Dataset`.

    Raises:
        UserError: There is no sample in it.
    """
    kept = {part: parts[part] for part in ("train", "val", "test", "all") if parts.get(part)}
    if not kept:
        first = f"; the first: {skipped[0].file}: {skipped[0].error}" if skipped else ""
        raise UserError(f"read as {title}, it has no usable record{first}", where=place_of(root, files))
    listed = tuple(dict.fromkeys(classes))
    return Dataset(root, title, kept, notes, skipped, classes=listed, unread=unread, files=tuple(files))


def _far(value: object) -> str:
    try:
        far = isinstance(value, str | int | float) and abs(float(value)) > _FAR
    except (ValueError, OverflowError):
        far = isinstance(value, int)
    return " of pixels" if far else ""

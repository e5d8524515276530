"""The legend of masks: which number or colour is which class, from a file beside them."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from svertka.data.files.documents import read_json, read_text
from svertka.data.files.layout import files_in
from svertka.data.files.records import RecordError, list_of, name_of, shown, table_of, whole

_STEMS = re.compile(r"(class(es|_?dict|_?names)?|codes|legend|labels?(_?map|_?colou?rs)?|colou?r_?map|palette)", re.I)
_NAME = ("name", "class", "label", "category")
_NUMBER = ("value", "index", "id", "number")
_MOST = 254  # a mask's 255 says nothing
_COLOUR = re.compile(r"#?([0-9a-fA-F]{6})")

Key = int | tuple[int, int, int]
"""A grey level or a palette's index; or a colour."""


def find_legend(root: Path) -> Path | None:
    """``classes.txt``, ``legend.json``, ``class_dict.csv``, ``labelmap.txt`` and the like, in the data set's folder."""
    return next(
        (
            file
            for suffix in (".csv", ".json", ".txt")
            for file in files_in(root, suffix, root)
            if _STEMS.fullmatch(file.stem)
        ),
        None,
    )


def read_legend(path: Path) -> dict[Key, str]:
    """Names by number or by colour.

    A CSV has columns ``name`` and ``r``, ``g``, ``b``, or ``name`` and ``value``. A text has a name in each line,
    counted from 0; or a number or a colour before the name; or CVAT's ``name:r,g,b::``. JSON is a list of names, a
    table of names to colours, or of numbers to names, or a list of tables.

    Raises:
        RecordError: It cannot be read, says one thing twice, or mixes numbers and colours.
    """
    pairs = {".csv": _from_csv, ".json": _from_json}.get(path.suffix.lower(), _from_text)(path)
    found: dict[Key, str] = {}
    for key, name in pairs:
        if found.setdefault(key, name) != name:
            raise RecordError(f"{key} is {found[key]} and {name}")
        if len(found) > _MOST:
            raise RecordError(f"over {_MOST} classes")
    if not found or len({isinstance(key, tuple) for key in found}) != 1:
        raise RecordError("numbers and colours beside each other" if found else "no class in it")
    return found


def _from_csv(path: Path) -> Iterator[tuple[Key, str]]:
    try:
        rows = list(csv.reader(read_text(path).splitlines()))
    except csv.Error as error:
        raise RecordError(f"not a readable CSV ({error})") from error
    header = [cell.strip().lower() for cell in rows[0]] if rows else []

    def place(*names: str) -> int | None:
        return next((header.index(name) for name in names if name in header), None)

    named, number = place(*_NAME), place(*_NUMBER)
    colour = [at for at in (place("r", "red"), place("g", "green"), place("b", "blue")) if at is not None]
    if named is None or (number is None and len(colour) != 3):
        raise RecordError("no columns name, r, g, b, and no columns name, value")
    for row in rows[1:]:
        if row:
            cells = dict(enumerate(row))
            name = name_of(cells.get(named))
            yield (_key([cells.get(at) for at in colour]) if len(colour) == 3 else _key(cells.get(number or 0))), name


def _from_text(path: Path) -> Iterator[tuple[Key, str]]:
    place = 0
    for line in read_text(path).splitlines():
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if match := re.fullmatch(r"([^:]+):(\d+),(\d+),(\d+):.*", text):
            yield _key(list(match.groups()[1:])), name_of(match[1])
        elif match := re.fullmatch(r"(\d+)[\s,]+(\d+)[\s,]+(\d+)[\s,:]+(.+)", text):
            yield _key(list(match.groups()[:3])), name_of(match[4])
        elif match := re.fullmatch(r"(\d+)[\s,:]+(.+)", text):
            yield _key(match[1]), name_of(match[2])
        else:
            yield _key(place), name_of(text)
        place += 1


def _from_json(path: Path) -> Iterator[tuple[Key, str]]:
    told = read_json(path)
    if isinstance(told, dict) and len(told) == 1 and isinstance(next(iter(told.values())), list | dict):
        (inner,) = told.values()
        told = inner if isinstance(inner, dict) or not all(isinstance(part, int) for part in inner) else told
    if isinstance(told, list):
        for place, item in enumerate(told):
            if isinstance(item, dict):
                keys = [item[key] for key in ("color", "colour", "rgb", *_NUMBER) if item.get(key) is not None]
                name = next((item[key] for key in _NAME if item.get(key) is not None), None)
                yield _key(keys[0] if keys else place), name_of(name)
            else:
                yield _key(place), name_of(item)
        return
    for key, value in table_of(told, "the legend").items():
        if isinstance(value, str) and not _COLOUR.fullmatch(value):
            yield _key(key), name_of(value)
        else:
            yield _key(value), name_of(key)


def _key(value: object) -> Key:
    if (
        isinstance(value, str)
        and (match := _COLOUR.fullmatch(value))
        and (value.startswith("#") or not value.isdigit())
    ):
        red, green, blue = bytes.fromhex(match[1])
        return red, green, blue
    if isinstance(value, list):
        values = [whole(part, "a colour") for part in list_of(value, "a colour")]
        if len(values) != 3 or not all(0 <= part <= 255 for part in values):
            raise RecordError(f"the colour {shown(str(values))}")
        return values[0], values[1], values[2]
    found = whole(value, "the number of a class")
    if not 0 <= found <= 65535:
        raise RecordError(f"the class {found}")
    return found

"""A CSV with a line for each box."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from svertka.annotations import Box, Boxes
from svertka.data.files.paths import ImageFinder
from svertka.data.files.records import RecordError, name_of, number, size_of
from svertka.data.files.unread import UnreadCounter
from svertka.data.samples import ImageFile, Sample

_SIDES = (
    ("left", "xmin", "x_min", "x1"),
    ("top", "ymin", "y_min", "y1"),
    ("right", "xmax", "x_max", "x2"),
    ("bottom", "ymax", "y_max", "y2"),
)
_SIZE = (("height", "image_height"), ("width", "image_width"))


def box_columns(columns: Mapping[str, str]) -> tuple[str, ...]:
    """Of the columns by their names in lower case, the four of a box; empty where one lacks."""
    return _found(columns, _SIDES)


def size_columns(columns: Mapping[str, str]) -> tuple[str, ...]:
    """Those of the image's height and width; empty where one lacks."""
    return _found(columns, _SIZE)


def size_in(row: Mapping[str, object], columns: Sequence[str]) -> tuple[int, int] | None:
    """The height and width that a record gives; None where it gives none, or nothing that an image can have."""
    try:
        return size_of(*(row[column] for column in columns)) if columns else None
    except RecordError:
        return None


def _found(columns: Mapping[str, str], wanted: Sequence[Sequence[str]]) -> tuple[str, ...]:
    found = tuple(next((columns[name] for name in names if name in columns), "") for names in wanted)
    return found if all(found) else ()


class BoxLines:
    """Gathers the boxes of each image.

    Args:
        finder: Finds the files.
        parts: Is given the samples by part.
        unread: Is given what cannot be taken.
    """

    def __init__(self, finder: ImageFinder, parts: dict[str, list[Sample]], unread: UnreadCounter) -> None:
        self.finder, self.parts, self.unread = finder, parts, unread
        self._files: dict[str, tuple[str, Path]] = {}
        self._boxes: dict[str, list[Box]] = {}
        self._part: dict[str, str] = {}
        self._size: dict[str, tuple[int, int]] = {}

    def add(
        self, name: str, part: str, label: str, sides: Sequence[str | None], size: tuple[int, int] | None, where: str
    ) -> None:
        """A box of the image ``name``; if label and sides are empty, the image alone.

        Args:
            name: As the record gives it.
            part: Of the data set.
            label: The box's class.
            sides: Left, top, right and bottom.
            size: Height and width that the record gives.
            where: What the record is called.

        Raises:
            RecordError: There is no such image, it is in another part, or the box is none.
        """
        if name not in self._boxes:
            self._files[name] = self.finder.named(name, within=None if part == "all" else part)
            self._boxes[name], self._part[name] = [], part
        if self._part[name] != part:
            raise RecordError(f"{name} is in {self._part[name]} already")
        if label.strip() or any(sides):
            left, top, right, bottom = (number(side, what[0]) for side, what in zip(sides, _SIDES, strict=True))
            self._boxes[name].append(Box(name_of(label, "the label"), left, top, right, bottom))
            if size and (left or top) and abs(bottom - top - size[0]) <= 1 and abs(right - left - size[1]) <= 1:
                return  # it is the box's: an image as large could not have it there
        if size and self._size.setdefault(name, size) != size:
            self.unread.add("another size of the same image", where)

    def close(self) -> None:
        """Make samples of what was gathered."""
        for name, boxes in self._boxes.items():
            known, file = self._files[name]
            sample = Sample(known, ImageFile(file), Boxes(tuple(boxes), self._size.get(name)))
            self.parts.setdefault(self._part[name], []).append(sample)

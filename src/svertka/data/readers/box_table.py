"""A CSV with a line for each box."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from svertka.annotations import Box, Boxes
from svertka.data.files.paths import ImageFinder
from svertka.data.files.records import RecordError, name_of, number
from svertka.data.samples import ImageFile, Sample

_SIDES = (
    ("left", "xmin", "x_min", "x1"),
    ("top", "ymin", "y_min", "y1"),
    ("right", "xmax", "x_max", "x2"),
    ("bottom", "ymax", "y_max", "y2"),
)


def box_columns(columns: Mapping[str, str]) -> tuple[str, ...]:
    """Of the columns by their names in lower case, the four of a box; empty where one lacks."""
    found = tuple(next((columns[name] for name in names if name in columns), "") for names in _SIDES)
    return found if all(found) else ()


class BoxLines:
    """Gathers the boxes of each image.

    Args:
        finder: Finds the files.
        parts: Is given the samples by part.
    """

    def __init__(self, finder: ImageFinder, parts: dict[str, list[Sample]]) -> None:
        self.finder, self.parts = finder, parts
        self._files: dict[str, tuple[str, Path]] = {}
        self._boxes: dict[str, list[Box]] = {}
        self._part: dict[str, str] = {}

    def add(self, name: str, part: str, label: str, sides: Sequence[str | None]) -> None:
        """A box of the image ``name``; if label and sides are empty, the image alone.

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

    def close(self) -> None:
        """Make samples of what was gathered."""
        for name, boxes in self._boxes.items():
            known, file = self._files[name]
            sample = Sample(known, ImageFile(file), Boxes(tuple(boxes)))
            self.parts.setdefault(self._part[name], []).append(sample)

"""What came of converting a data set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Converted:
    """What was converted.

    Attributes:
        data: The new data set, as other commands take it.
        read_as: Format that was read.
        written_as: Format that was written.
        images: Number of images by part.
        boxes: Number of boxes.
        notes: Choices made while reading, and what the format cannot hold.
        skipped: Files and records left out, each with ``file`` and ``error``.
        unused: Images in the folder that the data set does not name.
        lost: What the new format cannot hold: ``what``, ``count``, and the ``files`` that had it.
        unread: What the annotations state and is not read: ``what``, ``count``, and the ``first`` record.
        classes: All classes in their order, those without an example too.
    """

    data: Path
    read_as: str
    written_as: str
    images: dict[str, int]
    boxes: int
    notes: tuple[str, ...]
    skipped: tuple[dict[str, str], ...]
    unused: tuple[str, ...] = ()
    lost: tuple[dict[str, Any], ...] = ()
    unread: tuple[dict[str, Any], ...] = ()
    classes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        lists = {name: list(value) for name, value in vars(self).items() if isinstance(value, tuple)}
        return {**vars(self), **lists, "data": str(self.data)}

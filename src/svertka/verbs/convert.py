"""Convert: a data set in another format."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from svertka.verbs._progress import Display


@dataclass(frozen=True)
class Converted:
    """What was converted.

    Attributes:
        data: The new data set, as other verbs take it.
        read_as: Format that was read.
        written_as: Format that was written.
        images: Number of images by part.
        boxes: Number of boxes.
        notes: Choices made while reading, and what the format cannot hold.
        skipped: Files and records left out, each with ``file`` and ``error``.
    """

    data: Path
    read_as: str
    written_as: str
    images: dict[str, int]
    boxes: int
    notes: tuple[str, ...]
    skipped: tuple[dict[str, str], ...]

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {**vars(self), "data": str(self.data), "notes": list(self.notes), "skipped": list(self.skipped)}


def convert(
    source: str | PathLike[str],
    target: str | PathLike[str],
    *,
    format: str,  # noqa: A002 (the user's word)
    source_format: str | None = None,
    progress: bool = True,
) -> Converted:
    """Write a data set in another format: class folders, COCO, VOC, YOLO, CSV, or images and masks.

    Images are linked where the disk allows it, and copied elsewhere. Parts stay as they are.

    Args:
        source: A data set in any format that is read.
        target: Folder to write to; it must be new or empty.
        format: ``folders``, ``coco``, ``voc``, ``yolo``, ``masks`` or ``csv``.
        source_format: Insist on the format that is read; by default, the data set is looked at.
        progress: Show progress on standard error.

    Raises:
        UserError: The data set cannot be read, the format cannot hold it, or the folder is in use.
    """
    from svertka.data.reading import open_dataset
    from svertka.data.writing import write_dataset

    display = Display(show=progress)
    dataset = open_dataset(Path(source), source_format)
    written = write_dataset(dataset, Path(target), format, advance=display.converting)
    return Converted(
        written.entry,
        dataset.format,
        written.title,
        written.images,
        written.boxes,
        (*dataset.notes, *written.notes),
        tuple(item.to_json() for item in (*dataset.skipped, *written.skipped)),
    )

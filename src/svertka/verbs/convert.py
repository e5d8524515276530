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
    from svertka.data.checks.unused import images_not_used
    from svertka.data.reading import open_dataset
    from svertka.data.samples import flat
    from svertka.data.unread import unread_note
    from svertka.data.writing import write_dataset

    display = Display(show=progress)
    dataset = open_dataset(Path(source), source_format)
    unused = tuple(images_not_used(dataset.root, flat(dataset)[1]))  # the new folder may lie in the old one
    written = write_dataset(dataset, Path(target), format, advance=display.converting)
    return Converted(
        written.entry,
        dataset.format,
        written.title,
        written.images,
        written.boxes,
        (*dataset.notes, *unread_note(dataset.unread), *(item.note() for item in written.lost), *written.notes),
        tuple(item.to_json() for item in (*dataset.skipped, *written.skipped)),
        unused,
        tuple(item.to_json() for item in written.lost),
        tuple(item.to_json() for item in dataset.unread),
        dataset.class_list(),
    )

"""Convert: a data set in another format."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from svertka.commands.convert.result import Converted
from svertka.workflows.progress import Display


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
    from svertka.data.files.unread import unread_note
    from svertka.data.readers.reading import open_dataset
    from svertka.data.samples import flat, images_only
    from svertka.data.writers.writing import write_dataset

    display = Display(show=progress)
    dataset = images_only(open_dataset(Path(source), source_format))
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

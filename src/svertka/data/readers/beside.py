"""Reading by a format, with what stands beside the data set: a class list, links to folders, other annotations."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from svertka.annotations import Mask
from svertka.data.files.documents import read_text
from svertka.data.files.paths import below
from svertka.data.files.records import RecordError
from svertka.data.readers.structure import check_class_folders, linked_folders
from svertka.data.readers.unknown import unknown_annotations
from svertka.data.samples import Dataset, Format, Unread
from svertka.errors import UserError

_CLASS_LIST = 1 << 20  # bytes
_NAMED = 3


def read_as(entry: Format, path: Path, *, last_resort: bool) -> Dataset:
    """The data set at ``path``, read by a format, with the classes of ``classes.txt`` where it has no list of its own.

    Args:
        entry: The format.
        path: A folder or a file.
        last_resort: Whether the format has no marks and was taken because no other fits: then what it reads may be the
            folders of some format that is not known, and is looked at again.

    Raises:
        UserError: It cannot be read; links and annotations that nothing follows are named.
    """
    dataset = _beside_unknown(entry, path) if last_resort else _beside_links(entry, path)
    # A class list is taken if it names all classes that occur; the classes of a mask have a place in theirs.
    if dataset.classes or any(isinstance(one.annotation, Mask) for part in dataset.parts.values() for one in part):
        return dataset
    for folder in {place if place.is_dir() else place.parent: None for place in (path, dataset.root)}:
        try:
            text = read_text(below(folder, "classes.txt"), _CLASS_LIST)
        except RecordError:  # none, or none that is read
            continue
        lines = tuple(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))
        if set(dataset.class_list()) <= set(lines):
            return dataclasses.replace(dataset, classes=lines)
    return dataset


def _beside_links(entry: Format, path: Path) -> Dataset:
    """The data set; links to folders, which no reader follows, are named."""
    linked = linked_folders(path)
    told = f"links to folders are passed over: {', '.join(linked[:_NAMED])}{', …' if len(linked) > _NAMED else ''}"
    try:
        dataset = entry.read(path)
    except UserError as error:
        if not linked:
            raise
        remedy = "put the folder itself in the link's place, or give the folder that it leads to"
        raise UserError(f"{error.what} ({told})", where=error.where, mend=remedy) from error
    if linked and not any(note.startswith("links to folders") for note in dataset.notes):
        return dataclasses.replace(dataset, notes=[*dataset.notes, told])
    return dataset


def _beside_unknown(entry: Format, folder: Path) -> Dataset:
    """Class folders, which heed no file of annotations; those that are there are counted as not read."""
    found = unknown_annotations(folder)
    try:
        dataset = entry.read(folder)
    except UserError as error:
        if not found:
            raise
        named = ", ".join(found[:_NAMED]) + (f" and {len(found) - _NAMED:,} more" if len(found) > _NAMED else "")
        raise UserError(
            f"{error.what}, and annotations of no format that is read: {named}",
            where=error.where,
            mend="export them as COCO JSON, Pascal VOC, YOLO or a CSV of file,label",
        ) from error
    check_class_folders(dataset, found)
    unread = tuple(Unread(f"file {name}", 1, str(folder), minor=True) for name in found)
    return dataclasses.replace(dataset, unread=(*dataset.unread, *unread))

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
from svertka.wording import some

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
    unread = unknown_annotations(path) if last_resort else []
    linked = [] if last_resort else linked_folders(path)  # no reader follows them
    told = f"links to folders are passed over: {', '.join(linked[:_NAMED])}{', …' if len(linked) > _NAMED else ''}"
    try:
        dataset = entry.read(path)
    except UserError as error:
        if unread:
            what = f"{error.what}, and annotations of no format that is read: {some(unread, _NAMED)}"
            mend = "export them as COCO JSON, Pascal VOC, YOLO or a CSV of file,label"
        elif linked:
            what = f"{error.what} ({told})"
            mend = "put the folder itself in the link's place, or give the folder that it leads to"
        else:
            raise
        raise UserError(what, where=error.where, mend=mend) from error
    if last_resort:
        check_class_folders(dataset, unread)
        files = tuple(Unread(f"file {name}", 1, str(path), minor=True) for name in unread)
        dataset = dataclasses.replace(dataset, unread=(*dataset.unread, *files))
    if linked and not any(note.startswith("links to folders") for note in dataset.notes):
        dataset = dataclasses.replace(dataset, notes=[*dataset.notes, told])
    return _with_class_list(dataset, path)


def _with_class_list(dataset: Dataset, path: Path) -> Dataset:
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

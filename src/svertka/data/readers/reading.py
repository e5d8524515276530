"""Opening a data set, whatever its format."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from svertka.annotations import Mask
from svertka.data.files.documents import read_text
from svertka.data.files.paths import below
from svertka.data.files.records import RecordError
from svertka.data.readers.archives import archive_kind, unpacked
from svertka.data.readers.coco import COCO
from svertka.data.readers.coco_panoptic import PANOPTIC
from svertka.data.readers.createml import CREATEML
from svertka.data.readers.cvat import CVAT
from svertka.data.readers.folders import FOLDERS, NESTED
from svertka.data.readers.huggingface import HUGGING_FACE
from svertka.data.readers.idx import IDX
from svertka.data.readers.imagefolder import IMAGEFOLDER
from svertka.data.readers.label_columns import LABEL_COLUMNS_CSV
from svertka.data.readers.label_studio import LABEL_STUDIO
from svertka.data.readers.labelme import LABELME
from svertka.data.readers.masks import MASKS
from svertka.data.readers.pairs import PAIRS
from svertka.data.readers.parquet import PARQUET
from svertka.data.readers.shards import SHARDS, is_shards
from svertka.data.readers.structure import check_class_folders, linked_folders
from svertka.data.readers.table import TABLE
from svertka.data.readers.unknown import read_beside_unknown
from svertka.data.readers.voc import VOC
from svertka.data.readers.yolo import YOLO
from svertka.data.samples import Dataset, Format
from svertka.errors import UserError, nearest
from svertka.plugins import Registry

_CLASS_LIST = 1 << 20  # bytes

_OWN: tuple[Format, ...] = (
    *(LABEL_COLUMNS_CSV, TABLE, PARQUET, SHARDS, IDX, IMAGEFOLDER, HUGGING_FACE, PANOPTIC, COCO, LABEL_STUDIO),
    *(CREATEML, LABELME, VOC, CVAT, YOLO, MASKS, PAIRS, NESTED, FOLDERS),
)
"""Those with the plainest marks come first; what has none is taken for class folders."""

OWN = {"format": lambda: _OWN}
"""Svertka's own things for `svertka.plugins`, by kind."""

FORMATS: Registry[Format] = Registry("format")
"""The formats that are read, by name."""


def open_dataset(path: Path, format: str | None = None) -> Dataset:  # noqa: A002 (the user's word)
    """Read the data set at ``path``.

    Args:
        path: A folder or a file; or an archive of one, which is unpacked into the cache.
        format: Name of one of `FORMATS`; by default, the first that it looks like.

    Raises:
        UserError: There is nothing, nothing that is read here, or no format of that name.
    """
    shards = is_shards(path)
    if not path.exists() and not shards:
        raise UserError("no such folder", where=path, mend="give a folder with a folder of images for each class")
    if not shards and not (path.is_dir() or path.is_file()):
        raise UserError(
            "not a regular file", where=path, mend="give a folder or a file; a pipe or a device may never end"
        )
    if not shards and (kind := archive_kind(path)):
        return _in_archive(path, kind, format)
    if format is not None:
        if format not in FORMATS:
            raise UserError(f"unknown format {format!r}", mend=nearest(format, FORMATS))
        try:
            return _with_class_list(_with_links(FORMATS[format].read, path), path)
        except (NotADirectoryError, IsADirectoryError) as error:
            kind = "folder" if path.is_dir() else "file"
            raise UserError(f"a {kind}, and no data set of the format {format}", where=path) from error
    for entry in _in_order():
        if entry.fits(path):
            if entry not in (NESTED, FOLDERS):
                return _with_class_list(_with_links(entry.read, path), path)
            # Class folders are the last resort, and are read whatever lies beside them.
            dataset = read_beside_unknown(entry, path)
            check_class_folders(dataset, path)
            return _with_class_list(dataset, path)
    annotations = path.suffix.lower() in (".json", ".xml", ".yaml", ".yml")
    raise UserError(
        "annotations of no format that is read, or none at all" if annotations else "a file, not a data set",
        where=path,
        mend="give a folder with class folders, or a .csv of file,label",
    )


def _in_order() -> list[Format]:
    # A plug-in's marks are looked for before anything is taken for class folders, which have none.
    plain = [NESTED, FOLDERS]
    return [entry for entry in FORMATS.values() if entry not in plain] + plain


def _with_links(read: Callable[[Path], Dataset], path: Path) -> Dataset:
    """What a reader makes of the data set; links to folders, which no reader follows, are named."""
    linked = linked_folders(path)
    told = f"links to folders are passed over: {', '.join(linked[:3])}{', …' if len(linked) > 3 else ''}"
    try:
        dataset = read(path)
    except UserError as error:
        if not linked:
            raise
        remedy = "put the folder itself in the link's place, or give the folder that it leads to"
        raise UserError(f"{error.what} ({told})", where=error.where, mend=remedy) from error
    if linked and not any(note.startswith("links to folders") for note in dataset.notes):
        return dataclasses.replace(dataset, notes=[*dataset.notes, told])
    return dataset


def _with_class_list(dataset: Dataset, path: Path) -> Dataset:
    # classes.txt beside what has no class list of its own, if it names all classes that occur.
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


def _in_archive(path: Path, kind: str, format: str | None) -> Dataset:  # noqa: A002
    folder = unpacked(path)
    try:
        dataset = open_dataset(folder, format)
    except UserError as error:
        # The user knows nothing of a folder in the cache.
        where = (error.where or str(folder)).replace(str(folder), str(path), 1)
        raise UserError(error.what, where=where, mend=error.mend) from error
    notes = [note.replace(str(folder), str(path)) for note in dataset.notes]
    files = tuple(path / file.relative_to(folder) for file in dataset.files)
    title = f"{dataset.format} in a {'zip' if kind == 'zip' else 'tar'} archive"
    return dataclasses.replace(dataset, root=path, format=title, notes=notes, files=files)

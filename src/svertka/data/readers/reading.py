"""Opening a data set, whatever its format."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from svertka.data.readers.archives import archive_kind, unpacked
from svertka.data.readers.beside import read_as
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
from svertka.data.readers.table import TABLE
from svertka.data.readers.voc import VOC
from svertka.data.readers.yolo import YOLO
from svertka.data.samples import Dataset, Format
from svertka.errors import UserError, nearest
from svertka.plugins import Registry

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
    kind = None if shards else archive_kind(path)
    folder = path if kind is None else unpacked(path)
    try:
        entry = _chosen(folder, format)
        dataset = read_as(entry, folder, last_resort=format is None and entry in (NESTED, FOLDERS))
    except (NotADirectoryError, IsADirectoryError) as error:
        if format is None:
            raise
        found = "folder" if folder.is_dir() else "file"
        raise UserError(f"a {found}, and no data set of the format {format}", where=path) from error
    except UserError as error:
        if kind is None:
            raise
        # The user knows nothing of a folder in the cache.
        where = (error.where or str(folder)).replace(str(folder), str(path), 1)
        raise UserError(error.what, where=where, mend=error.mend) from error
    if kind is None:
        return dataset
    notes = [note.replace(str(folder), str(path)) for note in dataset.notes]
    files = tuple(path / file.relative_to(folder) for file in dataset.files)
    title = f"{dataset.format} in a {'zip' if kind == 'zip' else 'tar'} archive"
    return dataclasses.replace(dataset, root=path, format=title, notes=notes, files=files)


def _chosen(path: Path, format: str | None) -> Format:  # noqa: A002
    """The format of this name, or the first that a folder or a file looks like."""
    if format is not None:
        if format not in FORMATS:
            raise UserError(f"unknown format {format!r}", mend=nearest(format, FORMATS))
        return FORMATS[format]
    # A plug-in's marks are looked for before anything is taken for class folders, which have none.
    plain = (NESTED, FOLDERS)
    for entry in (*(entry for entry in FORMATS.values() if entry not in plain), *plain):
        if entry.fits(path):
            return entry
    annotations = path.suffix.lower() in (".json", ".xml", ".yaml", ".yml")
    raise UserError(
        "annotations of no format that is read, or none at all" if annotations else "a file, not a data set",
        where=path,
        mend="give a folder with class folders, or a .csv of file,label",
    )

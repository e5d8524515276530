"""Annotation files of formats that are not read: named, with what to export instead."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from svertka.data.files.documents import has_keys, peek
from svertka.data.files.layout import files_in, part_in, subfolders
from svertka.data.samples import Dataset, Format, Unread
from svertka.errors import UserError

_SUFFIXES = (
    *(".json", ".ndjson", ".jsonl", ".xml", ".csv", ".tsv", ".tfrecord", ".tfrecords", ".record"),
    *(".mat", ".pkl", ".lst", ".rec", ".yaml", ".yml"),
)
_KINDS = (
    ("VGG Image Annotator", ("_via_settings",)),
    ("VGG Image Annotator", ("regions", "file_attributes")),
    ("Supervisely", ("tags", "objects", "size")),
    ("V7 Darwin", ("item", "annotations")),
    ("Labelbox", ("data_row",)),
)
_RECORDS = (".tfrecord", ".tfrecords", ".record")
_PLAIN = ("dataset_info.json", "package.json", "state.json")
_LOOKED_AT = 20
_NAMED = 3


def unknown_annotations(folder: Path) -> list[str]:
    """Files in a folder, or in those of its parts, that may be annotations, with the name of their format where that is
    seen."""
    if not folder.is_dir():
        return []
    found: list[str] = []
    for place in (folder, *(inner for inner in subfolders(folder) if part_in(inner.name))):
        for file in sorted(file for suffix in _SUFFIXES for file in files_in(place, suffix, folder)[:_LOOKED_AT]):
            if file.name.lower() not in _PLAIN:
                kind = _kind(file)
                found.append(file.relative_to(folder).as_posix() + (f" ({kind})" if kind else ""))
    return list(dict.fromkeys(found))


def read_beside_unknown(entry: Format, folder: Path) -> Dataset:
    """The data set of a format that heeds no file of annotations; those that are there are counted as not read.

    Raises:
        UserError: It cannot be read; the annotations that are there are named.
    """
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
    unread = tuple(Unread(f"file {name}", 1, str(folder), minor=True) for name in found)
    return dataclasses.replace(dataset, unread=(*dataset.unread, *unread))


def _kind(file: Path) -> str:
    if file.name.endswith(_RECORDS):
        return "TFRecord"
    text = peek(file) if file.suffix.lower() in (".json", ".ndjson", ".jsonl") else ""
    return next((title for title, keys in _KINDS if has_keys(text, *keys)), "")

"""Annotation files of formats that are not read: named, with what to export instead."""

from __future__ import annotations

from pathlib import Path

from svertka.data.files.documents import has_keys, peek
from svertka.data.files.layout import files_in, part_in, subfolders

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


def _kind(file: Path) -> str:
    if file.name.endswith(_RECORDS):
        return "TFRecord"
    text = peek(file) if file.suffix.lower() in (".json", ".ndjson", ".jsonl") else ""
    return next((title for title, keys in _KINDS if has_keys(text, *keys)), "")

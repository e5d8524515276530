"""Images and a table beside them: Hugging Face's ``metadata.csv`` or ``metadata.jsonl``, Roboflow's
``_annotations.csv``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from svertka.data.files.documents import MAX_TABLE, check_file
from svertka.data.files.layout import PART_SPELLINGS
from svertka.data.files.records import RecordError
from svertka.data.readers.table import (
    FILE_COLUMNS,
    LABEL_COLUMNS,
    Gathered,
    Table,
    column_names,
    csv_records,
    part_called,
)
from svertka.data.samples import Dataset, Format
from svertka.errors import UserError

_NAMES = ("metadata.csv", "metadata.jsonl", "_annotations.csv")
_LINE = 1 << 20  # characters of a JSON line


def is_imagefolder(path: Path) -> bool:
    """Whether it is a folder with such a table, in it or in those of its parts, and that has labels."""
    try:
        tables = [_metadata(file) for file in _metadata_files(path)[:1]]
    except UserError:
        return False
    return any(
        not table.columns.keys().isdisjoint(FILE_COLUMNS) and LABEL_COLUMNS & table.columns.keys() for table in tables
    )


def read_imagefolder(path: Path) -> Dataset:
    """Read the metadata of an imagefolder, or of each of its parts' folders.

    Raises:
        UserError: There is none, or it cannot be used.
    """
    files = _metadata_files(path)
    if not files:
        raise UserError(f"none of {', '.join(_NAMES)}", where=path)
    gathered = Gathered()
    for file in files:
        gathered.add(_metadata(file), file.parent, part_called(file.parent.name) if file.parent != path else "all")
    return gathered.dataset(path, "image folder with metadata")


def _metadata_files(path: Path) -> list[Path]:
    if not path.is_dir():
        return []
    spelt = {spelling for spellings in PART_SPELLINGS.values() for spelling in spellings}
    folders = [path, *(folder for folder in sorted(path.iterdir()) if folder.name.lower() in spelt)]
    found = [folder / name for folder in folders for name in _NAMES]
    return [file for file in found if file.is_file() and file.resolve().is_relative_to(path.resolve())]


def _metadata(path: Path) -> Table:
    return csv_records(path) if path.suffix == ".csv" else _jsonl(path)


def _jsonl(path: Path) -> Table:
    records: list[tuple[str, dict[str, Any]]] = []
    columns: dict[str, None] = {}
    try:
        check_file(path, MAX_TABLE)
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(iter(lambda: file.readline(_LINE + 1), ""), 1):
                if len(line) > _LINE:
                    raise ValueError(f"line {number} is over {_LINE:,} characters")
                if line.strip():
                    row = json.loads(line)
                    if not isinstance(row, dict):
                        raise ValueError(f"line {number} is no object")
                    columns.update(dict.fromkeys(row))
                    records.append((f"line {number}", row))
    except (RecordError, OSError, ValueError, RecursionError) as error:
        raise UserError(f"not readable JSON lines ({error})", where=path) from error
    # A record may lack a column.
    return Table(path, column_names(columns), [(place, dict.fromkeys(columns) | row) for place, row in records])


IMAGEFOLDER = Format("imagefolder", "a folder with metadata.csv or metadata.jsonl", is_imagefolder, read_imagefolder)

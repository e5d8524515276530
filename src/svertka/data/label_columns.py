"""CSV with a column for each label, 1 where an image has it; Roboflow calls it ``_classes.csv``, one in each part."""

from __future__ import annotations

from pathlib import Path

from svertka.data.folders import PART_SPELLINGS
from svertka.data.layout import part_in, relative, subfolders
from svertka.data.paths import below
from svertka.data.records import RecordError, dataset_of, name_of, shown
from svertka.data.samples import Dataset, Format, ImageFile, Sample, Skipped
from svertka.data.table import FILE_COLUMNS, LABEL_COLUMNS, PART_COLUMNS, Table, csv_records, part_called
from svertka.errors import UserError

_NAME = "_classes.csv"
_YES, _NO = ("1", "1.0", "true"), ("0", "0.0", "false", "")
_LOOKED_AT = 50  # records


def is_label_columns(path: Path) -> bool:
    """Whether it is such a CSV, or a folder with ``_classes.csv`` in it or in those of its parts."""
    try:
        tables = [csv_records(file) for file in _files(path)[:1]]
    except UserError:
        return False
    return bool(tables) and bool(_label_columns(tables[0]))


def read_label_columns(path: Path) -> Dataset:
    """Read one such CSV, or that of each part.

    Raises:
        UserError: There is none, it has no column of files, or no record can be used.
    """
    files = _files(path)
    if not files:
        raise UserError(f"no {_NAME}", where=path)
    root = path if path.is_dir() else path.parent
    parts: dict[str, list[Sample]] = {}
    skipped: list[Skipped] = []
    classes: dict[str, None] = {}
    for file in files:
        table = csv_records(file)
        columns = _label_columns(table)
        if not columns:
            raise UserError("no column of files and others of 0 and 1", where=file)
        classes.update(dict.fromkeys(columns))
        part = part_in(file.parent.name) if file.parent != root else None
        for place, row in table.records:
            where = f"{relative(file, root)}, {place}"
            try:
                sample, own = _sample(table, dict(row), columns, root)
                if (named := own or part or "all") not in {"all", *PART_SPELLINGS}:
                    raise RecordError(f"the split {named!r} is none of train, val, test")
                parts.setdefault(named, []).append(sample)
            except RecordError as error:
                skipped.append(Skipped(where, str(error)))
    return dataset_of(root, "CSV with a column for each label", parts, [], skipped, classes=classes)


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path] if path.suffix.lower() == ".csv" else []
    if not path.is_dir():
        return []
    folders = [path, *(folder for folder in subfolders(path) if part_in(folder.name))]
    found: list[Path] = []
    for folder in folders:
        try:
            found.append(below(path, _NAME, folder=folder))
        except RecordError:
            continue
    return found


def _label_columns(table: Table) -> dict[str, str]:
    """The columns that are labels, by label; none where the table is another."""
    named = {name: column for name, column in table.columns.items() if name not in (*FILE_COLUMNS, *PART_COLUMNS)}
    if len(named) == len(table.columns) or LABEL_COLUMNS & named.keys() or not table.records:
        return {}
    for _, row in table.records[:_LOOKED_AT]:
        values = [str(row[column] or "").strip().lower() for column in named.values()]
        if not all(value in (*_YES, *_NO) for value in values):
            return {}
    return {" ".join(column.split()): column for column in named.values() if column.strip()}


def _sample(table: Table, row: dict[str, object], columns: dict[str, str], root: Path) -> tuple[Sample, str]:
    file_column = next(table.columns[name] for name in FILE_COLUMNS if name in table.columns)
    part_column = next((table.columns[name] for name in PART_COLUMNS if name in table.columns), None)
    path = below(root, name_of(row[file_column], "the file"), folder=table.path.parent)
    labels = []
    for label, column in columns.items():
        if row[column] is None:
            raise RecordError(f"the record ends before {label!r}")
        value = str(row[column]).strip().lower()
        if value not in (*_YES, *_NO):
            raise RecordError(f"{label!r} is {shown(row[column])}, neither 0 nor 1")
        if value in _YES:
            labels.append(label)
    part = part_called(str(row[part_column] or "")) if part_column else ""
    return Sample(relative(path, root), ImageFile(path), tuple(labels)), "" if part == "all" else part


LABEL_COLUMNS_CSV = Format("label_columns", "a CSV with a column for each label", is_label_columns, read_label_columns)

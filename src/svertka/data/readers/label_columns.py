"""CSV with a column for each label, 1 where an image has it; Roboflow calls it ``_classes.csv``, one in each part."""

from __future__ import annotations

import csv
from pathlib import Path

from svertka.data.files.documents import peek
from svertka.data.files.layout import PART_SPELLINGS, part_in, relative, subfolders
from svertka.data.files.paths import below
from svertka.data.files.records import RecordError, dataset_of, name_of, shown
from svertka.data.files.unread import Fields, UnreadCounter
from svertka.data.readers.table import (
    FILE_COLUMNS,
    LABEL_COLUMNS,
    PART_COLUMNS,
    Table,
    column_names,
    csv_records,
    part_called,
)
from svertka.data.samples import Dataset, Format, ImageFile, Sample, Skipped
from svertka.errors import UserError

_NAME = "_classes.csv"
_OTHERS = (*FILE_COLUMNS, *PART_COLUMNS)
_YES, _NO = ("1", "1.0", "true"), ("0", "0.0", "false", "")
_LOOKED_AT = 50  # records


def is_label_columns(path: Path) -> bool:
    """Whether it is such a CSV, or a folder with ``_classes.csv`` in it or in those of its parts."""
    return any(_label_columns(_head(file)) for file in _files(path)[:1])


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
    unread = UnreadCounter()
    for file in files:
        table = csv_records(file)
        columns = _label_columns(table)
        if not columns:
            raise UserError("no column of files and others of 0 and 1", where=file)
        classes.update(dict.fromkeys(columns))
        used = {*columns.values(), *(table.columns[name] for name in _OTHERS if name in table.columns)}
        known = Fields("a record", used, ("width", "height"))
        part = part_in(file.parent.name) if file.parent != root else None
        for place, row in table.records:
            where = f"{relative(file, root)}, {place}"
            unread.fields(row, known, where)
            try:
                sample, own = _sample(table, dict(row), columns, root)
                if (named := own or part or "all") not in {"all", *PART_SPELLINGS}:
                    raise RecordError(f"the split {named!r} is none of train, val, test")
                parts.setdefault(named, []).append(sample)
            except RecordError as error:
                skipped.append(Skipped(where, str(error)))
    title, found = "CSV with a column for each label", unread.found()
    return dataset_of(root, title, parts, [], skipped, classes=classes, unread=found, files=files)


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


def _head(path: Path) -> Table:
    try:
        rows = csv.DictReader(peek(path).splitlines()[: _LOOKED_AT + 1])
        return Table(path, column_names(rows.fieldnames or ()), [("", row) for row in rows])
    except csv.Error:
        return Table(path, {}, [])


def _label_columns(table: Table) -> dict[str, str]:
    """The columns that are labels, by label; none where the table is another.

    A column of ``_classes.csv`` is a label if it has 0 and 1 in most records that are looked at; in a file of another
    name, all columns have to be.
    """
    named = {name: column for name, column in table.columns.items() if name not in _OTHERS}
    if len(named) == len(table.columns) or LABEL_COLUMNS & named.keys() or not table.records:
        return {}
    looked = [row for _, row in table.records[:_LOOKED_AT]]
    found = {
        " ".join(column.split()): column
        for column in named.values()
        if column.strip() and 2 * sum(_is_answer(row.get(column)) for row in looked) > len(looked)
    }
    return found if len(found) == len(named) or table.path.name.lower() == _NAME else {}


def _is_answer(value: object) -> bool:
    return str(value or "").strip().lower() in (*_YES, *_NO)


def _sample(table: Table, row: dict[str, object], columns: dict[str, str], root: Path) -> tuple[Sample, str]:
    file_column = next(table.columns[name] for name in FILE_COLUMNS if name in table.columns)
    part_column = next((table.columns[name] for name in PART_COLUMNS if name in table.columns), None)
    path = below(root, name_of(row[file_column], "the file"), folder=table.path.parent)
    labels = []
    for label, column in columns.items():
        if row[column] is None:
            raise RecordError(f"the record ends before {label!r}")
        if not _is_answer(row[column]):
            raise RecordError(f"{label!r} is {shown(row[column])}, neither 0 nor 1")
        if str(row[column]).strip().lower() in _YES:
            labels.append(label)
    part = part_called(str(row[part_column] or "")) if part_column else ""
    return Sample(relative(path, root), ImageFile(path), tuple(labels)), "" if part == "all" else part


LABEL_COLUMNS_CSV = Format("label_columns", "a CSV with a column for each label", is_label_columns, read_label_columns)

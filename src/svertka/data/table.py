"""Tables of image files and their labels, one each or several; and such a table as a CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from svertka.annotations import Annotation, class_names
from svertka.data.box_table import BoxLines, box_columns
from svertka.data.folders import PART_SPELLINGS
from svertka.data.paths import below
from svertka.data.records import RecordError
from svertka.data.samples import Dataset, Format, ImageFile, Sample, Skipped
from svertka.errors import UserError
from svertka.wording import inflected

FILE_COLUMNS = ("file", "filename", "file_name", "path", "image")
_LABEL = ("label", "class", "target", "category")
_LABELS = ("labels", "classes", "targets", "categories")
_BETWEEN = ";"
_PART = ("split", "part", "set", "subset")
LABEL_COLUMNS = frozenset((*_LABEL, *_LABELS))
"""Names, in lower case, of a column of labels."""
COLUMNS = LABEL_COLUMNS | {*FILE_COLUMNS, *_PART}
"""Names, in lower case, of all columns that are read."""


@dataclass
class Gathered:
    """What is read of one or many tables."""

    parts: dict[str, list[Sample]] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)
    several: bool = False
    boxes: bool = False

    def add(self, table: Table, folder: Path, part: str = "all") -> None:
        """Take in the records of a table; files are looked for below ``folder``."""
        file_column, label_column = _column(table, FILE_COLUMNS), _column(table, (*_LABEL, *_LABELS))
        part_column = next((table.columns[name] for name in _PART if name in table.columns), None)
        sides = box_columns(table.columns)
        objects = BoxLines(folder, self.parts)
        several = not sides and (
            label_column.strip().lower() in _LABELS
            or any(
                isinstance(row[label_column], list) or _BETWEEN in str(row[label_column] or "")
                for _, row in table.records
            )
        )
        self.boxes |= bool(sides)
        self.several |= several
        for place, row in table.records:
            name = str(row[file_column] or "").strip()
            named = part_called(str(row[part_column] or "")) if part_column else part
            try:
                label = None if sides else _annotation(row[label_column], several=several)
                if not name or (sides and row[label_column] is None) or (not sides and label is None):
                    raise RecordError("the file or the label is missing")
                if named not in {"all", *PART_SPELLINGS}:
                    raise RecordError(f"the split {named!r} is none of train, val, test")
                if label is None:
                    objects.add(name, named, str(row[label_column]), [row[side] for side in sides])
                else:
                    below(folder, name)
                    self.parts.setdefault(named, []).append(Sample(name, ImageFile(folder / name), label))
            except RecordError as error:
                self.skipped.append(Skipped(f"{table.path.name}, {place}", str(error)))
        objects.close()

    def dataset(self, path: Path, title: str) -> Dataset:
        """The data set of all of them.

        Raises:
            UserError: No record can be used.
        """
        if not self.parts:
            reason = f"; the first: {self.skipped[0].error}" if self.skipped else ""
            raise UserError(f"no usable record{reason}", where=path, mend="give lines of file,label")
        notes = []
        if self.several:
            without = sum(sample.annotation == () for samples in self.parts.values() for sample in samples)
            notes.append(f"an image may have several labels; {without:,} {inflected(without, 'has', 'have')} none")
        return Dataset(path, f"{title} of boxes" if self.boxes else title, self.parts, notes, self.skipped)


@dataclass(frozen=True)
class Table:
    """Records with named columns.

    Attributes:
        path: Where they come from.
        columns: Column by its name in lower case.
        records: Each with what an error calls its place.
    """

    path: Path
    columns: dict[str, str]
    records: Sequence[tuple[str, Mapping[str, Any]]]


def read_table(path: Path) -> Dataset:
    """Read a CSV with a header that names a column ``file`` and a column ``label``, and maybe ``split``.

    Where a label somewhere has a semicolon, or the column is called ``labels``, every image may have several, with
    semicolons between them, or none.

    Files are looked for below the CSV's folder; a record that points outside, or to nothing, is skipped.

    Raises:
        UserError: The columns are missing, or the text is no CSV.
    """
    gathered = Gathered()
    gathered.add(csv_records(path), path.parent)
    return gathered.dataset(path, "CSV")


def csv_records(path: Path) -> Table:
    """The records of a CSV.

    Raises:
        UserError: It is none.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            return Table(path, column_names(rows.fieldnames or ()), [(f"line {rows.line_num}", row) for row in rows])
    except (csv.Error, UnicodeDecodeError, OSError) as error:
        raise UserError(f"not a readable CSV ({error})", where=path) from error


def column_names(names: Iterable[str | None]) -> dict[str, str]:
    """Each column's name by its name in lower case."""
    return {(name or "").strip().lower(): name or "" for name in names}


def _column(table: Table, names: tuple[str, ...]) -> str:
    for name in names:
        if name in table.columns:
            return table.columns[name]
    found = ", ".join(table.columns) or "none"
    raise UserError(f"no column {names[0]!r} among: {found}", where=table.path, mend=f"call a column {names[0]!r}")


def part_called(text: str) -> str:
    """The part that a word stands for; the word where it stands for none, ``all`` where there is none."""
    word = text.strip().lower()
    return next((part for part, spellings in PART_SPELLINGS.items() if word in spellings), word or "all")


def _annotation(value: Any, *, several: bool) -> Annotation | None:
    if isinstance(value, list):
        return class_names(str(name).strip() for name in value if str(name).strip())
    if isinstance(value, bool | dict) or value is None:  # none: the record ends before it
        return None
    text = str(value).strip()
    if several:
        return class_names(name.strip() for name in text.split(_BETWEEN) if name.strip())
    return text or None


TABLE = Format("csv", "a CSV of files and labels", lambda path: path.suffix.lower() == ".csv", read_table)

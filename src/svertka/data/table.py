"""A CSV file of image files and their labels: one each, or several."""

from __future__ import annotations

import csv
from pathlib import Path

from svertka.annotations import Annotation, class_names
from svertka.data.box_table import BoxLines, box_columns
from svertka.data.folders import PART_SPELLINGS
from svertka.data.paths import below
from svertka.data.records import RecordError
from svertka.data.samples import Dataset, Format, ImageFile, Sample, Skipped
from svertka.errors import UserError

FILE_COLUMNS = ("file", "filename", "file_name", "path", "image")
_LABEL = ("label", "class", "target", "category")
_LABELS = ("labels", "classes", "targets", "categories")
_BETWEEN = ";"
_PART = ("split", "part", "set", "subset")


def read_table(path: Path) -> Dataset:
    """Read a CSV with a header that names a column ``file`` and a column ``label``, and maybe ``split``.

    Where a label somewhere has a semicolon, or the column is called ``labels``, every image may have several, with
    semicolons between them, or none.

    Files are looked for below the CSV's folder; a record that points outside, or to nothing, is skipped.

    Raises:
        UserError: The columns are missing, or the text is no CSV.
    """
    folder = path.parent
    parts: dict[str, list[Sample]] = {}
    skipped: list[Skipped] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            columns = {(name or "").strip().lower(): name for name in rows.fieldnames or ()}
            file_column = _column(columns, FILE_COLUMNS, path)
            label_column = _column(columns, (*_LABEL, *_LABELS), path)
            part_column = next((columns[name] for name in _PART if name in columns), None)
            box_sides = box_columns(columns)
            records = [(rows.line_num, row) for row in rows]
            several = not box_sides and (
                label_column.strip().lower() in _LABELS
                or any(_BETWEEN in (row[label_column] or "") for _, row in records)
            )
            objects = BoxLines(folder, parts)
            for line, row in records:
                name, text = (row[file_column] or "").strip(), row[label_column]
                part = _part(row[part_column] or "") if part_column else "all"
                try:
                    if not name or text is None:
                        raise RecordError("the file or the label is missing")
                    if part not in {"all", *PART_SPELLINGS}:
                        raise RecordError(f"the split {part!r} is none of train, val, test")
                    if box_sides:
                        objects.add(name, part, text, [row[side] for side in box_sides])
                        continue
                    label = _annotation(text, several=several)
                    if label is None:
                        raise RecordError("the file or the label is missing")
                    below(folder, name)
                    parts.setdefault(part, []).append(Sample(name, ImageFile(folder / name), label))
                except RecordError as error:
                    skipped.append(Skipped(f"{path.name}, line {line}", str(error)))
            objects.close()
    except (csv.Error, UnicodeDecodeError, OSError) as error:
        raise UserError(f"not a readable CSV ({error})", where=path) from error
    if not parts:
        reason = f"; the first: {skipped[0].error}" if skipped else ""
        raise UserError(f"no usable record{reason}", where=path, mend="give lines of file,label")
    notes = []
    if several:
        without = sum(sample.annotation == () for samples in parts.values() for sample in samples)
        notes.append(f"an image may have several labels; {without:,} have none")
    return Dataset(path, "CSV of boxes" if box_sides else "CSV", parts, notes, skipped)


def _column(columns: dict[str, str], names: tuple[str, ...], path: Path) -> str:
    for name in names:
        if name in columns:
            return columns[name]
    found = ", ".join(columns) or "none"
    raise UserError(f"no column {names[0]!r} among: {found}", where=path, mend=f"call a column {names[0]!r}")


def _part(text: str) -> str:
    word = text.strip().lower()
    return next((part for part, spellings in PART_SPELLINGS.items() if word in spellings), word or "all")


def _annotation(text: str, *, several: bool) -> Annotation | None:
    if several:
        return class_names(name.strip() for name in text.split(_BETWEEN) if name.strip())
    return text.strip() or None


TABLE = Format("csv", "a CSV of files and labels", lambda path: path.suffix.lower() == ".csv", read_table)

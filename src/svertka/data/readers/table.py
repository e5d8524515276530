"""Tables of image files and their labels, one each or several; and such a table as a CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TextIO

from svertka.annotations import Annotation, class_names
from svertka.data.files.documents import MAX_TABLE, check_file
from svertka.data.files.layout import (
    IMAGE_FOLDERS,
    PART_SPELLINGS,
    files_in,
    images_below,
    is_structure,
    part_in,
    subfolders,
)
from svertka.data.files.paths import ImageFinder
from svertka.data.files.records import RecordError, refuse_turned
from svertka.data.files.unread import Fields, UnreadCounter
from svertka.data.readers.box_table import BoxLines, box_columns, size_columns, size_in
from svertka.data.samples import Dataset, Format, ImageFile, Sample, Skipped, place_of
from svertka.errors import UserError
from svertka.wording import inflected

FILE_COLUMNS = (
    *("file", "filename", "file_name", "path", "image", "filepath", "file_path", "image_path"),
    *("image_name", "imagename", "image_id"),
)
_LABEL = ("label", "class", "target", "category")
_LABELS = ("labels", "classes", "targets", "categories")
_BETWEEN = ";"
_SUFFIXES = (".csv", ".tsv")
_MOST_TABLES = 20  # of a folder, that are looked at
_LONGEST_HEADER = 1 << 16
PART_COLUMNS = ("split", "part", "set", "subset")
_MINOR = ("width", "height", "image_width", "image_height", "depth")
LABEL_COLUMNS = frozenset((*_LABEL, *_LABELS))
"""Names, in lower case, of a column of labels."""
COLUMNS = LABEL_COLUMNS | {*FILE_COLUMNS, *PART_COLUMNS}
"""Names, in lower case, of all columns that are read."""


@dataclass
class Gathered:
    """What is read of one or many tables."""

    parts: dict[str, list[Sample]] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)
    several: bool = False
    boxes: bool = False
    unread: UnreadCounter = field(default_factory=UnreadCounter)
    files: list[Path] = field(default_factory=list)

    def add(self, table: Table, folder: Path, part: str = "all") -> None:
        """Take in the records of a table; files are looked for in ``folder`` and its folders of images and parts."""
        self.files.append(table.path)
        file_column, label_column = _column(table, FILE_COLUMNS), _column(table, (*_LABEL, *_LABELS))
        part_column = next((table.columns[name] for name in PART_COLUMNS if name in table.columns), None)
        sides = box_columns(table.columns)
        size_of_image = size_columns(table.columns) if sides else ()
        finder = ImageFinder(folder, _places(folder, table.path.stem), anywhere=False)
        objects = BoxLines(finder, self.parts, self.unread)
        several = not sides and (
            label_column.strip().lower() in _LABELS
            or any(
                isinstance(row[label_column], list) or _BETWEEN in str(row[label_column] or "")
                for _, row in table.records
            )
        )
        self.boxes |= bool(sides)
        self.several |= several
        taken = {file_column, label_column, part_column or file_column, *sides}
        absent = dict.fromkeys(size_of_image, (0, "0"))  # programs that did not look leave 0
        known = Fields("a record", taken, _MINOR, absent)
        with_size = Fields("a record", {*taken, *size_of_image}, _MINOR)
        for place, row in table.records:
            where = f"{table.path.name}, {place}"
            size = size_in(row, size_of_image)
            self.unread.fields(row, with_size if size else known, where)
            name = str(row[file_column] or "").strip()
            named = part_called(str(row[part_column] or "")) if part_column else part
            try:
                label = None if sides else _annotation(row[label_column], several=several)
                if not name or (sides and row[label_column] is None) or (not sides and label is None):
                    raise RecordError("the file or the label is missing")
                if named not in {"all", *PART_SPELLINGS}:
                    raise RecordError(f"the split {named!r} is none of train, val, test")
                if label is None:
                    refuse_turned(row)
                    objects.add(name, named, str(row[label_column]), [row[side] for side in sides], size, where)
                else:
                    called, file = finder.named(name, within=None if named == "all" else named)
                    self.parts.setdefault(named, []).append(Sample(called, ImageFile(file), label))
            except RecordError as error:
                self.skipped.append(Skipped(where, str(error)))
        objects.close()

    def dataset(self, path: Path, title: str) -> Dataset:
        """The data set of all of them.

        Raises:
            UserError: No record can be used.
        """
        if not self.parts:
            reason = f"; the first: {self.skipped[0].error}" if self.skipped else ""
            where = place_of(path, self.files)
            raise UserError(f"no usable record{reason}", where=where, mend="give lines of file,label")
        notes = []
        if self.several:
            without = sum(sample.annotation == () for samples in self.parts.values() for sample in samples)
            notes.append(f"an image may have several labels; {without:,} {inflected(without, 'has', 'have')} none")
        title = f"{title} of boxes" if self.boxes else title
        unread, files = self.unread.found(), tuple(self.files)
        return Dataset(path, title, self.parts, notes, self.skipped, unread=unread, files=files)


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
    """Read a CSV with a header that names a column ``file`` and a column ``label``, and maybe ``split``; or those in a
    folder beside its images, where these lie in no class folders.

    Where a label somewhere has a semicolon, or the column is called ``labels``, every image may have several, with
    semicolons between them, or none.

    Files are looked for below the CSV's folder; a record that points outside, or to nothing, is skipped.

    Raises:
        UserError: The columns are missing, or the text is no CSV; or a folder has several that may be meant.
    """
    if path.is_dir():
        return _read_folder(path)
    gathered = Gathered()
    gathered.add(csv_records(path), path.parent)
    return gathered.dataset(path, "CSV")


def csv_records(path: Path) -> Table:
    """The records of a CSV.

    Raises:
        UserError: It is none.
    """
    try:
        check_file(path, MAX_TABLE)
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = dict_rows(file)
            return Table(path, column_names(rows.fieldnames or ()), [(f"line {rows.line_num}", row) for row in rows])
    except (RecordError, csv.Error, UnicodeDecodeError, OSError) as error:
        raise UserError(f"not a readable CSV ({error})", where=path) from error


def dict_rows(file: TextIO) -> csv.DictReader[str]:
    """The rows of a CSV by column; columns are parted by commas or, where the header has none, semicolons or tabs."""
    header = file.readline(_LONGEST_HEADER)
    file.seek(0)
    between = "," if "," in header else next((mark for mark in ";\t" if mark in header), ",")
    return csv.DictReader(file, delimiter=between, restkey="beyond the header")


def column_names(names: Iterable[str | None]) -> dict[str, str]:
    """Each column's name by its name in lower case."""
    return {(name or "").strip().lower(): name or "" for name in names}


def _column(table: Table, names: tuple[str, ...]) -> str:
    for name in names:
        if name in table.columns:
            return table.columns[name]
    if not table.columns:
        raise UserError("it is empty", where=table.path, mend="give lines of file,label, the names of columns first")
    found = ", ".join(table.columns)
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


def _places(folder: Path, stem: str) -> list[Path]:
    """Where the files that a table in ``folder`` names may be."""
    found = [folder]
    with suppress(OSError):
        for inner in subfolders(folder):
            if inner.name.lower() in IMAGE_FOLDERS:
                found += [inner, *(deeper for deeper in subfolders(inner) if part_in(deeper.name))]
            elif part_in(inner.name) or inner.name == stem:
                found.append(inner)
    return found


def is_table(path: Path) -> bool:
    """Whether it is a CSV, or a folder with one that labels the images there, which lie in no class folders."""
    if not path.is_dir():
        return path.suffix.lower() in _SUFFIXES
    return bool(_tables_in(path)) and not has_class_folders(path)


def has_class_folders(root: Path) -> bool:
    """Whether images lie in two or more folders whose names are no parts of a format."""
    parts = [folder for folder in subfolders(root) if part_in(folder.name)]
    for place in (root, *parts):
        named = [folder for folder in subfolders(place) if not is_structure(folder.name) and folder not in parts]
        if sum(bool(images_below(folder, root)) for folder in named) > 1:
            return True
    return False


def _tables_in(folder: Path) -> list[Path]:
    """The CSVs in a folder that have files and labels, and begin with a file that is there."""
    found = []
    for path in [file for suffix in _SUFFIXES for file in files_in(folder, suffix, folder)][:_MOST_TABLES]:
        try:
            check_file(path, MAX_TABLE)
            with path.open(encoding="utf-8-sig", newline="") as file:
                rows = dict_rows(file)
                columns = column_names(rows.fieldnames or ())
                first = next(rows, {})
            name = next((columns[known] for known in FILE_COLUMNS if known in columns), None)
            if name is None or not LABEL_COLUMNS & columns.keys():
                continue
            ImageFinder(folder, _places(folder, path.stem), anywhere=False).find(str(first.get(name) or ""))
            found.append(path)
        except (RecordError, csv.Error, UnicodeDecodeError, OSError):
            continue
    return found


def _read_folder(folder: Path) -> Dataset:
    found = _tables_in(folder)
    if not found:
        raise UserError("no CSV in it that labels its images", where=folder, mend="give lines of file,label")
    by_part = [path for path in found if part_in(path.stem)]
    if len(found) == 1:
        (chosen,) = found
        dataset = read_table(chosen)
        return replace(dataset, notes=[f"labels as {chosen.name} has them", *dataset.notes])
    if not by_part or len({part_in(path.stem) for path in by_part}) < len(by_part):
        names = ", ".join(path.name for path in found)
        raise UserError(f"several tables label its images: {names}", where=folder, mend=f"give one: {found[0]}")
    gathered = Gathered()
    for path in by_part:
        gathered.add(csv_records(path), folder, part_in(path.stem) or "all")
    dataset = gathered.dataset(folder, "CSV")
    others = [f"{path.name} is not read" for path in found if path not in by_part]
    return replace(dataset, notes=[f"labels as {', '.join(path.name for path in by_part)} have them", *others])


TABLE = Format("csv", "a CSV of files and labels", is_table, read_table)

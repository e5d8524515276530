"""A Parquet file of image files and their labels, or of images and their labels."""

from __future__ import annotations

from pathlib import Path

from svertka.data.files.records import shown
from svertka.data.readers import arrow
from svertka.data.readers.huggingface import holds_images, read_hugging_face
from svertka.data.readers.table import COLUMNS, Gathered, Table, column_names
from svertka.data.samples import Dataset, Format


def read_parquet(path: Path) -> Dataset:
    """As `svertka.data.readers.table.read_table`; a file that holds the images is read as a shard of a data set.

    Raises:
        UserError: The columns are missing, the file is damaged, or pyarrow is not installed.
    """
    with arrow.parquet_file(path) as file:
        if holds_images(file.schema_arrow):
            return read_hugging_face(path)
        names = [name for name in file.schema_arrow.names if name.strip().lower() in COLUMNS]
        others, count = [name for name in file.schema_arrow.names if name not in names], file.metadata.num_rows
    rows = enumerate(arrow.parquet_rows(path, names))
    gathered = Gathered()
    for name in others:
        gathered.unread.add(f"column {shown(name)}", path.name, count=count)
    gathered.add(Table(path, column_names(names), [(f"row {number}", row) for number, row in rows]), path.parent)
    return gathered.dataset(path, "Parquet")


PARQUET = Format(
    "parquet",
    "a Parquet file of files and labels, or of images and labels",
    lambda path: path.suffix.lower() == ".parquet" and path.is_file(),
    read_parquet,
)

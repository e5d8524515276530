"""Opening a data set, whatever its format."""

from __future__ import annotations

from pathlib import Path

from svertka.data.folders import read_folders
from svertka.data.idx import is_idx, read_idx
from svertka.data.samples import Dataset
from svertka.data.table import read_table
from svertka.errors import UserError


def open_dataset(path: Path) -> Dataset:
    """Read the data set at ``path``: class folders, IDX files in a folder, or a CSV file.

    Raises:
        UserError: There is nothing, or nothing that is read here.
    """
    if not path.exists():
        raise UserError("no such folder", where=path, mend="give a folder with a folder of images for each class")
    if path.is_file():
        if path.suffix.lower() == ".csv":
            return read_table(path)
        raise UserError(
            "a file, not a data set",
            where=path,
            mend="give a folder with class folders, or a .csv of file,label",
        )
    if is_idx(path):
        return read_idx(path)
    return read_folders(path)

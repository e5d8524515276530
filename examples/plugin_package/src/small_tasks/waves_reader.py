"""The format of the waves: CSV files in class folders, a series a file."""

from __future__ import annotations

from pathlib import Path

from svertka.annotations import natural
from svertka.data.samples import Dataset, Sample, SeriesFile
from svertka.errors import UserError


def read_waves(root: Path) -> Dataset:
    """Read ``root/CLASS/*.csv``, a series a file.

    Raises:
        UserError: There is no class folder, or one without a series.
    """
    samples: list[Sample] = []
    for folder in sorted((path for path in root.glob("*") if path.is_dir()), key=lambda path: natural(path.name)):
        files = sorted(folder.glob("*.csv"), key=lambda path: natural(path.name))
        if not files:
            raise UserError("a class folder without a .csv file", where=folder)
        samples += [Sample(file.relative_to(root).as_posix(), SeriesFile(file), folder.name) for file in files]
    if not samples:
        raise UserError("no class folders of .csv files", where=root)
    return Dataset(root, "class folders of series", {"all": samples}, media="series")


def is_waves(root: Path) -> bool:
    """Whether a folder has class folders of CSV files."""
    return root.is_dir() and any(root.glob("*/*.csv")) and not any(root.glob("*.csv"))

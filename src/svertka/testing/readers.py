"""Conformance checks of readers: a data set is read whole, the same each time, and what is none is refused."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import numpy as np

from svertka.data.readers.reading import FORMATS, open_dataset
from svertka.data.samples import Dataset, Format
from svertka.errors import UserError, nearest

_PARTS = {"all", "train", "val", "test"}


def check_reader(reader: Format | str, path: Path) -> None:
    """Check that a reader keeps its contract, on a data set of its format without a fault.

    Args:
        reader: The format, or its name.
        path: The data set.

    Raises:
        AssertionError: It does not.
        UserError: There is no such format, or the data set cannot be read.
    """
    if isinstance(reader, str) and reader not in FORMATS:
        raise UserError(f"unknown format {reader!r}", mend=nearest(reader, FORMATS))
    known = FORMATS[reader] if isinstance(reader, str) else reader
    known.check_parts()
    name = f"the format {known.name}"
    assert known.fits(path) is True, f"{name}: it does not fit a data set of its own"
    dataset = known.read(path)
    assert isinstance(dataset, Dataset), f"{name}: it gives no Dataset"
    assert _told(dataset) == _told(known.read(path)), f"{name}: read twice, a data set is another"
    assert not dataset.skipped, f"{name}: of a data set without a fault, {dataset.skipped[0].file} is skipped"
    _check_dataset(name, dataset)
    if known.name in FORMATS:
        found, own = open_dataset(path), open_dataset(path, known.name)
        assert _told(found) == _told(own), f"{name}: another format takes its data set"
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "empty").mkdir()
        (Path(folder) / "file.txt").write_text("no data set")
        for other in (Path(folder) / "empty", Path(folder) / "file.txt"):
            assert known.fits(other) is False, f"{name}: it fits {other.name}, which is no data set"
            with contextlib.suppress(UserError, OSError):
                known.read(other)
                raise AssertionError(f"{name}: it reads {other.name}, which is no data set, without a UserError")


def _told(dataset: Dataset) -> list[object]:
    # By their stamps, for a source may hold an array.
    samples = [
        (part, sample.name, sample.source.stamp(), sample.annotation)
        for part, found in dataset.parts.items()
        for sample in found
    ]
    return [dataset.format, dataset.classes, dataset.notes, dataset.unread, samples]


def _check_dataset(name: str, dataset: Dataset) -> None:
    samples = [sample for part in dataset.parts.values() for sample in part]
    assert samples, f"{name}: it gives no samples"
    parts = dataset.parts.keys() - _PARTS
    assert not parts, f"{name}: it gives the part {min(parts, default='')!r}, and not train, val, test or all"
    names = [sample.name for sample in samples]
    assert len({*names}) == len(names), f"{name}: two samples have one name"
    for sample in samples:
        array, digest = sample.source.load()
        again, same = sample.source.load()
        assert np.array_equal(array, again), f"{name}: {sample.name} loads as something else each time"
        assert digest == same, f"{name}: {sample.name} has another digest each time"
        assert isinstance(digest, str), f"{name}: the digest of {sample.name} is no text"
        assert sample.source.stamp() == sample.source.stamp(), f"{name}: {sample.name} has another stamp each time"
        if dataset.media == "image":
            fine = array.dtype == np.uint8 and array.ndim == 3 and array.shape[2] == 3
            assert fine, f"{name}: {sample.name} loads as {array.dtype} {array.shape}, not as (H, W, 3) uint8"
    listed = dataset.class_list()
    assert len({*listed}) == len(listed), f"{name}: a class is listed twice"

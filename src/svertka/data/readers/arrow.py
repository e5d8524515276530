"""Images and class names in Arrow's two kinds of file, as Hugging Face's ``datasets`` writes them; with pyarrow."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svertka.data.samples import FileSlice, digest_of, file_stamp
from svertka.errors import UserError
from svertka.runtime.image import MAX_BYTES, ImageError, decode

_GROUP_BYTES = 512 << 20  # of the images of a row group, which are read together
_KEPT = 4  # row groups that are held: threads read neighbouring images
# pyarrow's errors are of these kinds.
ERRORS = (ValueError, LookupError, TypeError, OSError, NotImplementedError, MemoryError)
_groups: OrderedDict[tuple[str, str, int], Any] = OrderedDict()
_reading = threading.Lock()


def arrow(path: Path, module: str) -> ModuleType:
    """pyarrow's module of that name.

    Raises:
        UserError: pyarrow is not installed.
    """
    try:
        import pyarrow.ipc
        import pyarrow.parquet
    except ImportError:
        raise UserError(
            "reading Parquet and Arrow files takes pyarrow", where=path, mend="pip install 'svertka[parquet]'"
        ) from None
    modules: dict[str, ModuleType] = {"": pyarrow, "parquet": pyarrow.parquet, "ipc": pyarrow.ipc}
    return modules[module]


@dataclass(frozen=True, slots=True)
class ParquetImage:
    """An image in a row of a Parquet file.

    Attributes:
        path: The file.
        column: Path of the column in its schema.
        group, row: Where it stands.
        stamp_of_file: `file_stamp` of the file.
    """

    path: Path
    column: str
    group: int
    row: int
    stamp_of_file: str

    def stamp(self) -> str:
        """See `ImageSource.stamp`."""
        return f"{self.stamp_of_file} {self.column} {self.group} {self.row}"

    def load(self) -> tuple[NDArray[np.uint8], str]:
        """See `ImageSource.load`."""
        where = f"{self.path.name}, row {self.row} of row group {self.group}"
        try:
            value = self._column()[self.row]
            if hasattr(value, "dictionary"):
                value = value.value
            if not value.is_valid:
                raise ImageError("no bytes in the table", where=where, mend="write the table with the images in it")
            buffer = value.as_buffer()
        except ERRORS as error:
            raise ImageError(f"damaged ({error})", where=where) from error
        if buffer.size > MAX_BYTES:
            raise ImageError(f"{buffer.size:,} bytes, over the limit of {MAX_BYTES:,}", where=where)
        data = buffer.to_pybytes()
        return decode(data, where=where), digest_of(data)

    def _column(self) -> Any:
        key = self.stamp_of_file, self.column, self.group
        with _reading:
            if key not in _groups:
                _groups[key] = self._read()
                while len(_groups) > _KEPT:
                    _groups.popitem(last=False)
            _groups.move_to_end(key)
            return _groups[key]

    def _read(self) -> Any:
        # As a dictionary: one image that stands for a million rows is not made a million images.
        with arrow(self.path, "parquet").ParquetFile(self.path, read_dictionary=[self.column]) as file:
            group = file.metadata.row_group(self.group)
            columns = [group.column(number) for number in range(group.num_columns)]
            size = sum(found.total_uncompressed_size for found in columns if found.path_in_schema == self.column)
            if size > _GROUP_BYTES:
                raise ImageError(
                    f"a row group of {size:,} bytes",
                    where=self.path,
                    mend="write it with fewer rows a group (row_group_size=100)",
                )
            column = file.read_row_group(self.group, columns=[self.column], use_threads=False).column(0)
        return column.combine_chunks().field("bytes") if "." in self.column else column


def parquet_file(path: Path) -> Any:
    """The opened Parquet file.

    Raises:
        UserError: It is none, or pyarrow is not installed.
    """
    try:
        return arrow(path, "parquet").ParquetFile(path, memory_map=False)
    except ERRORS as error:
        raise UserError(f"not a readable Parquet file ({error})", where=path) from error


def parquet_rows(path: Path, columns: list[str]) -> Iterator[dict[str, Any]]:
    """Every row's values of these columns, a few at a time in memory.

    Raises:
        UserError: The file is damaged.
    """
    with parquet_file(path) as file:
        try:
            for batch in file.iter_batches(batch_size=1024, columns=columns, use_threads=False):
                yield from batch.to_pylist()
        except ERRORS as error:
            raise UserError(f"damaged ({error})", where=path) from error


def arrow_slices(path: Path, column: str) -> Iterator[FileSlice | None]:
    """Where each image's bytes stand in a file of Arrow's stream format; None for a row without.

    Raises:
        UserError: The file is damaged, or compressed.
    """
    stamp = file_stamp(path)
    for batch, (start, end) in _batches(path):
        images = batch.column(column)
        if len(images):
            images.validate(full=True)
        values = images.field("bytes") if arrow(path, "").types.is_struct(images.type) else images
        width = "i8" if arrow(path, "").types.is_large_binary(values.type) else "i4"
        _, offsets, data = values.buffers()
        # What is validated lies within its buffer; the buffer must lie within the file.
        if data is None or not start <= data.address <= data.address + data.size <= end:
            if values.null_count == len(values):
                yield from [None] * len(values)
                continue
            raise UserError("compressed, which is not read here", where=path, mend="save it without compression")
        first = data.address - start
        places = np.frombuffer(offsets, width)[values.offset : values.offset + len(values) + 1].tolist()
        for row, (left, right) in enumerate(pairwise(places)):
            there = images[row].is_valid and values[row].is_valid
            yield FileSlice(path, first + left, right - left, stamp, f"{path.name}, row {row}") if there else None


def arrow_rows(path: Path, columns: list[str]) -> Iterator[dict[str, Any]]:
    """As `parquet_rows`, of a file of Arrow's stream format."""
    for batch, _ in _batches(path):
        chosen = batch.select(columns)
        chosen.validate(full=True)
        yield from chosen.to_pylist()


def arrow_schema(path: Path) -> Any:
    """The schema of a file of Arrow's stream format.

    Raises:
        UserError: It is none.
    """
    try:
        with arrow(path, "").OSFile(str(path)) as file, arrow(path, "ipc").open_stream(file) as stream:
            return stream.schema
    except ERRORS as error:
        raise UserError(f"not a readable Arrow file ({error})", where=path) from error


def _batches(path: Path) -> Iterator[tuple[Any, tuple[int, int]]]:
    # Each batch, with the addresses between which the file is mapped.
    try:
        with arrow(path, "").memory_map(str(path)) as file:
            whole = file.read_buffer()
            file.seek(0)
            with arrow(path, "ipc").open_stream(file) as stream:
                for batch in stream:
                    yield batch, (whole.address, whole.address + whole.size)
    except ERRORS as error:
        raise UserError(f"not a readable Arrow file ({error})", where=path) from error


def features_of(metadata: Mapping[bytes, bytes] | None) -> dict[str, Any]:
    """What Hugging Face's ``datasets`` says of the columns in a schema's metadata; empty where it says nothing."""
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return {}
    return features if isinstance(features, dict) else {}


def class_names_of(feature: Any) -> tuple[str, ...]:
    """Class names by number, if the feature is a ClassLabel, or a list of them."""
    for _ in range(3):  # however the release that wrote it nests a list
        if isinstance(feature, list) and len(feature) == 1:
            feature = feature[0]
        elif isinstance(feature, dict) and "feature" in feature:
            feature = feature["feature"]
    names = feature.get("names") if isinstance(feature, dict) else None
    return tuple(map(str, names)) if isinstance(names, list) else ()

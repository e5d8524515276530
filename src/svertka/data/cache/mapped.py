"""Rows of a file, mapped into memory; or, where there is no room for a file, held in it."""

from __future__ import annotations

import math
import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from svertka.wording import counted

_HELD = 2 << 20  # bytes read before the system is told that they need not stay


class MappedRows:
    """Rows of one shape in a file. What was read does not add up: the process stays small however large the file.

    Args:
        path: The file; nothing but rows.
        dtype: Of their values.
        shape: Of one row.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is empty, or its size is not that of whole rows.
    """

    def __init__(self, path: Path, dtype: DTypeLike, shape: tuple[int, ...]) -> None:
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.row_bytes = np.dtype(dtype).itemsize * math.prod(shape)
        self._rows: NDArray[Any] = np.frombuffer(self._map, dtype).reshape(-1, *shape)
        self._read = 0
        self._source = path, dtype, shape

    def __len__(self) -> int:
        return len(self._rows)

    def __reduce__(self) -> tuple[Any, ...]:
        return MappedRows, self._source  # a process that prepares batches maps the file itself

    def take(self, positions: NDArray[np.int64]) -> NDArray[Any]:
        """A copy of the rows at these positions."""
        rows: NDArray[Any] = self._rows[positions]
        self._was_read(rows)
        return rows

    def between(self, first: int, last: int) -> NDArray[Any]:
        """A copy of the rows from ``first`` up to ``last``."""
        rows = self._rows[first:last].copy()
        self._was_read(rows)
        return rows

    def _was_read(self, rows: NDArray[Any]) -> None:
        self._read += rows.nbytes
        if self._read > _HELD:
            self._read = 0
            if hasattr(mmap, "MADV_DONTNEED"):  # where there is no such call, the system decides by itself
                self._map.madvise(mmap.MADV_DONTNEED)


class MappedArrays:
    """Arrays of different shapes in a file, one after another; as `MappedRows`.

    Args:
        path: The file; nothing but arrays.
        shapes: Of every array.
        dtype: Of their values.

    Raises:
        OSError: The file cannot be read.
        ValueError: Its size is not that of these arrays.
    """

    def __init__(self, path: Path, shapes: Sequence[tuple[int, ...]], dtype: DTypeLike = np.uint8) -> None:
        self._values = MappedRows(path, dtype, ())
        self._source = path, shapes, dtype
        self.shapes = shapes
        self._starts = np.concatenate([[0], np.cumsum([math.prod(shape) for shape in shapes])])
        if self._starts[-1] != len(self._values):
            raise ValueError(f"{counted(len(self._values), 'value')}, not {self._starts[-1]}")

    def __reduce__(self) -> tuple[Any, ...]:
        return MappedArrays, self._source

    def get(self, position: int) -> NDArray[Any]:
        """A copy of one of them."""
        return self._values.between(*self._starts[position : position + 2].tolist()).reshape(self.shapes[position])


class HeldRows:
    """Rows that found no room on the disk.

    Args:
        rows: First axis a row.
    """

    def __init__(self, rows: NDArray[Any]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, positions: NDArray[np.int64]) -> NDArray[Any]:
        """A copy of the rows at these positions."""
        rows: NDArray[Any] = self._rows[positions]
        return rows

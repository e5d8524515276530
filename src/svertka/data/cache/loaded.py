"""The values of samples are loaded once, and kept in a memory-mapped file: pixels of images, series.

The file lies in a folder of its medium, beside an index with digests, errors and checksums. What is damaged is
reported and made anew.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate, islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from svertka.annotations import Source
from svertka.data.cache.mapped import MappedArrays, MappedRows
from svertka.errors import UserError
from svertka.runtime.checked import DamagedError, read_checked, report_damaged, write_checked
from svertka.runtime.cores import available_cores
from svertka.runtime.files import cache_folder, make_folder, remove_stale, replacing
from svertka.runtime.inputs import InputTransform

_LONG = 1 << 28  # bytes of which reading and checking can take a second
_CHUNK, _CHUNK_OF_OWN_SHAPES = 64, 4  # values a thread takes at a time

Advance = Callable[[int, int], None]
"""Told how many of how many samples are done."""


class Contents(Protocol):
    """The values of all samples of a data set: `svertka.data.cache.images.Images` are some, `SeriesValues` others."""

    @property
    def transform(self) -> InputTransform:
        """How they become inputs of a network; as far as it was known when they were loaded."""
        ...

    @property
    def digests(self) -> tuple[str, ...]:
        """Digest of the content of each; empty for one that cannot be read."""
        ...

    @property
    def errors(self) -> dict[int, str]:
        """Why one cannot be read, by position."""
        ...

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """Height and width, or length and channels, of each as it was read; 0 of one that cannot be read."""
        ...


def cache_limit() -> int:
    """How many bytes are kept of a medium: ``SVERTKA_CACHE_GB``, 20 by default; 0 keeps none."""
    text = os.environ.get("SVERTKA_CACHE_GB", "20")
    try:
        return int(float(text) * 1e9)
    except (ValueError, OverflowError):
        raise UserError(f"{text!r} is no number of gigabytes", where="SVERTKA_CACHE_GB") from None


@dataclass(frozen=True)
class Form:
    """In which form the values of a medium are kept.

    Attributes:
        folder: In the cache.
        suffix: Of the file of values.
        decides: All that decides what is kept of a source, as JSON.
        place: From a value as it was loaded to what is kept of it.
        shape: Of what is kept; None where each has its own.
        absent: Shape of what stands for a value that cannot be loaded.
        dtype: Of what is kept.
        unusable: What `place` and loading raise of a value that cannot be used.
        again: What is done about a damaged file.
    """

    folder: str
    suffix: str
    decides: Sequence[Any]
    place: Callable[[NDArray[Any]], NDArray[Any]]
    shape: tuple[int, ...] | None
    absent: tuple[int, ...]
    dtype: DTypeLike
    unusable: type[UserError]
    again: str

    def bytes_of(self, shape: tuple[int, ...]) -> int:
        """Bytes that a value of this shape takes."""
        return math.prod(shape) * np.dtype(self.dtype).itemsize


@dataclass
class Index:
    """What is known of loaded values beside them.

    Attributes:
        digests: Of the content of each; empty for one that cannot be loaded.
        errors: Why one cannot be loaded, by position.
        sizes: The first two lengths of each as it was loaded; 0 of one that cannot be loaded.
        shapes: Of what is kept of each, where they differ.
        checks: Checksums of what is kept of each.
    """

    digests: list[str]
    errors: dict[int, str]
    sizes: list[tuple[int, int]]
    shapes: list[tuple[int, ...]]
    checks: list[int]

    @property
    def own_shapes(self) -> tuple[tuple[int, ...], ...] | None:
        """Of what is kept of each; None where all are of one shape."""
        return tuple(self.shapes) or None

    def add(self, chunk: Index) -> None:
        """Put what is known of further values behind."""
        self.errors.update({len(self.digests) + offset: error for offset, error in chunk.errors.items()})
        self.digests += chunk.digests
        self.sizes += chunk.sizes
        self.shapes += chunk.shapes


Found = tuple[MappedRows | MappedArrays | None, Index]


def load_all(sources: Sequence[Source], form: Form, advance: Advance | None) -> Found:
    """Load all values, or find them loaded; None in their place where they are too many to keep."""
    stem = cache_folder() / form.folder / _key(sources, form)
    return _open(stem, len(sources), form, advance) or _load(sources, form, stem, advance)


def _key(sources: Sequence[Source], form: Form) -> str:
    total = hashlib.sha256(json.dumps(form.decides, sort_keys=True).encode())
    for source in sources:
        total.update(source.stamp().encode(errors="surrogateescape") + b"\n")
    return total.hexdigest()[:32]


def _open(stem: Path, count: int, form: Form, advance: Advance | None) -> Found | None:
    file = stem.with_suffix(form.suffix)
    try:
        index = _index(read_checked(stem.with_suffix(".json")))
        if not len(index.digests) == len(index.sizes) == len(index.checks) == count:
            raise DamagedError("values are missing")
        values = _mapped(stem, index, form)
        _check_values(file, index, form, advance)
        with suppress(OSError):  # a cache can be another user's
            os.utime(stem.with_suffix(".json"))  # the least recently used goes first
        return values, index
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        report_damaged(file, form.again)
        return None


def _index(values: Mapping[str, Any]) -> Index:
    return Index(
        [str(digest) for digest in values["digests"]],
        {int(position): str(error) for position, error in values["errors"].items()},
        [(int(first), int(second)) for first, second in values["sizes"]],
        [tuple(map(int, shape)) for shape in values.get("shapes", ())],
        [int(check) for check in values["checks"]],
    )


def _check_values(path: Path, index: Index, form: Form, advance: Advance | None) -> None:
    sizes = [form.bytes_of(shape) for shape in index.own_shapes or [form.shape or ()] * len(index.checks)]
    starts = [0, *accumulate(sizes)]

    def fits(start: int) -> bool:
        part = range(start, min(start + _CHUNK, len(sizes)))
        with path.open("rb") as file:  # read, not mapped: pages of a map would count as this process's memory
            file.seek(starts[start])
            return all(zlib.crc32(file.read(sizes[number])) == index.checks[number] for number in part)

    with ThreadPoolExecutor(available_cores()) as pool:
        for done, found in enumerate(pool.map(fits, range(0, len(sizes), _CHUNK)), 1):
            if not found:
                raise DamagedError(f"{path.name} does not have its checksums")
            if advance and starts[-1] > _LONG:
                advance(min(done * _CHUNK, len(sizes)), len(sizes))


def _mapped(stem: Path, index: Index, form: Form) -> MappedRows | MappedArrays:
    data = stem.with_suffix(form.suffix)
    if form.shape is None:
        if len(index.shapes) != len(index.digests):
            raise ValueError("shapes are missing")
        return MappedArrays(data, index.shapes, form.dtype)
    if data.stat().st_size != len(index.digests) * form.bytes_of(form.shape):
        raise ValueError("values are missing")
    return MappedRows(data, form.dtype, form.shape)


class _NoRoomError(Exception):
    """There is more than the cache may hold."""


def _load(sources: Sequence[Source], form: Form, stem: Path, advance: Advance | None) -> Found:
    # Of values of their own shapes it shows while they are loaded.
    size = 0 if form.shape is None else len(sources) * form.bytes_of(form.shape)

    def loaded(write: Callable[[bytes], object]) -> Index:
        index = Index([], {}, [], [], [])
        for values, chunk in _chunks(sources, form):
            index.add(chunk)
            for value in values:
                write(value.tobytes())
            if advance:
                advance(len(index.digests), len(sources))
        return index

    if size > cache_limit():
        return None, loaded(len)
    try:
        make_folder(stem.parent)
        _make_room(stem.parent, size, form)
        with replacing(stem.with_suffix(form.suffix)) as file:
            checks: list[int] = []

            def write(data: bytes) -> None:
                checks.append(zlib.crc32(data))
                file.write(data)
                if file.tell() > cache_limit():
                    raise _NoRoomError

            index = loaded(write)
            index.checks = checks
        if form.shape is None:
            _make_room(stem.parent, 0, form)
        kept = _mapped(stem, index, form)
        known = {"checks": index.checks, "digests": index.digests, "errors": index.errors, "sizes": index.sizes}
        write_checked(stem.with_suffix(".json"), known | ({"shapes": index.shapes} if index.shapes else {}))
    except (UserError, OSError, ValueError, _NoRoomError):
        # No room, no right to write, or another process made room already: slower, but it works.
        return None, loaded(len)
    return kept, index


def _chunks(sources: Sequence[Source], form: Form) -> Iterator[tuple[Sequence[NDArray[Any]], Index]]:
    def load(start: int) -> tuple[Sequence[NDArray[Any]], Index]:
        part = sources[start : start + chunk]
        values = [np.zeros(form.absent, form.dtype) for _ in part]
        index = Index([""] * len(part), {}, [(0, 0)] * len(part), [], [])
        for offset, source in enumerate(part):
            try:
                value, digest = source.load()
                values[offset] = form.place(value)
                index.digests[offset], index.sizes[offset] = digest, (value.shape[0], value.shape[1])
            except form.unusable as error:
                index.errors[offset] = str(error)
        if form.shape is None:
            index.shapes = [value.shape for value in values]
        return values, index

    chunk = _CHUNK_OF_OWN_SHAPES if form.shape is None else _CHUNK
    # Pillow lets go of the interpreter while it decodes and resizes, so threads suffice. A few chunks are under
    # way at a time and no more, so that memory does not grow with the number of images.
    cores = available_cores()
    with ThreadPoolExecutor(cores) as pool:
        starts = iter(range(0, len(sources), chunk))
        waiting = deque(pool.submit(load, start) for start in islice(starts, 2 * cores))
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(pool.submit(load, start) for start in islice(starts, 1))


def _make_room(folder: Path, size: int, form: Form) -> None:
    def used(path: Path) -> float:
        with suppress(OSError):
            return path.with_suffix(".json").stat().st_mtime
        return 0.0

    kept = sorted(folder.glob(f"*{form.suffix}"), key=used, reverse=True)
    total = size
    for path in kept:
        with suppress(OSError):  # another process may do the same at this moment
            total += path.stat().st_size
            if total > cache_limit():
                path.with_suffix(".json").unlink(missing_ok=True)
                path.unlink(missing_ok=True)
    remove_stale(folder)

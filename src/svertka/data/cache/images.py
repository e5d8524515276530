"""Images are decoded once: what the network's geometry makes of them is kept in a memory-mapped file."""

from __future__ import annotations

import hashlib
import json
import math
import os
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from svertka.annotations import ImageSource
from svertka.data.cache.mapped import HeldRows, MappedArrays, MappedRows
from svertka.errors import UserError
from svertka.runtime.checked import DamagedError, read_checked, report_damaged, write_checked
from svertka.runtime.cores import available_cores
from svertka.runtime.files import cache_folder, make_folder, remove_stale, replacing
from svertka.runtime.image import ImageError
from svertka.runtime.preprocess import Preprocess

_CACHE_VERSION = 4  # raise it when decoding or geometry changes what comes out, or what is kept beside the pixels
_LONG = 1 << 28  # bytes of which reading and checking can take a second
_CHUNK, _CHUNK_OF_WHOLE = 64, 4  # images a thread takes at a time

Advance = Callable[[int, int], None]
"""Told how many of how many images are done."""


def cache_limit() -> int:
    """How many bytes of images are kept: ``SVERTKA_CACHE_GB``, 20 by default; 0 keeps none."""
    text = os.environ.get("SVERTKA_CACHE_GB", "20")
    try:
        return int(float(text) * 1e9)
    except (ValueError, OverflowError):
        raise UserError(f"{text!r} is no number of gigabytes", where="SVERTKA_CACHE_GB") from None


@dataclass(frozen=True)
class Images:
    """The images of a data set as the network will see them, before augmentation.

    Attributes:
        pixels: Arrays ``(height, width, channels)`` uint8, memory-mapped: rows of one shape, or whole images of their
            own shapes; None where they were too many to keep, and are decoded whenever they are asked for.
        digests: Digest of each image's content; empty for one that cannot be read.
        errors: Why an image cannot be read, by position.
        sizes: Height and width of each upright image as it was decoded, in pixels; 0 of one that cannot be read.
    """

    sources: Sequence[ImageSource]
    preprocess: Preprocess
    pixels: MappedRows | HeldRows | MappedArrays | None
    digests: tuple[str, ...]
    errors: dict[int, str]
    sizes: tuple[tuple[int, int], ...]
    shapes: tuple[tuple[int, ...], ...] | None = None
    """Of every image, where they are whole; an image that cannot be read is of one pixel."""

    @property
    def sides(self) -> tuple[int, ...]:
        """The shorter side of each image as it was decoded, in pixels; 0 of one that cannot be read."""
        return tuple(min(size) for size in self.sizes)

    def take(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        """A copy of the images at these positions, ``(n, height, width, channels)`` uint8; all of one shape."""
        if isinstance(self.pixels, MappedRows | HeldRows):
            return self.pixels.take(positions)
        return np.stack(self.each(positions))

    def each(self, positions: NDArray[np.int64]) -> list[NDArray[np.uint8]]:
        """A copy of each of the images at these positions, ``(height, width, channels)`` uint8."""
        if isinstance(self.pixels, MappedRows | HeldRows):
            return list(self.pixels.take(positions))
        if self.pixels is not None:
            return [self.pixels.get(position) for position in positions.tolist()]
        return [self.preprocess.place(self.sources[position].load()[0]) for position in positions.tolist()]


def load_images(sources: Sequence[ImageSource], preprocess: Preprocess, *, advance: Advance | None = None) -> Images:
    """Decode all images, or find them decoded.

    Only the geometry of ``preprocess`` matters. An image that cannot be read is named in the result, no error.
    """
    folder = cache_folder() / "images"
    stem = folder / _key(sources, preprocess)
    found = _open(stem, len(sources), preprocess, advance)
    if found is None:
        found = _decode_all(sources, preprocess, stem, advance)
    pixels, index = found
    return Images(sources, preprocess, pixels, tuple(index.digests), index.errors, tuple(index.sizes), index.whole)


@dataclass
class _Index:
    """What is known of decoded images beside their pixels; shapes only of whole ones."""

    digests: list[str]
    errors: dict[int, str]
    sizes: list[tuple[int, int]]
    shapes: list[tuple[int, ...]]
    checks: list[int]
    """Checksums of the pixels of each image that is kept."""

    @property
    def whole(self) -> tuple[tuple[int, ...], ...] | None:
        return tuple(self.shapes) or None

    def add(self, chunk: _Index) -> None:
        self.errors.update({len(self.digests) + offset: error for offset, error in chunk.errors.items()})
        self.digests += chunk.digests
        self.sizes += chunk.sizes
        self.shapes += chunk.shapes


Found = tuple[MappedRows | MappedArrays | None, _Index]


def _key(sources: Sequence[ImageSource], preprocess: Preprocess) -> str:
    geometry = {
        name: value
        for name, value in preprocess.to_json().items()
        if name in ("height", "width", "channels", "fit", "shorter", "interpolation")
    }
    total = hashlib.sha256(json.dumps([_CACHE_VERSION, geometry], sort_keys=True).encode())
    for source in sources:
        total.update(source.stamp().encode(errors="surrogateescape") + b"\n")
    return total.hexdigest()[:32]


def _open(stem: Path, count: int, preprocess: Preprocess, advance: Advance | None) -> Found | None:
    try:
        values = read_checked(stem.with_suffix(".json"))
        index = _Index(
            [str(digest) for digest in values["digests"]],
            {int(position): str(error) for position, error in values["errors"].items()},
            [(int(height), int(width)) for height, width in values["sizes"]],
            [tuple(map(int, shape)) for shape in values.get("shapes", ())],
            [int(check) for check in values["checks"]],
        )
        if not len(index.digests) == len(index.sizes) == len(index.checks) == count:
            raise DamagedError("images are missing")
        pixels = _mapped(stem, index, preprocess)
        _check_pixels(stem.with_suffix(".pixels"), index, preprocess, advance)
        with suppress(OSError):  # a cache can be another user's
            os.utime(stem.with_suffix(".json"))  # the least recently used goes first
        return pixels, index
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        report_damaged(stem.with_suffix(".pixels"), "its images are decoded again")
        return None


def _check_pixels(path: Path, index: _Index, preprocess: Preprocess, advance: Advance | None) -> None:
    shape = (preprocess.height, preprocess.width, preprocess.channels)
    sizes = [math.prod(shape) for shape in index.whole or [shape] * len(index.checks)]
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


def _mapped(stem: Path, index: _Index, preprocess: Preprocess) -> MappedRows | MappedArrays:
    data = stem.with_suffix(".pixels")
    if preprocess.fit == "whole":
        if len(index.shapes) != len(index.digests):
            raise ValueError("shapes are missing")
        return MappedArrays(data, index.shapes)
    shape = (preprocess.height, preprocess.width, preprocess.channels)
    if data.stat().st_size != len(index.digests) * math.prod(shape):
        raise ValueError("pixels are missing")
    return MappedRows(data, np.uint8, shape)


class _NoRoomError(Exception):
    """There is more than the cache may hold."""


def _decode_all(sources: Sequence[ImageSource], preprocess: Preprocess, stem: Path, advance: Advance | None) -> Found:
    size = 0  # of whole images it shows while they are decoded
    if preprocess.fit != "whole":
        size = len(sources) * preprocess.height * preprocess.width * preprocess.channels

    def decoded(write: Callable[[bytes], object]) -> _Index:
        index = _Index([], {}, [], [], [])
        for pixels, chunk in _chunks(sources, preprocess):
            index.add(chunk)
            for image in pixels:
                write(image.tobytes())
            if advance:
                advance(len(index.digests), len(sources))
        return index

    if size > cache_limit():
        return None, decoded(len)
    try:
        make_folder(stem.parent)
        _make_room(stem.parent, size)
        with replacing(stem.with_suffix(".pixels")) as file:
            checks: list[int] = []

            def write(data: bytes) -> None:
                checks.append(zlib.crc32(data))
                file.write(data)
                if file.tell() > cache_limit():
                    raise _NoRoomError

            index = decoded(write)
            index.checks = checks
        if preprocess.fit == "whole":
            _make_room(stem.parent, 0)
        kept = _mapped(stem, index, preprocess)
        values = {
            "checks": index.checks,
            "digests": index.digests,
            "errors": index.errors,
            "sizes": index.sizes,
        }
        write_checked(stem.with_suffix(".json"), values | ({"shapes": index.shapes} if index.shapes else {}))
    except (UserError, OSError, ValueError, _NoRoomError):
        # No room, no right to write, or another process made room already: slower, but it works.
        return None, decoded(len)
    return kept, index


def _chunks(
    sources: Sequence[ImageSource], preprocess: Preprocess
) -> Iterator[tuple[Sequence[NDArray[np.uint8]], _Index]]:
    whole = preprocess.fit == "whole"

    def decode(start: int) -> tuple[Sequence[NDArray[np.uint8]], _Index]:
        part = sources[start : start + chunk]
        side = (1, 1) if whole else (preprocess.height, preprocess.width)
        pixels = [np.zeros((*side, preprocess.channels), np.uint8) for _ in part]
        index = _Index([""] * len(part), {}, [(0, 0)] * len(part), [], [])
        for offset, source in enumerate(part):
            try:
                image, digest = source.load()
                pixels[offset] = preprocess.place(image)
                index.digests[offset], index.sizes[offset] = digest, (image.shape[0], image.shape[1])
            except ImageError as error:
                index.errors[offset] = str(error)
        if whole:
            index.shapes = [image.shape for image in pixels]
        return pixels, index

    chunk = _CHUNK_OF_WHOLE if whole else _CHUNK
    # Pillow lets go of the interpreter while it decodes and resizes, so threads suffice. A few chunks are under
    # way at a time and no more, so that memory does not grow with the number of images.
    cores = available_cores()
    with ThreadPoolExecutor(cores) as pool:
        starts = iter(range(0, len(sources), chunk))
        waiting = deque(pool.submit(decode, start) for start in islice(starts, 2 * cores))
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(pool.submit(decode, start) for start in islice(starts, 1))


def _make_room(folder: Path, size: int) -> None:
    def used(path: Path) -> float:
        with suppress(OSError):
            return path.with_suffix(".json").stat().st_mtime
        return 0.0

    kept = sorted(folder.glob("*.pixels"), key=used, reverse=True)
    total = size
    for path in kept:
        with suppress(OSError):  # another process may do the same at this moment
            total += path.stat().st_size
            if total > cache_limit():
                path.with_suffix(".json").unlink(missing_ok=True)
                path.unlink(missing_ok=True)
    remove_stale(folder)

"""Images are decoded once: what the network's geometry makes of them is kept in a memory-mapped file."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from svertka.annotations import ImageSource
from svertka.data.mapped import HeldRows, MappedRows
from svertka.errors import UserError
from svertka.runtime.engines import available_cores
from svertka.runtime.files import cache_folder, make_folder, replacing, write_text
from svertka.runtime.image import ImageError
from svertka.runtime.preprocess import Preprocess

_CACHE_VERSION = 1  # raise it when decoding or geometry changes what comes out
_CHUNK = 64  # images a thread takes at a time
_STALE = 86_400  # seconds after which a file that nobody writes to is nobody's

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
        pixels: Rows ``(height, width, channels)`` uint8, memory-mapped; None where they were too many to keep,
            and are decoded whenever they are asked for.
        digests: Digest of each image's content; empty for one that cannot be read.
        errors: Why an image cannot be read, by position.
    """

    sources: Sequence[ImageSource]
    preprocess: Preprocess
    pixels: MappedRows | HeldRows | None
    digests: tuple[str, ...]
    errors: dict[int, str]

    def take(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        """A copy of the images at these positions, ``(n, height, width, channels)`` uint8."""
        if self.pixels is not None:
            return self.pixels.take(positions)
        return np.stack([self.preprocess.place(self.sources[position].load()[0]) for position in positions])


def load_images(sources: Sequence[ImageSource], preprocess: Preprocess, *, advance: Advance | None = None) -> Images:
    """Decode all images, or find them decoded.

    Only the geometry of ``preprocess`` matters. An image that cannot be read is named in the result, no error.
    """
    height, width, channels = preprocess.height, preprocess.width, preprocess.channels
    shape = (len(sources), height, width, channels)
    folder = cache_folder() / "images"
    stem = folder / _key(sources, preprocess)
    found = _open(stem, shape)
    if found is None:
        found = _decode_all(sources, preprocess, stem, advance)
    pixels, digests, errors = found
    return Images(sources, preprocess, pixels, digests, errors)


Found = tuple[MappedRows | None, tuple[str, ...], dict[int, str]]


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


def _open(stem: Path, shape: tuple[int, ...]) -> Found | None:
    index, data = stem.with_suffix(".json"), stem.with_suffix(".pixels")
    try:
        values = json.loads(index.read_text())
        digests = tuple(values["digests"])
        errors = {int(position): str(error) for position, error in values["errors"].items()}
        if len(digests) != shape[0] or data.stat().st_size != int(np.prod(shape)):
            return None
        with suppress(OSError):  # a cache can be another user's
            os.utime(index)  # the least recently used goes first
        return MappedRows(data, np.uint8, shape[1:]), digests, errors
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # absent or damaged: decoded anew


def _decode_all(sources: Sequence[ImageSource], preprocess: Preprocess, stem: Path, advance: Advance | None) -> Found:
    shape = (len(sources), preprocess.height, preprocess.width, preprocess.channels)
    size = int(np.prod(shape))
    digests: list[str] = []
    errors: dict[int, str] = {}

    def decoded(write: Callable[[bytes], object]) -> None:
        digests.clear()
        errors.clear()
        for pixels, chunk_digests, chunk_errors in _chunks(sources, preprocess):
            errors.update({len(digests) + offset: error for offset, error in chunk_errors.items()})
            digests.extend(chunk_digests)
            write(pixels.tobytes())
            if advance:
                advance(len(digests), len(sources))

    if size > cache_limit():
        decoded(len)
        return None, tuple(digests), errors
    try:
        make_folder(stem.parent)
        _make_room(stem.parent, size)
        with replacing(stem.with_suffix(".pixels")) as file:
            decoded(file.write)
        kept = MappedRows(stem.with_suffix(".pixels"), np.uint8, shape[1:])
        write_text(stem.with_suffix(".json"), json.dumps({"digests": digests, "errors": errors}))
    except (UserError, OSError):
        # No room, no right to write, or another process made room already: slower, but it works.
        decoded(len)
        return None, tuple(digests), errors
    return kept, tuple(digests), errors


def _chunks(
    sources: Sequence[ImageSource], preprocess: Preprocess
) -> Iterator[tuple[NDArray[np.uint8], list[str], dict[int, str]]]:
    def decode(start: int) -> tuple[NDArray[np.uint8], list[str], dict[int, str]]:
        part = sources[start : start + _CHUNK]
        pixels = np.zeros((len(part), preprocess.height, preprocess.width, preprocess.channels), np.uint8)
        digests = [""] * len(part)
        errors = {}
        for offset, source in enumerate(part):
            try:
                image, digests[offset] = source.load()
                pixels[offset] = preprocess.place(image)
            except ImageError as error:
                errors[offset] = str(error)
        return pixels, digests, errors

    # Pillow lets go of the interpreter while it decodes and resizes, so threads suffice. A few chunks are under
    # way at a time and no more, so that memory does not grow with the number of images.
    cores = available_cores()
    with ThreadPoolExecutor(cores) as pool:
        starts = iter(range(0, len(sources), _CHUNK))
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
    for path in folder.glob(".*.partial"):  # of processes that were killed
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _STALE:
                path.unlink()

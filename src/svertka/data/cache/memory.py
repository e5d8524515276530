"""What frozen stages make of an image is computed once and kept, in half precision, by the image's content.

A store belongs to one network's frozen stages, one preprocessing and one view. It lies in a folder of its own, in
segments that are written whole and never changed, so several processes may add to it at once. Every row has a
checksum: what is damaged counts as absent, and is computed again.
"""

from __future__ import annotations

import math
import shutil
import time
import uuid
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from svertka.data.cache.loaded import Advance, cache_limit
from svertka.data.cache.mapped import HeldRows, MappedRows
from svertka.data.chance import uniform
from svertka.errors import UserError
from svertka.runtime.checked import DamagedError, read_checked, report_damaged, write_checked
from svertka.runtime.files import cache_folder, make_folder, remove_stale, replacing
from svertka.runtime.preprocess import Preprocess

_SEGMENT, _SECONDS = 64 << 20, 10.0  # bytes, and time, after which a segment is written
_HELD = 512 << 20  # bytes that are held in memory, where there is no room on the disk
_TRIED = 8 << 20  # bytes that are written to learn how long that takes
_SHIFT = 1 / 16  # of the side, for the views of the corners
_VIEW = 777  # tells the choice of a view from other random numbers of a sample


def _shifted(down: int, right: int) -> Callable[[NDArray[Any]], NDArray[Any]]:
    def shift(batch: NDArray[Any]) -> NDArray[Any]:
        height, width = batch.shape[1:3]
        rows = np.clip(np.arange(height) + down * max(1, round(height * _SHIFT)), 0, height - 1)
        columns = np.clip(np.arange(width) + right * max(1, round(width * _SHIFT)), 0, width - 1)
        return batch[:, rows][:, :, columns]

    return shift


VIEWS: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "identity": lambda batch: batch,
    "flip": lambda batch: batch[:, :, ::-1],
    "top_left": _shifted(-1, -1),
    "top_right": _shifted(-1, 1),
    "bottom_left": _shifted(1, -1),
    "bottom_right": _shifted(1, 1),
}
"""Ways to look at an image that the frozen stages can remember: as it is, mirrored, or moved by a sixteenth of the side
each way (the border's pixels are repeated). Each takes and gives ``(N, H, W, C)``."""


class _Place(NamedTuple):
    segment: int
    row: int
    check: int


class Store:
    """The remembered rows of one kind.

    Args:
        key: Digest of all that decides the rows but the images: stages, weights, preprocessing, view.
        shape: Of one row.
        beside: Folder to keep it in, where not with the others in the cache.
    """

    def __init__(self, key: str, shape: tuple[int, ...], beside: Path | None = None) -> None:
        self.shape = shape
        self.folder = (beside or cache_folder() / "memory") / key
        self._segments: list[MappedRows | HeldRows] = []
        self._places: dict[str, tuple[_Place, ...]] = {}  # several where a damaged row was computed again
        damaged = []
        for index in sorted(self.folder.glob("*.json")):
            try:
                self._open(index)
            except FileNotFoundError:  # another process made room
                continue
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                damaged.append(index)
        self._forget(damaged)

    def __contains__(self, digest: str) -> bool:
        return digest in self._places

    def _open(self, index: Path) -> None:
        values = read_checked(index)
        rows = MappedRows(index.with_suffix(".rows"), np.float16, self.shape)
        if not len(values["digests"]) == len(values["checks"]) == len(rows):
            raise DamagedError("rows are missing")
        self._segments.append(rows)
        for row, (digest, check) in enumerate(zip(values["digests"], values["checks"], strict=True)):
            place = _Place(len(self._segments) - 1, row, int(check))
            self._places[str(digest)] = (*self._places.get(str(digest), ()), place)

    @property
    def bytes_a_row(self) -> int:
        """Bytes that a row takes."""
        return math.prod(self.shape) * np.dtype(np.float16).itemsize

    def check(self, digests: Iterable[str]) -> None:
        """Forget what is kept of these images where it is damaged."""
        damaged = 0
        for digest in digests:
            places = self._places.pop(digest, ())
            whole = next((place for place in places if self._is_whole(place)), None)
            if whole:
                self._places[digest] = (whole,)
            damaged += bool(places) and whole is None
        if damaged:
            report_damaged(self.folder, f"what was kept of {damaged} of its images is computed again")

    def _is_whole(self, place: _Place) -> bool:
        return _checksum(self._segments[place.segment].take(np.array([place.row]))) == place.check

    def _forget(self, damaged: Sequence[Path]) -> None:
        if damaged:
            report_damaged(self.folder, f"what was kept in {len(damaged)} of its files is computed again")
        for index in damaged:
            for path in (index, index.with_suffix(".rows")):
                with suppress(OSError):  # a cache can be another user's
                    path.unlink()

    def add(self, digests: Sequence[str], rows: NDArray[np.float16]) -> None:
        """Keep the rows of these images; on disk, or in memory where there is no room on it."""
        checks = [_checksum(row) for row in rows]
        segment: MappedRows | HeldRows = HeldRows(rows)
        if _size(self.folder) + rows.nbytes <= cache_limit():
            with suppress(UserError, OSError, ValueError):
                segment = self._write(digests, checks, rows)
        self._segments.append(segment)
        for row, (digest, check) in enumerate(zip(digests, checks, strict=True)):
            self._places[digest] = (_Place(len(self._segments) - 1, row, check),)

    def _write(self, digests: Sequence[str], checks: list[int], rows: NDArray[np.float16]) -> MappedRows:
        make_folder(self.folder)
        remove_stale(self.folder)
        _make_room(rows.nbytes, self.folder)
        stem = self.folder / uuid.uuid4().hex
        # Whoever is killed in between leaves the smaller one, which nobody reads without the other.
        write_checked(stem.with_suffix(".json"), {"digests": list(digests), "checks": checks})
        with replacing(stem.with_suffix(".rows")) as file:
            file.write(rows.tobytes())
        return MappedRows(stem.with_suffix(".rows"), np.float16, self.shape)

    def places(self, digests: Sequence[str]) -> NDArray[np.int64]:
        """Where the rows of these images are, for `take`; all of them must have been kept."""
        return np.array([self._places[digest][0][:2] for digest in digests], np.int64).reshape(-1, 2)

    def take(self, places: NDArray[np.int64]) -> NDArray[np.float16]:
        """The rows at these places."""
        result = np.empty((len(places), *self.shape), np.float16)
        for number in np.unique(places[:, 0]):
            here = places[:, 0] == number
            result[here] = self._segments[number].take(places[here, 1])
        return result


class Remembered:
    """Remembered rows of the samples of a part, flat: `svertka.data.batching.batches.Inputs` of what learns.

    Args:
        stores: By view, the stores whose rows are put one after another. Which view of a sample is taken in an epoch
            depends on (seed, epoch, index) alone.
        digests: Digest of each sample's image; all must be in the stores.
        seed: Of the run.
    """

    def __init__(self, stores: Sequence[Sequence[Store]], digests: Sequence[str], *, seed: int = 0) -> None:
        self._stores = stores
        self._places = [[store.places(digests) for store in view] for view in stores]
        self._count = len(digests)
        self._seed = seed
        self.width = sum(math.prod(store.shape) for store in stores[0])

    def __len__(self) -> int:
        return self._count

    def take(self, indices: NDArray[np.int64], epoch: int) -> NDArray[np.float32]:
        """See `svertka.data.batching.batches.Inputs.take`."""
        views = self.views(indices, epoch)
        result = np.empty((len(indices), self.width), np.float32)
        for view in np.unique(views):
            result[views == view] = self._read(view, indices[views == view])
        return result

    def views(self, indices: NDArray[np.int64], epoch: int) -> NDArray[np.int64]:
        """Which view of each of these samples is taken in this epoch."""
        return (uniform(self._seed, epoch, indices, _VIEW) * len(self._stores)).astype(np.int64)

    def chunks(self, size: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """All samples in all views, ``size`` at a time, each time with their indices."""
        for view in range(len(self._stores)):
            for start in range(0, self._count, size):
                indices = np.arange(start, min(start + size, self._count))
                yield indices, self._read(view, indices)

    def _read(self, view: int, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        pairs = zip(self._stores[view], self._places[view], strict=True)
        rows = np.concatenate(
            [store.take(places[indices]).reshape(len(indices), -1) for store, places in pairs], axis=1
        )
        # PyTorch widens halves ten times as fast as NumPy.
        wide: NDArray[np.float32] = torch.from_numpy(rows).float().numpy()
        return wide


class Pictures(Protocol):
    """What is looked at: images, or pieces of them, each with a digest; `svertka.data.cache.images.Images` are some."""

    @property
    def digests(self) -> Sequence[str]:
        """Of the content of each."""

    @property
    def preprocess(self) -> Preprocess:
        """That they were placed by."""

    def take(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        """A copy of those at these positions, ``(n, height, width, channels)`` uint8."""


class BulkEngine(Protocol):
    """Runs the frozen stages over many batches; `svertka.deploy.bulk` has some."""

    batch: int

    def stream(self, batches: Iterable[NDArray[np.float32]]) -> Iterator[tuple[NDArray[np.float32], ...]]:
        """For every batch ``(N, C, H, W)`` of `batch` images, in order, the outputs, each with N rows."""
        ...


def remember(
    images: Pictures,
    positions: NDArray[np.int64],
    view: str,
    stores: Sequence[Store],
    engine: Callable[[], BulkEngine],
    *,
    advance: Advance | None = None,
) -> int:
    """See that all these images are in the stores, one for each output of the engine.

    Args:
        images: Decoded; the arithmetic of ``preprocess`` is applied.
        positions: Which of them.
        view: Name of the view that the stores are for.
        stores: Where the outputs go, in the order of the engine's outputs.
        engine: Called if anything has to be computed.
        advance: Told how it goes.

    Returns:
        How many images had to be computed.
    """
    unique = {images.digests[position]: position for position in positions.tolist()}
    for store in stores:
        store.check(unique)
    absent = [(digest, position) for digest, position in unique.items() if any(digest not in store for store in stores)]
    if not absent:
        return 0
    running = engine()
    size = running.batch

    def batches() -> Iterator[NDArray[np.float32]]:
        for start in range(0, len(absent), size):
            chosen = [position for _, position in absent[start : start + size]]
            # The last batch is filled up: in a batch of another size the same image may differ in the last bit.
            chosen += chosen[-1:] * (size - len(chosen))
            yield images.preprocess.normalise(VIEWS[view](images.take(np.array(chosen))))

    pending: list[tuple[NDArray[np.float16], ...]] = []
    kept = done = 0
    written = time.monotonic()
    for outputs in running.stream(batches()):
        count = min(size, len(absent) - done)
        pending.append(tuple(_half(output[:count]) for output in outputs))
        done += count
        full = sum(rows.nbytes for batch in pending for rows in batch) > _SEGMENT
        if done == len(absent) or full or time.monotonic() - written > _SECONDS:
            digests = [digest for digest, _ in absent[kept:done]]
            for number, store in enumerate(stores):
                store.add(digests, np.concatenate([rows[number] for rows in pending]))
            pending, kept, written = [], done, time.monotonic()
        if advance:
            advance(done, len(absent))
    return len(absent)


def _checksum(row: NDArray[np.float16]) -> int:
    return zlib.crc32(np.ascontiguousarray(row).view(np.uint8).reshape(-1).data)


def _half(rows: NDArray[np.float32]) -> NDArray[np.float16]:
    largest = np.finfo(np.float16).max
    return np.clip(rows, -largest, largest).astype(np.float16)


def room_bytes(beside: Path | None = None) -> int:
    """How much may be kept in stores: what the disk has free, within the limit of the cache, or a little in memory."""
    folder = beside or cache_folder()
    there = next(place for place in (folder, *folder.absolute().parents) if place.is_dir())
    return max(_HELD, min(cache_limit(), shutil.disk_usage(there).free))


def seconds_a_byte(beside: Path | None = None) -> float:
    """How long it takes to keep a byte, by keeping a few megabytes that are deleted again."""
    rows = np.ones((_TRIED >> 12, 1 << 11), np.float32)
    store = Store(f"trial-{uuid.uuid4().hex}", rows.shape[1:], beside)
    started = time.perf_counter()
    store.add([str(number) for number in range(len(rows))], _half(rows))
    seconds = time.perf_counter() - started
    shutil.rmtree(store.folder, ignore_errors=True)
    return seconds / _TRIED


def memory_bytes() -> int:
    """How much all that is remembered takes on the disk."""
    return sum(_size(folder) for folder in _folders())


def _make_room(size: int, spared: Path) -> None:
    # What was least recently added to goes first, a store at a time.
    total = size + _size(spared)
    for folder in sorted((f for f in _folders() if f != spared), key=lambda f: f.stat().st_mtime, reverse=True):
        total += _size(folder)
        if total > cache_limit():
            shutil.rmtree(folder, ignore_errors=True)


def _folders() -> list[Path]:
    with suppress(OSError):
        return [path for path in (cache_folder() / "memory").iterdir() if path.is_dir()]
    return []


def _size(folder: Path) -> int:
    total = 0
    with suppress(OSError):  # another process may make room at this moment
        for path in folder.iterdir():
            total += path.stat().st_size
    return total

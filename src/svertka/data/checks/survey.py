"""All that is looked at of a data set, in one pass over its files."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Literal, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from svertka.annotations import names_in
from svertka.data.samples import Dataset, Sample, flat
from svertka.data.splitting.likeness import SIDE, Looks, shrink
from svertka.runtime.cores import available_cores
from svertka.runtime.image import ImageError, TooLargeError, glance

_DECODED = 2 * SIDE  # pixels a side, at least: twice what is kept
_CHUNK = 32  # images a thread takes at a time

FaultKind = Literal["empty", "truncated", "oversized", "unreadable"]


@dataclass(frozen=True, slots=True)
class Fault:
    """Why an image cannot be used."""

    kind: FaultKind
    text: str


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of its image.

    Attributes:
        format: As pillow calls it.
        mode: As pillow calls it.
        orientation: EXIF orientation; 1 is upright.
        height, width: As the image lies in the file.
        bytes: Of the file.
    """

    format: str
    mode: str
    orientation: int
    height: int
    width: int
    bytes: int

    @property
    def upright(self) -> tuple[int, int]:
        """Height and width of the upright image."""
        return (self.width, self.height) if self.orientation in (5, 6, 7, 8) else (self.height, self.width)


@runtime_checkable
class Encoded(Protocol):
    """A source whose encoded bytes can be had."""

    def read(self) -> bytes:
        """The file as it is."""
        ...


@dataclass(frozen=True)
class Survey:
    """A data set as the checks see it.

    Attributes:
        dataset: As it was read.
        samples: All samples; positions count in them.
        parts: The part of each: ``train``, ``val``, ``test`` or ``all``; empty for one that is left out.
        looks: What the images look like.
        sizes: Height and width of each upright image, ``(N, 2)``; 0 where that is not known.
        faults: Images that cannot be used, by position.
        headers: What the files say, by position; empty where only pixels are at hand.
        groups: The group of each, such as a person, where one was asked for; empty where it has none.
    """

    dataset: Dataset
    samples: Sequence[Sample]
    parts: Sequence[str]
    looks: Looks
    sizes: NDArray[np.int64]
    faults: Mapping[int, Fault] = field(default_factory=dict)
    headers: Mapping[int, Header] = field(default_factory=dict)
    groups: Sequence[str] | None = None

    @cached_property
    def usable(self) -> NDArray[np.int64]:
        """Positions of the images that can be read and are in a part."""
        return np.array(
            [position for position, part in enumerate(self.parts) if part and self.digests[position]], np.int64
        )

    @property
    def digests(self) -> Sequence[str]:
        """Of each image's content; empty for one that cannot be read."""
        return self.looks.digests

    def keys(self) -> list[str]:
        """See `Looks.keys`."""
        return self.looks.keys(self.groups)

    @property
    def part_names(self) -> list[str]:
        """The parts that there are, in their usual order."""
        there = set(self.parts)
        return [part for part in ("train", "val", "test", "all") if part in there]

    def classes(self, position: int) -> tuple[str, ...]:
        """The distinct class names in a sample's annotation."""
        return tuple(dict.fromkeys(names_in(self.samples[position].annotation)))

    def names(self, positions: Iterable[int]) -> list[str]:
        """The samples' names."""
        return [self.samples[position].name for position in positions]


def survey(
    dataset: Dataset, *, groups: Sequence[str] | None = None, advance: Callable[[int, int], None] | None = None
) -> Survey:
    """Look at every image of a data set. Memory grows by 3 kB an image.

    Args:
        dataset: As it was read.
        groups: The group of each sample, in the order of `flat`.
        advance: Told how many of how many images are done.
    """
    parts, samples = flat(dataset)
    digests = [""] * len(samples)
    small = np.zeros((len(samples), SIDE, SIDE, 3), np.uint8)
    sizes = np.zeros((len(samples), 2), np.int64)
    faults: dict[int, Fault] = {}
    headers: dict[int, Header] = {}

    def look(start: int) -> int:
        for position in range(start, min(start + _CHUNK, len(samples))):
            digests[position], seen = _look(samples[position])
            if isinstance(seen, Fault):
                faults[position] = seen
                continue
            image, header = seen
            small[position] = shrink(image)
            sizes[position] = header.upright if header else image.shape[:2]
            if header:
                headers[position] = header
        return start

    for start in _in_parallel(look, range(0, len(samples), _CHUNK)):
        if advance:
            advance(min(start + _CHUNK, len(samples)), len(samples))
    looks = Looks(digests, lambda: small, sizes.min(axis=1))
    return Survey(dataset, samples, parts, looks, sizes, faults, headers, groups)


def _look(sample: Sample) -> tuple[str, Fault | tuple[NDArray[np.uint8], Header | None]]:
    data = b""
    try:
        if not isinstance(sample.source, Encoded):
            image, digest = sample.source.load()
            return digest, (image, None)
        data = sample.source.read()
        seen = glance(data, side=_DECODED, where=sample.name)
    except ImageError as error:
        return "", Fault(_fault(data, error), error.what)
    header = Header(seen.format, seen.mode, seen.orientation, seen.height, seen.width, len(data))
    return hashlib.blake2b(data, digest_size=16).hexdigest(), (seen.pixels, header)


def _fault(data: bytes, error: ImageError) -> FaultKind:
    if isinstance(error, TooLargeError):
        return "oversized"
    if "an empty file" in error.what:
        return "empty"
    return "truncated" if _cut_short(data) else "unreadable"


def _cut_short(data: bytes) -> bool:
    """Whether the end that its format prescribes is missing."""
    if data.startswith(b"\xff\xd8\xff"):
        return b"\xff\xd9" not in data[-1024:]
    if data.startswith(b"\x89PNG"):
        return b"IEND" not in data[-1024:]
    if data.startswith(b"GIF8"):
        return not data.rstrip(b"\0").endswith(b";")
    if data.startswith(b"RIFF"):
        return len(data) < int.from_bytes(data[4:8], "little") + 8
    if data.startswith(b"BM"):
        return len(data) < int.from_bytes(data[2:6], "little")
    return False


T = TypeVar("T")


def _in_parallel(work: Callable[[int], T], tasks: Iterable[int]) -> Iterator[T]:
    # Pillow lets go of the interpreter while it decodes. A few tasks are under way at a time, no more.
    cores = available_cores()
    with ThreadPoolExecutor(cores) as pool:
        left = iter(tasks)
        waiting = deque(pool.submit(work, task) for task in islice(left, 2 * cores))
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(pool.submit(work, task) for task in islice(left, 1))

"""Which images are copies of one another: recompressed, resized, mirrored, made brighter or darker, or negatives.

Of a small grey copy the cosine transform is taken, each coefficient weighted by its frequency: the scalar product of
two such vectors, brought to unit length, is the correlation of the images' gradients. It does not see brightness and
contrast; a negative has the opposite sign; and a mirrored image differs in the sign of every other column, so that
one product of matrices, summed in two halves, compares all pairs both ways.

All numbers are rounded to integers that single precision adds up without error: which images are alike does not
depend on the machine, on the number of threads or on the order of images.

The transform as C. Zauner describes it ("Implementation and Benchmarking of Perceptual Image Hash Functions", 2010),
kept in numbers instead of bits; the ratio to farther neighbours after D. Lowe ("Distinctive Image Features from
Scale-Invariant Keypoints", 2004).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from svertka.data.cache.images import Images

SIDE = 32
"""Side of the small images that are compared, in pixels."""

_FREQUENCIES = 12  # of each axis
_LENGTH = 2000.0  # of the rounded vectors: products stay below 2²⁴
_BLOCK = 256  # images compared with all others at a time
_NEIGHBOUR = 20  # whose likeness says what is usual in this data set
_TINY = 48  # pixels; smaller images look alike sooner

_ALIKE, _RATIO, _CONFIRMED = 0.85, 1 / 3, 0.8
_TINY_ALIKE, _TINY_RATIO, _TINY_CONFIRMED = 0.985, 1 / 12, 0.97
_COMPARED = 20_000  # images that are compared with one another, at most: time grows with the square
_FLAT = 2.0  # grey levels of deviation below which an image shows nothing to compare


@dataclass(frozen=True, slots=True)
class Pair:
    """Two images that are alike; ``first`` < ``second``.

    Attributes:
        first, second: Their positions.
        likeness: Correlation of their gradients, at most 1.
        mirrored: Left and right are exchanged.
        negative: Dark and light are.
    """

    first: int
    second: int
    likeness: float
    mirrored: bool
    negative: bool


@dataclass(frozen=True)
class Looks:
    """What images look like, as far as it takes to find copies.

    Attributes:
        digests: Of each image's content; empty for one that cannot be read.
        shrunk: Gives ``(N, 32, 32, 3)`` uint8 RGB, asked for when it is needed.
        shorter: The shorter side of each, ``(N,)``.
        compared: Whether images are compared with one another; else only equal contents are copies.
    """

    digests: Sequence[str]
    shrunk: Callable[[], NDArray[np.uint8]]
    shorter: NDArray[np.int64]
    compared: bool = True

    @cached_property
    def small(self) -> NDArray[np.uint8]:
        """All images, small; black for one that cannot be read."""
        return self.shrunk()

    @cached_property
    def copies(self) -> list[list[int]]:
        """Positions with the same content."""
        same: dict[str, list[int]] = defaultdict(list)
        for position, digest in enumerate(self.digests):
            if digest:
                same[digest].append(position)
        return [positions for positions in same.values() if len(positions) > 1]

    @cached_property
    def likenesses(self) -> list[Pair]:
        """Pairs of images that are alike without being the same file, each content taken once."""
        if not self.compared:
            return []
        once = {digest: position for position, digest in reversed(list(enumerate(self.digests))) if digest}
        first = sorted(once.values())
        pairs = alike(self.small[first], self.shorter[first])
        return [Pair(first[p.first], first[p.second], p.likeness, p.mirrored, p.negative) for p in pairs]

    @cached_property
    def kin(self) -> list[list[int]]:
        """Groups of copies, exact or near."""
        same = [Pair(group[0], other, 1.0, False, False) for group in self.copies for other in group[1:]]
        return joined(len(self.digests), [*same, *self.likenesses])

    def keys(self, groups: Sequence[str] | None = None) -> list[str]:
        """What each image must stay with when a data set is divided: its group, else its copies, else itself.

        Args:
            groups: The group of each, such as a person; empty where it has none.
        """
        keys = list(self.digests)
        if groups is not None:
            keys = [f"group {group}" if group else digest for group, digest in zip(groups, keys, strict=True)]
        # A copy may belong to two groups: they are one, then.
        leader: dict[str, str] = {}

        def root(key: str) -> str:
            while (above := leader.get(key, key)) != key:
                key = above
            return key

        for together in self.kin:
            roots = sorted({root(keys[position]) for position in together})
            leader.update(dict.fromkeys(roots[1:], roots[0]))
        return [root(key) for key in keys]


def looks_of(images: Images, notes: list[str]) -> Looks:
    """What images look like.

    Args:
        images: As the network takes them.
        notes: Are told where they are too many to be compared.
    """

    def shrunk() -> NDArray[np.uint8]:
        small = np.zeros((len(images.digests), SIDE, SIDE, 3), np.uint8)
        usable = np.array([place for place, digest in enumerate(images.digests) if digest], np.int64)
        for start in range(0, len(usable), 64):
            chosen = usable[start : start + 64]
            small[chosen] = [shrink(image) for image in images.each(chosen)]
        return small

    # What is small was not seen better for having been placed larger.
    side = min(images.preprocess.height, images.preprocess.width)
    sides = np.minimum(np.array(images.sides, np.int64), side)
    few = len(images.digests) <= _COMPARED
    if not few:
        notes.append(f"more than {_COMPARED:,} images: only equal files count as copies; `svertka check` compares all")
    return Looks(images.digests, shrunk, sides, compared=few and bool(np.median(sides[sides > 0]) >= SIDE // 2))


def shrink(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """``(H, W, 3)`` or ``(H, W, 1)`` uint8 to ``(32, 32, 3)`` uint8, by means over areas."""
    picture = Image.fromarray(image if image.shape[2] == 3 else np.repeat(image, 3, axis=2))
    smaller = min(picture.size) < SIDE
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR if smaller else Image.Resampling.BOX))


def alike(small: NDArray[np.uint8], shorter: NDArray[np.int64]) -> list[Pair]:
    """All pairs of images that are copies of one another, in order. Time grows with the square of their number.

    Args:
        small: ``(N, 32, 32, 3)`` uint8 RGB, from `shrink`.
        shorter: The shorter side of each as it was, ``(N,)``.
    """
    grey = _grey(small)
    usable = np.flatnonzero(grey.std(axis=(1, 2)) >= _FLAT)
    if len(usable) < 2:
        return []
    grey, tiny = grey[usable], shorter[usable] < _TINY
    pairs = []
    for first, second, likeness, mirrored in _candidates(_transformed(grey), tiny):
        gradients = _gradients(np.stack([grey[first], grey[second][:, ::-1] if mirrored else grey[second]]))
        confirmed = abs(float(gradients[0] @ gradients[1])) / _LENGTH**2
        if confirmed >= (_TINY_CONFIRMED if tiny[first] or tiny[second] else _CONFIRMED):
            pairs.append(Pair(int(usable[first]), int(usable[second]), abs(likeness), mirrored, likeness < 0))
    return pairs


def joined(count: int, pairs: Iterable[Pair]) -> list[list[int]]:
    """The groups that pairs join, each in order; what is in no pair is in no group."""
    pairs = list(pairs)
    parent = list(range(count))

    def root(position: int) -> int:
        while parent[position] != position:
            parent[position] = parent[parent[position]]
            position = parent[position]
        return position

    for pair in pairs:
        one, other = sorted((root(pair.first), root(pair.second)))
        parent[other] = one
    groups: dict[int, list[int]] = {}
    for position in sorted({position for pair in pairs for position in (pair.first, pair.second)}):
        groups.setdefault(root(position), []).append(position)
    return list(groups.values())


def _grey(small: NDArray[np.uint8]) -> NDArray[np.float32]:
    grey = np.empty(small.shape[:3], np.float32)
    for start in range(0, len(small), _BLOCK):
        grey[start : start + _BLOCK] = small[start : start + _BLOCK] @ np.array([0.299, 0.587, 0.114], np.float32)
    return grey


def _candidates(vectors: NDArray[np.float32], tiny: NDArray[np.bool_]) -> list[tuple[int, int, float, bool]]:
    odd = np.arange(vectors.shape[1]) % _FREQUENCIES % 2 == 1
    even_half, odd_half = np.ascontiguousarray(vectors[:, ~odd]), np.ascontiguousarray(vectors[:, odd])
    count, unit = len(vectors), np.float32(_LENGTH**2)
    rough: list[tuple[NDArray[Any], ...]] = []
    for start in range(0, count, _BLOCK):
        stop = start + _BLOCK
        even, odds = even_half[start:stop] @ even_half[start:].T, odd_half[start:stop] @ odd_half[start:].T
        # Of sum and difference, the greater in size is the sum of the sizes.
        strongest = np.abs(even)
        strongest += np.abs(odds)
        first, second = np.nonzero(strongest >= _ALIKE * unit)
        first, second = first[second > first], second[second > first]
        even, odds = even[first, second], odds[first, second]
        mirrored = (even < 0) != (odds < 0)
        likeness = np.where(mirrored, even - odds, even + odds) / unit
        rough.append((first + start, second + start, likeness, mirrored))
    first, second, likeness, mirrored = (np.concatenate(parts) for parts in zip(*rough, strict=True))
    asked = np.unique(np.concatenate([first, second]))
    usual = np.zeros(count, np.float32)
    neighbour = min(_NEIGHBOUR, max(1, count // 5))
    for start in range(0, len(asked), _BLOCK):
        block = asked[start : start + _BLOCK]
        strongest = np.abs(even_half[block] @ even_half.T) + np.abs(odd_half[block] @ odd_half.T)
        strongest[np.arange(len(block)), block] = 0
        usual[block] = _ranked(strongest, neighbour) / unit
    either = tiny[first] | tiny[second]
    apart = 1 - np.minimum(np.abs(likeness), 1)
    least = np.where(either, _TINY_ALIKE, _ALIKE)
    ratio = np.where(either, _TINY_RATIO, _RATIO)
    kept = (1 - apart >= least) & (apart <= ratio * (1 - np.maximum(usual[first], usual[second])))
    columns = (first, second, likeness, mirrored)
    return list(zip(*(column[kept].tolist() for column in columns), strict=True))


def _ranked(values: NDArray[np.float32], rank: int) -> NDArray[np.float32]:
    # The value of that rank in each row, the greatest first.
    return np.asarray(np.partition(values, values.shape[1] - rank, axis=1)[:, -rank])


def _transformed(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    # Type-II cosine transform; the factor of frequency leaves out the mean.
    place = (2 * np.arange(SIDE) + 1) / (2 * SIDE)
    frequency = np.arange(_FREQUENCIES)
    waves = np.cos(np.pi * frequency[:, None] * place).astype(np.float64)
    waves[0] /= np.sqrt(2)
    weight = np.hypot(frequency[:, None], frequency)
    vectors = np.empty((len(grey), _FREQUENCIES**2), np.float32)
    for start in range(0, len(grey), _BLOCK):
        coefficients = waves @ grey[start : start + _BLOCK].astype(np.float64) @ waves.T * weight
        vectors[start : start + _BLOCK] = _rounded(coefficients)
    return vectors


def _gradients(grey: NDArray[np.float32]) -> NDArray[np.int64]:
    right, down = np.diff(grey, axis=2)[:, :-1], np.diff(grey, axis=1)[:, :, :-1]
    return _rounded(np.stack([right, down], axis=1)).astype(np.int64)


def _rounded(values: NDArray[np.floating]) -> NDArray[np.float32]:
    flat = values.reshape(len(values), -1)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return np.asarray(np.rint(flat * (_LENGTH / np.maximum(length, 1e-9))), np.float32)

"""Selective search: parts of an image that may show an object, whatever it is. Without torch.

J. Uijlings, K. van de Sande, T. Gevers, A. Smeulders, "Selective Search for Object Recognition", IJCV 2013;
P. Felzenszwalb, D. Huttenlocher, "Efficient Graph-Based Image Segmentation", IJCV 2004.

The image falls into small segments; the two neighbours that are most alike, in colour, texture, size and how well they
fill a rectangle, become one, until one is left. Around every segment that there ever was is a box. This is done in two
colour spaces, by two measures.

Departures: the second colour space is YCbCr, not Lab; images are made smaller, to at most 256 pixels a side; and what
orders the boxes is no random number but one that is spread as evenly.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SELECTIVE_SEARCH = 1
"""Of what is found; another number once the same image gives other boxes."""

_SIDE = 256  # pixels, at most; sides are powers of two, so that boxes are exact as shares in half precision
_SPACES = ("HSV", "YCbCr")
_SCALE = 100.0  # the larger, the larger are the first segments
_FEW, _PASSES = 4096, 8  # edges that are gone along before they are sieved: so many, or a share
_LEAST = 20  # pixels of a first segment
_COLOURS, _TEXTURES, _DIRECTIONS = 25, 10, 8  # bins of a channel's histograms; derivatives that texture is told by
_STEEPEST = 64.0  # derivative from which on all are alike
_GOLDEN = 0.6180339887498949  # multiples of it, without what stands before the point, are spread evenly

Boxes = NDArray[np.float32]


def selective_search(image: NDArray[np.uint8], count: int) -> Boxes:
    """The boxes ``(count, 4)`` of an image ``(H, W, C)``, C 1 or 3, that come first, as shares of width and height.

    Left, top, right, bottom; where there are fewer, others are without area.
    """
    picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).convert("RGB")
    width, height = (min(_SIDE, max(2, 1 << (side.bit_length() - 1))) for side in picture.size)
    picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    ranked: dict[tuple[int, ...], float] = {}
    for number, space in enumerate(_SPACES):
        pixels = np.asarray(picture.convert(space))
        start = _segments(pixels, segment(pixels))
        for colours in (True, False):
            for rank, box in enumerate(reversed(list(_grouped(start, height * width, colours=colours)))):
                # As in the paper: what came last first, but not so that only large boxes are left of few.
                place = (rank + 1) * ((rank * 4 + number * 2 + colours + 1) * _GOLDEN % 1)
                ranked[box] = min(place, ranked.get(box, place))
    chosen = sorted(ranked, key=lambda box: (ranked[box], box))[:count]
    found = np.zeros((count, 4), np.float32)
    found[: len(chosen)] = np.array(chosen, np.float32).reshape(-1, 4) / [width, height, width, height]
    return found


def segment(pixels: NDArray[np.uint8], scale: float = _SCALE, least: int = _LEAST) -> NDArray[np.int64]:
    """The number of the segment of every pixel of ``(H, W, C)``: ``(H, W)``.

    Two segments become one where the least difference between them is no larger than that within each, to which
    ``scale`` over its size is added. What is smaller than ``least`` pixels joins the neighbour least unlike it.
    """
    height, width = pixels.shape[:2]
    smooth = _smooth(pixels)
    places = np.arange(height * width).reshape(height, width)
    pairs = [
        (places[:, :-1], places[:, 1:]),
        (places[:-1], places[1:]),
        (places[:-1, :-1], places[1:, 1:]),
        (places[1:, :-1], places[:-1, 1:]),
    ]
    one, other = (np.concatenate([pair[side].ravel() for pair in pairs]) for side in (0, 1))
    flat = smooth.reshape(height * width, -1)
    squared = ((flat[one] - flat[other]) ** 2).sum(axis=1)
    order = np.argsort(squared, kind="stable")
    edges = one[order], other[order], np.sqrt(squared[order]) / 256
    roots, sizes = places.ravel(), [1] * places.size
    limits = [scale] * places.size

    def alike(a: int, b: int, weight: float) -> bool:
        if weight > limits[a] or weight > limits[b]:
            return False
        limits[a] = weight + scale / (sizes[a] + sizes[b])
        return True

    roots = _joined(roots, sizes, edges, alike)
    roots = _joined(roots, sizes, edges, lambda a, b, _: sizes[a] < least or sizes[b] < least)
    return np.unique(roots, return_inverse=True)[1].reshape(height, width)


def _joined(
    roots: NDArray[np.int64],
    sizes: list[int],
    edges: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]],
    joins: Callable[[int, int, float], bool],
) -> NDArray[np.int64]:
    """Go along the edges, and make one of every two segments that ``joins``.

    Args:
        roots: The segment of every pixel, named after one of its pixels.
        sizes: By that pixel, of every segment; changed.
        edges: The two pixels of each, and how they differ.
        joins: Whether two segments become one, which is named after the first.
    """
    one, other, weights = edges
    parent = roots.tolist()
    while True:
        # Most edges come to lie within a segment before it is their turn, so that they are sieved from time to time.
        apart = roots[one] != roots[other]
        one, other, weights = roots[one[apart]], roots[other[apart]], weights[apart]
        if not len(one):
            return roots
        few = max(_FEW, len(one) // _PASSES)
        for a, b, weight in zip(one[:few].tolist(), other[:few].tolist(), weights[:few].tolist(), strict=True):
            while parent[a] != a:
                parent[a] = a = parent[parent[a]]
            while parent[b] != b:
                parent[b] = b = parent[parent[b]]
            if a != b and joins(a, b, weight):
                parent[b] = a
                sizes[a] += sizes[b]
        one, other, weights = one[few:], other[few:], weights[few:]
        roots = np.array(parent)
        while (roots[roots] != roots).any():
            roots = roots[roots]
        parent = roots.tolist()


def _smooth(pixels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Blurred by the binomial kernel 1, 4, 6, 4, 1 both ways, times 256: whole numbers, the same on every machine."""
    x = pixels.astype(np.int64)
    for axis in (0, 1):
        padded = np.pad(x, [(2, 2) if number == axis else (0, 0) for number in range(3)], mode="edge")
        parts = [np.take(padded, np.arange(start, start + x.shape[axis]), axis=axis) for start in range(5)]
        x = parts[0] + 4 * parts[1] + 6 * parts[2] + 4 * parts[3] + parts[4]
    return x


class _Segments(NamedTuple):
    # Of each segment: its pixels, its box (K, 4), its histograms (K, D); and which of them are neighbours.
    sizes: NDArray[np.int64]
    boxes: NDArray[np.int64]
    colours: NDArray[np.float64]
    textures: NDArray[np.float64]
    neighbours: list[set[int]]


def _segments(pixels: NDArray[np.uint8], numbers: NDArray[np.int64]) -> _Segments:
    count, flat = int(numbers.max()) + 1, numbers.ravel()
    sizes = np.bincount(flat, minlength=count)
    rows, columns = (axis.ravel() for axis in np.indices(numbers.shape))
    starts, ends = np.full((2, count), numbers.size), np.zeros((2, count), np.int64)
    for axis, places in enumerate((columns, rows)):
        np.minimum.at(starts[axis], flat, places)
        np.maximum.at(ends[axis], flat, places + 1)
    boxes = np.concatenate([starts, ends]).T
    channels = [pixels[..., number].astype(np.int64) for number in range(pixels.shape[2])]
    colours = [_histogram(flat, count, channel * _COLOURS // 256, _COLOURS) for channel in channels]
    textures = []
    smooth = _smooth(pixels) / 256
    down, right = np.gradient(smooth, axis=(0, 1))
    for direction in range(_DIRECTIONS):
        angle = 2 * np.pi * direction / _DIRECTIONS
        along = (np.cos(angle) * right + np.sin(angle) * down).clip(0, _STEEPEST)
        bins = np.minimum(along * (_TEXTURES / _STEEPEST), _TEXTURES - 1).astype(np.int64)
        textures += [_histogram(flat, count, bins[..., number], _TEXTURES) for number in range(len(channels))]
    neighbours: list[set[int]] = [set() for _ in range(count)]
    touching = [(numbers[:, :-1], numbers[:, 1:]), (numbers[:-1], numbers[1:])]
    for one, other in {pair for a, b in touching for pair in zip(a[a != b].tolist(), b[a != b].tolist(), strict=True)}:
        neighbours[one].add(other)
        neighbours[other].add(one)
    return _Segments(sizes, boxes, _shares(colours), _shares(textures), neighbours)


def _histogram(flat: NDArray[np.int64], count: int, bins: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    return np.bincount(flat * most + bins.ravel(), minlength=count * most).reshape(count, most)


def _shares(histograms: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
    together = np.concatenate(histograms, axis=1)
    shares: NDArray[np.float64] = together / together.sum(axis=1, keepdims=True)
    return shares


def _grouped(start: _Segments, area: int, *, colours: bool) -> Iterator[tuple[int, ...]]:
    """The box of every first segment, then of every one that two become, the most alike first.

    Args:
        start: The first segments.
        area: Of the image, in pixels.
        colours: Whether colours count, beside texture, size and fill.
    """
    first = len(start.sizes)
    room = 2 * first - 1
    sizes, boxes = np.zeros(room, np.int64), np.zeros((room, 4), np.int64)
    histograms = [start.colours, start.textures] if colours else [start.textures]
    features = np.zeros((room, sum(part.shape[1] for part in histograms)))
    sizes[:first], boxes[:first], features[:first] = start.sizes, start.boxes, np.concatenate(histograms, axis=1)
    neighbours = [set(others) for others in start.neighbours]

    def alike(one: int, others: NDArray[np.int64]) -> list[float]:
        shared = np.minimum(features[one], features[others]).sum(axis=1)
        corners = np.minimum(boxes[one, :2], boxes[others, :2]), np.maximum(boxes[one, 2:], boxes[others, 2:])
        hull = (corners[1] - corners[0]).prod(axis=1)
        both = sizes[one] + sizes[others]
        # 1 − what they take of the image, and 1 − what of the box around them they leave.
        values: list[float] = (shared + (1 - both / area) + (1 - (hull - both) / area)).tolist()
        return values

    waiting: list[tuple[float, int, int]] = []
    for one in range(first):
        later = np.array([other for other in sorted(neighbours[one]) if other > one], np.int64)
        waiting += zip((-value for value in alike(one, later)), [one] * len(later), later.tolist(), strict=True)
    heapq.heapify(waiting)
    alive = [True] * first
    yield from map(tuple, boxes[:first].tolist())
    while waiting:
        _, one, other = heapq.heappop(waiting)
        if not (alive[one] and alive[other]):
            continue
        new = len(alive)
        alive[one] = alive[other] = False
        alive.append(True)
        pair = [one, other]
        sizes[new] = sizes[pair].sum()
        boxes[new] = *boxes[pair, :2].min(axis=0), *boxes[pair, 2:].max(axis=0)
        features[new] = (features[pair] * sizes[pair, None]).sum(axis=0) / sizes[new]
        near = (neighbours[one] | neighbours[other]) - {one, other}
        neighbours.append(near)
        for neighbour in near:
            neighbours[neighbour] -= {one, other}
            neighbours[neighbour].add(new)
        ordered = sorted(near)
        for value, neighbour in zip(alike(new, np.array(ordered, np.int64)), ordered, strict=True):
            heapq.heappush(waiting, (-value, neighbour, new))
        yield tuple(boxes[new].tolist())

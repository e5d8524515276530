"""Whole images of any size, in pieces that overlap, mirrored at their borders: memory stays that of one piece.

O. Ronneberger, P. Fischer, T. Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation", 2015.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from svertka.runtime.preprocess import Preprocess

_SIDE = 512  # of a piece, at least: of larger ones less is surroundings
_SLACK = 5 / 4  # how much larger than a piece an image is that is still run as one
_AROUND = 64  # pixels at each side of a piece that only show what lies around
_GRID = 32  # what sides are divided by, so that pieces share the strides of the network
_LEAST = 96  # the smallest side that every trunk takes

Outputs = dict[str, NDArray[np.float32]]


class Piece(NamedTuple):
    """A part of an image that is run at a time.

    Attributes:
        rows, columns: What it answers for, in the image.
        source_rows, source_columns: Where its input comes from: for every row and column, the one of the image; those
            beyond the border are mirrored at it.
        top, left: Where in its output that begins which it answers for.
    """

    rows: slice
    columns: slice
    source_rows: NDArray[np.int64]
    source_columns: NDArray[np.int64]
    top: int
    left: int

    def cut(self, images: NDArray[Any]) -> NDArray[Any]:
        """Its input, of images ``(…, H, W)``."""
        result: NDArray[Any] = images[..., self.source_rows[:, None], self.source_columns]
        return result

    def answer(self, output: NDArray[Any]) -> NDArray[Any]:
        """What it answers for, of the output ``(…, h, w)`` for its input."""
        height, width = self.rows.stop - self.rows.start, self.columns.stop - self.columns.start
        result: NDArray[Any] = output[..., self.top : self.top + height, self.left : self.left + width]
        return result


def pieces(height: int, width: int, preprocess: Preprocess) -> Iterator[Piece]:
    """The pieces of an image, row by row; each pixel is answered for by one of them.

    An image of up to 640 pixels a side, or somewhat more than the side of what the network learnt from, is one piece.
    A network with a margin gets pieces of just the size that it learnt from.
    """
    downwards = _spans(height, preprocess.height, preprocess.margin)
    for first, last, begin, size in downwards:
        source_rows = mirrored(begin, size, height)
        for left, right, start, wide in _spans(width, preprocess.width, preprocess.margin):
            margin = preprocess.margin
            yield Piece(
                slice(first, last),
                slice(left, right),
                source_rows,
                mirrored(start, wide, width),
                first - begin - margin,
                left - start - margin,
            )


def assemble(run: Callable[[NDArray[Any]], Outputs], images: NDArray[Any], preprocess: Preprocess) -> Outputs:
    """Outputs for whole images ``(N, C, H, W)`` of one size, by name, each ``(N, C', H, W)``.

    Args:
        run: From a piece ``(N, C, h, w)`` to its outputs ``(N, C', h', w')``, smaller by the margin.
        images: As ``run`` takes them.
        preprocess: How large pieces are.
    """
    whole: Outputs = {}
    height, width = images.shape[-2:]
    for piece in pieces(height, width, preprocess):
        for name, output in run(piece.cut(images)).items():
            answer = piece.answer(output)
            if name not in whole:
                whole[name] = np.empty((*answer.shape[:-2], height, width), answer.dtype)
            whole[name][..., piece.rows, piece.columns] = answer
    return whole


def mirrored(begin: int, size: int, length: int) -> NDArray[np.int64]:
    """The places ``begin`` to ``begin + size`` of a line of ``length``, mirrored at its ends, which are not doubled."""
    period = max(1, 2 * (length - 1))
    places = np.arange(begin, begin + size) % period
    return np.minimum(places, period - places) if length > 1 else np.zeros(size, np.int64)


def _spans(length: int, side: int, margin: int) -> list[tuple[int, int, int, int]]:
    # Of every piece: the first and the last place that it answers for, where its input begins, and its size.
    if margin:
        step = side - 2 * margin
        return [(at, min(at + step, length), at - margin, side) for at in range(0, length, step)]
    side = _up(max(side, _SIDE))
    if length <= _SLACK * side:
        return [(0, length, 0, max(_up(length), _LEAST))]
    spans: list[tuple[int, int, int, int]] = []
    begin, first = 0, 0
    while begin + side < length:
        last = begin + side - _AROUND
        spans.append((first, last, begin, side))
        begin, first = min(begin + side - 2 * _AROUND, _up(length - side)), last
    return [*spans, (first, length, begin, side)]


def _up(length: int) -> int:
    return -(-length // _GRID) * _GRID

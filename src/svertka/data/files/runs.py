"""Masks as runs of pixels, down the columns, outside first: what COCO calls run-length encoding."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from svertka.data.files.records import RecordError, list_of, numbers, size_of, table_of
from svertka.wording import counted

_DIGITS = 7  # of 5 bits each; 2³⁴ is more than any image has pixels


def read_runs(value: object, size: tuple[int, int] | None) -> tuple[tuple[int, ...], tuple[int, int]]:
    """A mask of a COCO file, and its height and width.

    Args:
        value: ``size`` and ``counts``; the latter a list, or COCO's compressed text.
        size: Height and width of the image, where they are known.

    Raises:
        RecordError: It is damaged, of another size than the image, or the runs do not fill it.
    """
    table = table_of(value, "the segmentation")
    sides = list_of(table.get("size"), "the mask's size")
    if len(sides) != 2:
        raise RecordError("the mask's size is missing")
    own = size_of(*sides)
    if size is not None and own != size:
        raise RecordError(f"a mask of {own[1]}×{own[0]} pixels on an image of {size[1]}×{size[0]}")
    counts = table.get("counts")
    if isinstance(counts, str):
        found = _decompressed(counts)
    else:
        values = np.asarray(numbers(counts, "the mask's counts"))
        if (values != np.floor(values)).any():
            raise RecordError("a run of pixels that is no whole number")
        found = values.astype(np.int64)
    return _checked(found, own[0] * own[1]), own


def runs_of(mask: NDArray[np.bool_]) -> tuple[int, ...]:
    """The runs of a mask ``(H, W)``."""
    column = np.concatenate(([False], mask.ravel(order="F"), [False]))
    changes = np.flatnonzero(column[1:] != column[:-1])
    # After the last change all is outside: it is either at the end, or a run of nothing more follows.
    bounds = np.concatenate(([0], changes, [mask.size] if not len(changes) or changes[-1] != mask.size else []))
    return tuple(np.diff(bounds).astype(int).tolist())


def runs_at(mask: NDArray[np.bool_], left: int, top: int, size: tuple[int, int]) -> tuple[int, ...]:
    """The runs of an image of which only a rectangle is given; as `runs_of`, without an array of the whole image.

    Args:
        mask: What is inside in the rectangle.
        left, top: Where it stands.
        size: Height and width of the image.

    Raises:
        RecordError: The rectangle reaches out of the image.
    """
    if left < 0 or top < 0 or top + mask.shape[0] > size[0] or left + mask.shape[1] > size[1]:
        raise RecordError("a mask that reaches out of its image")
    steps = np.diff(np.pad(mask, ((1, 1), (0, 0))).astype(np.int8), axis=0).T  # a row for each column of the mask
    bounds = []
    for sign in (1, -1):
        column, row = np.nonzero(steps == sign)
        bounds.append((left + column) * size[0] + top + row)
    starts, stops = bounds
    apart = stops[:-1] < starts[1:]  # a run may go on at the top of the next column
    edges = np.stack([starts[np.append(True, apart)[: len(starts)]], stops[np.append(apart, True)[: len(stops)]]], 1)
    whole = np.concatenate(([0], edges.ravel(), [size[0] * size[1]]))
    runs = np.diff(whole)
    return tuple((runs if runs[-1] else runs[:-1]).astype(int).tolist())


def extent_of(runs: tuple[int, ...], size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of what lies inside.

    Raises:
        RecordError: Nothing does.
    """
    ends = np.cumsum(np.asarray(runs, np.int64))
    starts, stops = ends[0::2][: len(ends[1::2])], ends[1::2]
    inside = stops > starts
    starts, stops = starts[inside], stops[inside]
    if not len(starts):
        raise RecordError("a mask without a pixel")
    height = size[0]
    # A run that goes on in the next column touches its top, and the bottom of its own.
    spans = starts // height != (stops - 1) // height
    top = 0 if spans.any() else int((starts % height).min())
    bottom = height if spans.any() else int(((stops - 1) % height).max()) + 1
    return float(starts[0] // height), float(top), float((stops[-1] - 1) // height + 1), float(bottom)


def _decompressed(text: str) -> NDArray[np.int64]:
    # Digits of 5 bits from the least on, each a character from '0' on; 32 says that more follow, 16 in the last that
    # the number is negative. From the fourth on, numbers are differences to the last but one.
    try:
        codes = np.frombuffer(text.encode("ascii"), np.uint8).astype(np.int64) - 48
    except UnicodeEncodeError:
        raise RecordError("compressed runs with a character that is none of theirs") from None
    if ((codes < 0) | (codes > 63)).any():
        raise RecordError("compressed runs with a character that is none of theirs")
    if not len(codes):
        return codes
    last = np.flatnonzero(codes & 32 == 0)
    if not len(last) or last[-1] != len(codes) - 1:
        raise RecordError("compressed runs that break off")
    first = np.concatenate(([0], last[:-1] + 1))
    lengths = last - first + 1
    if lengths.max() > _DIGITS:
        raise RecordError("compressed runs with a number of too many digits")
    place = np.arange(len(codes)) - np.repeat(first, lengths)
    values = np.add.reduceat((codes & 31) << (5 * place), first)
    values -= np.where(codes[last] & 16, np.int64(1) << (5 * lengths), 0)
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values


def _checked(runs: NDArray[np.int64], pixels: int) -> tuple[int, ...]:
    if len(runs) and (runs.min() < 0 or runs.max() > pixels):
        raise RecordError("a run of pixels that is negative or longer than the image")
    if int(runs.sum()) != pixels:
        raise RecordError(f"runs of {counted(int(runs.sum()), 'pixel')} for an image of {pixels:,}")
    return tuple(runs.tolist())

"""Of many boxes those that are worth telling: the likeliest, and of those that lie over one another one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

OVERLAP = 0.45
"""IoU with a likelier box of its class above which a box is left out."""

MOST = 100
"""Boxes of an image that are told, at most."""

_CANDIDATES = 400  # of a class, before those that lie over one another are left out

Numbers = NDArray[np.float32]


class Chosen(NamedTuple):
    """Boxes of an image, the likeliest first.

    Attributes:
        classes: Number of the class of each, ``(K,)``.
        scores: How probable that is, ``(K,)``.
        boxes: Left, top, right and bottom, ``(K, 4)``.
    """

    classes: NDArray[np.int64]
    scores: Numbers
    boxes: Numbers


def choose(
    boxes: Numbers, scores: Numbers, *, least: Sequence[float], overlap: float = OVERLAP, most: int = MOST
) -> Chosen:
    """Choose among the boxes of an image, class by class.

    Args:
        boxes: ``(A, 4)``, or of every class ``(A, classes, 4)``, as shares of the image's width and height; they are
            cut at its borders.
        scores: Of every class, ``(A, classes)``.
        least: By class, a score that a box must have more of.
        overlap: IoU with a likelier one of its class above which a box is left out.
        most: How many are chosen, at most.
    """
    boxes = boxes.clip(0, 1)
    found: list[tuple[NDArray[Any], ...]] = []
    for number in range(scores.shape[1]):
        sides, column = boxes if boxes.ndim == 2 else boxes[:, number], scores[:, number]
        solid = (sides[:, 2] > sides[:, 0]) & (sides[:, 3] > sides[:, 1])
        places = np.flatnonzero(solid & (column > np.float64(least[number])))
        places = places[np.argsort(-column[places], kind="stable")][:_CANDIDATES]
        places = places[suppress(sides[places], overlap)]
        found.append((np.full(len(places), number), column[places], sides[places]))
    classes, likely, kept = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.argsort(-likely, kind="stable")[:most]
    return Chosen(classes[order], likely[order], kept[order])


def suppress(boxes: Numbers, overlap: float) -> NDArray[np.int64]:
    """Non-maximum suppression: which boxes are left, if each is left out that lies over one that is left before it.

    Args:
        boxes: ``(K, 4)``, the likeliest first.
        overlap: IoU above which one lies over another.
    """
    over = ious(boxes, boxes) > np.float64(overlap)
    left = np.ones(len(boxes), bool)
    for place in range(len(boxes)):
        if left[place]:
            left[place + 1 :] &= ~over[place, place + 1 :]
    return np.flatnonzero(left)


def ious(boxes: Numbers, others: Numbers) -> Numbers:
    """Intersection over union of every box ``(A, 4)`` with every other ``(B, 4)``: ``(A, B)``; 0 without area."""
    shared = _areas(
        np.concatenate(
            [np.maximum(boxes[:, None, :2], others[:, :2]), np.minimum(boxes[:, None, 2:], others[:, 2:])], axis=2
        )
    )
    union = _areas(boxes)[:, None] + _areas(others) - shared
    found: Numbers = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return found


def _areas(boxes: Numbers) -> Numbers:
    sides = (boxes[..., 2:] - boxes[..., :2]).clip(min=0)
    areas: Numbers = sides[..., 0] * sides[..., 1]
    return areas

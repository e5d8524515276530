"""Which boxes are right, and what is wrong with those that are not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from svertka.runtime.boxes import ious
from svertka.tasks.box_losses import ABSENT, COUNTED, CROWD

FOUND = 0.5
"""IoU with an object of its class from which on a box has found it."""

_NEAR = 0.1  # IoU from which on a box is badly placed, and not just anywhere

RIGHT, WRONG_CLASS, BADLY_PLACED, BOTH, DOUBLED, BACKGROUND = range(6)
"""What a box can be. One that has found what does not count, such as a crowd, is `UNCOUNTED`."""
UNCOUNTED = -1
ERRORS = ("wrong class", "badly placed", "both", "doubled", "background")
"""In words, `WRONG_CLASS` and what follows."""

Rows = NDArray[np.float32]


class Matches(NamedTuple):
    """What became of the boxes and the objects of an image.

    Attributes:
        kinds: What each box is, ``(K,)``.
        missed: Which objects no box has found, and none has found but for its class or place, ``(M,)`` bool.
        found: Which objects a box has found, ``(M,)`` bool.
    """

    kinds: NDArray[np.int64]
    missed: NDArray[np.bool_]
    found: NDArray[np.bool_]


def match(boxes: Rows, objects: Rows) -> Matches:
    """Match boxes to objects, the likeliest box first, each to the object of its class that it overlaps most.

    What is wrong with a box is told as in D. Bolya et al., "TIDE: A General Toolbox for Identifying Object Detection
    Errors", 2020: it is badly placed if it overlaps an object of its class by an IoU of 0.1 to 0.5; of the wrong class
    if it has found one of another; doubled if what it has found was found already; both if it overlaps one of another
    class by 0.1 to 0.5; else it shows background.

    Args:
        boxes: Class, score, left, top, right, bottom, the likeliest first, ``(K, 6)``.
        objects: Targets, none absent: class, left, top, right, bottom, kind, ``(M, 6)``.
    """
    overlaps = ious(boxes[:, 2:], objects[:, 1:5])
    own = boxes[:, :1] == objects[:, 0]
    counted, crowds = objects[:, 5] == COUNTED, objects[:, 5] == CROWD
    within = own & crowds & (_within(boxes[:, 2:], objects[:, 1:5]) >= FOUND)
    kinds = np.full(len(boxes), BACKGROUND, np.int64)
    found, blamed = np.zeros(len(objects), bool), np.zeros(len(objects), bool)
    for place in range(len(boxes)):
        near = np.where(own[place] & ~found & ~crowds, overlaps[place], 0)
        for which in (counted, ~counted):
            if (near[which] >= FOUND).any():
                number = int(np.where(which, near, 0).argmax())
                found[number] = True
                kinds[place] = RIGHT if counted[number] else UNCOUNTED
                break
        else:
            if within[place].any():
                kinds[place] = UNCOUNTED
                continue
            kinds[place], number = _wrong(overlaps[place] * counted, own[place])
            if kinds[place] in (WRONG_CLASS, BADLY_PLACED):
                blamed[number] = True
    return Matches(kinds, counted & ~found & ~blamed, found & counted)


def _wrong(overlaps: Rows, own: NDArray[np.bool_]) -> tuple[int, int]:
    """What is wrong with a box that has found nothing, and the object that says so."""
    if not len(overlaps):
        return BACKGROUND, -1
    (mine, mine_at), (other, other_at) = (
        (float(part.max()), int(part.argmax())) for part in (overlaps * own, overlaps * ~own)
    )
    if _NEAR <= mine < FOUND:
        return BADLY_PLACED, mine_at
    if other >= FOUND:
        return WRONG_CLASS, other_at
    if mine >= FOUND:
        return DOUBLED, mine_at
    return (BOTH, other_at) if other >= _NEAR else (BACKGROUND, -1)


def _within(boxes: Rows, others: Rows) -> Rows:
    """The share of every box ``(A, 4)`` that lies in every other ``(B, 4)``: ``(A, B)``."""
    corners = np.maximum(boxes[:, None, :2], others[:, :2]), np.minimum(boxes[:, None, 2:], others[:, 2:])
    shared = (corners[1] - corners[0]).clip(min=0).prod(axis=2)
    found: Rows = shared / np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(axis=1, keepdims=True), 1e-12)
    return found


def best_thresholds(boxes: Sequence[Rows], objects: Sequence[Rows], classes: int, otherwise: float) -> list[float]:
    """By class, the score with the largest F1 if boxes with more are told; halfway between two scores.

    Args:
        boxes, objects: Of every image, as `match` takes them.
        classes: How many there are.
        otherwise: Of a class of which nothing is found.
    """
    kinds = np.concatenate([match(told, there).kinds for told, there in zip(boxes, objects, strict=True)])
    every = np.concatenate(list(boxes))
    counts = np.concatenate(list(objects))
    result = []
    for number in range(classes):
        mine = (every[:, 0] == number) & (kinds != UNCOUNTED)
        order = np.argsort(-every[mine, 1], kind="stable")
        scores, right = every[mine, 1][order].astype(np.float64), kinds[mine][order] == RIGHT
        total = int(((counts[:, 0] == number) & (counts[:, 5] == COUNTED)).sum())
        if not right.any() or not total:
            result.append(otherwise)
            continue
        f1 = 2 * np.cumsum(right) / (np.arange(len(right)) + 1 + total)
        f1[:-1][scores[:-1] == scores[1:]] = 0  # between equal scores there is no threshold
        best = int(f1.argmax())
        result.append(float((scores[best] + (scores[best + 1] if best + 1 < len(scores) else 0.0)) / 2))
    return result


def told(rows: NDArray[np.float32]) -> Rows:
    """Of rows that fill an array, those that are there."""
    kept: Rows = rows[rows[:, 0] != ABSENT]
    return kept

"""How far what two engines say of the same images is apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from svertka.runtime.decoding import Outputs

_BOXES = {"boxes", "scores"}
_LIKELY = 0.05  # score from which on a box is compared where order says nothing: less likely ones are not told
_ALIKE = 1e-3  # difference from which on boxes are taken to be in another order


def difference(found: Outputs, expected: Outputs) -> float:
    """The largest absolute difference between outputs by name.

    Boxes come in an order that hangs on the last bit where two are as likely, so if they differ place by place, each
    one that is likely at all is compared with the one on the other side that is most like it.

    Infinite where an output that is expected is missing, has another shape, or holds what is no number.
    """
    largest = 0.0
    for name, wanted in expected.items():
        if name not in found or found[name].shape != wanted.shape:
            return float("inf")
        apart = np.abs(found[name].astype(np.float64) - wanted)
        # A nan anywhere is a difference, not the absence of one.
        largest = max(largest, float(np.nan_to_num(apart, nan=np.inf, posinf=np.inf).max(initial=0.0)))
    if _ALIKE < largest < np.inf and set(expected) == _BOXES:
        pairs = zip(_images(found), _images(expected), strict=True)
        return max(max(_unlike(one, other), _unlike(other, one)) for one, other in pairs)
    return largest


_Rows = tuple[NDArray[np.float64], NDArray[np.float64]]


def _images(outputs: Outputs) -> list[_Rows]:
    """Of each image, boxes for each class, ``(A, K, 4)``, and scores, ``(A, K)``."""
    scores = outputs["scores"].astype(np.float64)
    scores = scores.reshape(-1, *scores.shape[-2:])
    boxes = outputs["boxes"].astype(np.float64)
    one_for_all = boxes.shape[-2] == scores.shape[-2] and boxes.ndim == outputs["scores"].ndim
    boxes = boxes.reshape(len(scores), scores.shape[1], 1 if one_for_all else scores.shape[2], 4)
    return list(zip(boxes, scores, strict=True))


def _unlike(some: _Rows, others: _Rows) -> float:
    """How far the likely ones among some boxes are, at most, from those most like them among others."""
    boxes, scores = some
    largest = 0.0
    for place in np.flatnonzero((scores >= _LIKELY).any(axis=1)).tolist():
        apart = np.abs(others[1] - scores[place]).max(axis=1)
        sides = np.abs(others[0] - boxes[place]).max(axis=2)
        told = scores[place] >= _LIKELY if sides.shape[1] > 1 else np.ones(1, bool)
        largest = max(largest, float(np.maximum(apart, sides[:, told].max(axis=1)).min()))
    return largest

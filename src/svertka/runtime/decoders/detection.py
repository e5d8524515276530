"""Decoding boxes: boxes and scores to the objects in each image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from svertka.errors import UserError
from svertka.results import Detection, Detections, Result
from svertka.runtime.boxes import choose
from svertka.runtime.card import Card
from svertka.runtime.decoding import DEFAULT_THRESHOLD, Outputs, Sizes
from svertka.wording import counted


def detection(outputs: Outputs, card: Card, sizes: Sizes) -> list[Result]:
    """``boxes`` ``(N, A, 4)`` and their ``scores`` ``(N, A, classes)`` to the objects in each image."""
    boxes, scores = found_boxes(outputs, len(card.classes))
    least = card.thresholds or (DEFAULT_THRESHOLD,) * len(card.classes)
    results: list[Result] = []
    for sides, probabilities, (height, width) in zip(boxes, scores, sizes, strict=True):
        chosen = choose(sides, probabilities, least=least)
        pixels = chosen.boxes.astype(np.float64) * [width, height, width, height]
        objects = zip(chosen.classes.tolist(), chosen.scores.tolist(), pixels.tolist(), strict=True)
        told = (Detection(card.classes[number], min(score, 1.0), *box) for number, score, box in objects)
        results.append(Detections(tuple(told), card.classes))
    return results


def found_boxes(outputs: Outputs, classes: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The ``boxes`` and ``scores`` in raw outputs; boxes may be those of each class, ``(N, A, classes, 4)``.

    Raises:
        UserError: The outputs have none, or they are no finite ones.
    """
    none = np.empty(0, np.float32)
    boxes, scores = outputs.get("boxes", none), outputs.get("scores", none)
    fits = scores.ndim == 3 and scores.shape[2] == classes
    fits = fits and boxes.shape in ((*scores.shape[:2], 4), (*scores.shape, 4))
    if not fits or not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
        raise UserError(
            f"the network gave boxes of shape {boxes.shape} and scores of shape {scores.shape} "
            f"that are not finite ones of {counted(classes, 'class')}",
            mend="run `svertka verify` on the model",
        )
    return boxes, scores

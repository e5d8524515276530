"""Raw outputs become results here, in numpy, for the trainer, the exported model and the server alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from svertka.errors import UserError, nearest
from svertka.results import (
    Classes,
    ClassScore,
    Detection,
    Detections,
    Labels,
    LabelScore,
    NoneOfThese,
    Result,
    Segmentation,
)
from svertka.runtime.boxes import choose
from svertka.runtime.card import Card
from svertka.wording import counted

Outputs = Mapping[str, NDArray[np.float32]]

Sizes = Sequence[tuple[int, int]]
"""Height and width of every image, in pixels."""

DEFAULT_THRESHOLD = 0.5
"""Of a label for which none was chosen on validation data."""


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Probabilities over the last axis, in double precision."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    exponentials: NDArray[np.float64] = np.exp(shifted)
    probabilities: NDArray[np.float64] = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return probabilities


def sigmoid(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """A probability for each logit by itself, in double precision."""
    # Neither way overflows: e^-|x| is at most 1.
    small: NDArray[np.float64] = np.exp(-np.abs(logits.astype(np.float64)))
    probabilities: NDArray[np.float64] = np.where(logits >= 0, 1, small) / (1 + small)
    return probabilities


def classification(outputs: Outputs, card: Card, sizes: Sizes) -> list[Result]:
    """``logits`` ``(N, classes)`` to the classes of each image, the likeliest first.

    With a ``reject_limit`` on the card, an image whose ``distance`` ``(N,)`` is larger is none of them.
    """
    del sizes
    found = []
    for row in softmax(_logits(outputs, card)):
        order = np.argsort(-row, kind="stable")
        found.append(Classes(tuple(ClassScore(card.classes[i], float(row[i])) for i in order)))
    limit = card.reject_limit
    if limit is None:
        return list(found)
    return [
        NoneOfThese(distance, limit, classes) if distance > limit else classes
        for classes, distance in zip(found, distances(outputs, len(found)).tolist(), strict=True)
    ]


def multilabel(outputs: Outputs, card: Card, sizes: Sizes) -> list[Result]:
    """``logits`` ``(N, classes)`` to the labels of each image, the likeliest first."""
    del sizes
    thresholds = card.thresholds or (DEFAULT_THRESHOLD,) * len(card.classes)
    results: list[Result] = []
    for row in sigmoid(_logits(outputs, card)):
        order = np.argsort(-row, kind="stable")
        results.append(Labels(tuple(LabelScore(card.classes[i], float(row[i]), thresholds[i]) for i in order)))
    return results


def segmentation(outputs: Outputs, card: Card, sizes: Sizes) -> list[Result]:
    """``logits`` ``(N, classes, H, W)`` to the likeliest class of every pixel of each image."""
    del sizes  # the logits have them
    return [Segmentation(row.argmax(axis=0).astype(np.uint8), card.classes) for row in _logits(outputs, card, axes=4)]


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


def distances(outputs: Outputs, count: int) -> NDArray[np.float32]:
    """The ``distance`` of each of ``count`` images from the nearest class mean, ``(count,)``.

    Raises:
        UserError: The outputs have none, or they are no distances.
    """
    found = outputs.get("distance", np.empty(0, np.float32))
    if found.shape != (count,) or not (np.isfinite(found) & (found >= 0)).all():
        raise UserError(
            f"the network gave distances of shape {found.shape} that are not finite ones of {counted(count, 'image')}",
            mend="run `svertka verify` on the model",
        )
    return found


def _logits(outputs: Outputs, card: Card, *, axes: int = 2) -> NDArray[np.float32]:
    logits = outputs.get("logits", np.empty(0, np.float32))
    # Scores of an infinite logit would be no numbers.
    if logits.ndim != axes or logits.shape[1] != len(card.classes) or not np.isfinite(logits).all():
        raise UserError(
            f"the network gave logits of shape {logits.shape} that are not finite scores "
            f"of {counted(len(card.classes), 'class')}",
            mend="run `svertka verify` on the model",
        )
    return logits


_DECODERS: dict[str, Callable[[Outputs, Card, Sizes], list[Result]]] = {
    "classification": classification,
    "detection": detection,
    "multilabel": multilabel,
    "segmentation": segmentation,
}


def has_thresholds(card: Card) -> bool:
    """Whether predictions of the model depend on thresholds, one a class."""
    return card.task in ("detection", "multilabel")


def decode(outputs: Outputs, card: Card, sizes: Sizes) -> list[Result]:
    """One result an image from the raw outputs of a batch.

    Args:
        outputs: By name, first axis an image.
        card: Of the network.
        sizes: Of the images, before they were made inputs.

    Raises:
        UserError: The card names a task that this release does not know, or the outputs do not fit it.
    """
    if card.task not in _DECODERS:
        raise UserError(f"unknown task {card.task!r} in the card", mend=nearest(card.task, _DECODERS))
    return _DECODERS[card.task](outputs, card, sizes)

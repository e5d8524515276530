"""Decoding: raw outputs become results, by the decoder of the task that the card names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from svertka.errors import UserError
from svertka.results import Result
from svertka.runtime.card import Card
from svertka.task_records import record as task_records
from svertka.wording import counted

Outputs = Mapping[str, NDArray[np.float32]]
"""What a network gives, by name; first axis an input."""

Sizes = Sequence[tuple[int, ...]]
"""Size of every input as it was decoded: ``(height, width)`` of an image in pixels, ``(T,)`` of a series."""

Decoder = Callable[[Outputs, Card, Sizes], list[Result]]
"""From the raw outputs of a batch to a result an input."""

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


def logits_of(outputs: Outputs, card: Card, *, axes: int = 2) -> NDArray[np.float32]:
    """The ``logits`` in raw outputs, ``(N, classes, …)`` of so many axes.

    Raises:
        UserError: The outputs have none, or they are no finite ones.
    """
    logits = outputs.get("logits", np.empty(0, np.float32))
    # Scores of an infinite logit would be no numbers.
    if logits.ndim != axes or logits.shape[1] != len(card.classes) or not np.isfinite(logits).all():
        raise UserError(
            f"the network gave logits of shape {logits.shape} that are not finite scores "
            f"of {counted(len(card.classes), 'class')}",
            mend="run `svertka verify` on the model",
        )
    return logits


def has_thresholds(card: Card) -> bool:
    """Whether predictions of the model depend on thresholds, one a class."""
    return task_records.record(card.task, card.provenance).thresholds


def decode(outputs: Outputs, card: Card, sizes: Sizes) -> list[Result]:
    """One result an input from the raw outputs of a batch.

    Args:
        outputs: By name, first axis an input.
        card: Of the network.
        sizes: As `svertka.runtime.inputs.InputTransform.size` gives them.

    Raises:
        UserError: The card names a task that this release does not know, or the outputs do not fit it.
    """
    decoder: Decoder = task_records.resolve(task_records.record(card.task, card.provenance).decoder)
    return decoder(outputs, card, sizes)

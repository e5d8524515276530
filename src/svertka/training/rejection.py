"""Saying "none of these": the means of known classes, and how far from them an image may be."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

_FLOOR = 0.1
"""Deviation that is added to that of every feature, as a share of the median one: a channel that is nearly silent on
training images would make an outlier of every image where it is not."""


def class_means(
    batches: Iterable[tuple[NDArray[np.float32], NDArray[np.int64]]], classes: int
) -> dict[str, NDArray[np.float32]]:
    """The buffers of `svertka.layers.transfer.ClassDistance`, in one pass.

    Args:
        batches: Features ``(n, D)`` and class numbers ``(n,)`` of training images; every class occurs.
        classes: Number of classes.

    Returns:
        ``mean`` and ``scale`` (D,), which bring every feature to mean 0 and a deviation of nearly 1, and ``centres``
        (classes, D), the mean of each class in those units.
    """
    counts = np.zeros(classes)
    sums, squares = np.zeros((classes, 1)), np.zeros(1)
    for features, targets in batches:
        member = np.eye(classes)[targets]
        wide = features.astype(np.float64)
        sums = sums + member.T @ wide
        squares = squares + (wide**2).sum(axis=0)
        counts += member.sum(axis=0)
    mean = sums.sum(axis=0) / counts.sum()
    deviation = np.sqrt(np.maximum(squares / counts.sum() - mean**2, 0))
    alive = deviation[deviation > 1e-6]
    scale = 1 / np.hypot(deviation, _FLOOR * np.median(alive) if len(alive) else 1.0)
    centres = (sums / counts[:, None] - mean) * scale
    found = {"mean": mean, "scale": scale, "centres": centres}
    return {name: value.astype(np.float32) for name, value in found.items()}


def reject_limit(distances: NDArray[np.floating], share: float) -> float:
    """The distance beyond which an image is none of the classes.

    If images to come are drawn as these were, at most ``share`` of them lie beyond it, on average over all such draws:
    it is the ⌈(n + 1)(1 − share)⌉-th of the n distances in order. Where n is too small to say so, it is the largest.

    H. Papadopoulos et al., "Inductive Confidence Machines for Regression", 2002.

    Args:
        distances: Of known images that nothing was learnt from, ``(n,)``, n > 0.
        share: Between 0 and 1.
    """
    place = min(math.ceil((len(distances) + 1) * (1 - share)), len(distances))
    return float(np.sort(distances)[place - 1])

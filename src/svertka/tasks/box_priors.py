"""The shapes that boxes have, in a few."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_ROUNDS = 100
_MOST = 20_000  # shapes that are looked at


def shape_clusters(shapes: NDArray[np.floating], count: int) -> list[list[float]]:
    """Width and height of ``count`` priors, from small to large: k-means by the distance 1 − IoU of shapes.

    It begins from shapes evenly spread by area, so the same shapes always give the same priors.

    J. Redmon, A. Farhadi, "YOLO9000: Better, Faster, Stronger", 2017, section 2.

    Args:
        shapes: Widths and heights, ``(K, 2)``, at least one; if there are fewer than ``count``, some priors are alike.
        count: How many priors to find.
    """
    every = np.asarray(shapes, np.float64)
    every = every[np.argsort(every.prod(axis=1), kind="stable")]
    if len(every) > _MOST:
        every = every[np.linspace(0, len(every) - 1, _MOST).astype(int)]
    places = ((np.arange(count) + 0.5) / count * len(every)).astype(int)
    priors = every[places]
    nearest = np.full(len(every), -1)
    for _ in range(_ROUNDS):
        before, nearest = nearest, likeness(every, priors).argmax(axis=1)
        if (nearest == before).all():
            break
        priors = np.stack(
            [
                every[nearest == number].mean(axis=0) if (nearest == number).any() else prior
                for number, prior in enumerate(priors)
            ]
        )
    ordered = priors[np.argsort(priors.prod(axis=1), kind="stable")]
    return [[round(float(side), 5) for side in prior] for prior in ordered]


def likeness(shapes: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """IoU of every shape ``(K, 2)`` with every other ``(L, 2)``, were their middles the same: ``(K, L)``."""
    shared = np.minimum(shapes[:, None], others).prod(axis=2)
    found: NDArray[np.float64] = shared / (shapes.prod(axis=1)[:, None] + others.prod(axis=1) - shared)
    return found

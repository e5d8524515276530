"""Learners that take given features instead of learning the features too."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Kind = Literal["svm", "random_forest", "nearest_neighbours"]

_COSTS = (1.0, 10.0, 100.0)
_NEIGHBOURS = (1, 5, 15)
_TREES = 300


class Learner(Protocol):
    """What scikit-learn makes."""

    def fit(self, features: NDArray[np.float32], targets: NDArray[np.int64]) -> Any:
        """Learn class numbers ``(N,)`` of features ``(N, D)``."""

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.int64]:
        """Class numbers ``(N,)`` of features ``(N, D)``."""


@dataclass(frozen=True)
class Chosen:
    """A machine that has learnt.

    Attributes:
        machine: Predicts class numbers ``(N,)`` from features ``(N, D)``.
        options: What validation chose, by name.
    """

    machine: Learner
    options: Mapping[str, float]


def fit_classical(
    kind: Kind,
    train: tuple[NDArray[np.float32], NDArray[np.int64]],
    val: tuple[NDArray[np.float32], NDArray[np.int64]],
    *,
    seed: int = 0,
    threads: int = 1,
) -> Chosen:
    """A machine of this kind; of those with different options the first that is best on ``val``.

    ``svm``: Gaussian kernel, C of 1, 10, 100; C. Cortes, V. Vapnik, "Support-Vector Networks", 1995.
    ``random_forest``: 300 trees; L. Breiman, "Random Forests", 2001.
    ``nearest_neighbours``: of 1, 5 or 15, by straight distance; T. Cover, P. Hart, "Nearest Neighbor Pattern
    Classification", 1967.

    Args:
        kind: Which.
        train: Features ``(N, D)`` and class numbers ``(N,)`` to learn from.
        val: The same, to choose by.
        seed: Of the forest.
        threads: Of the forest while it learns; a machine predicts on one.
    """
    best: tuple[float, Chosen] | None = None
    for machine, options in _CANDIDATES[kind](seed, threads):
        machine.fit(*train)
        if kind == "random_forest":
            machine.n_jobs = 1
        accuracy = float(np.mean(machine.predict(val[0]) == val[1]))
        if best is None or accuracy > best[0]:
            best = accuracy, Chosen(machine, options)
    assert best is not None
    return best[1]


def _svms(seed: int, threads: int) -> Sequence[tuple[Any, Mapping[str, float]]]:
    from sklearn.svm import SVC

    del seed, threads
    return [(SVC(C=cost), {"C": cost}) for cost in _COSTS]


def _forests(seed: int, threads: int) -> Sequence[tuple[Any, Mapping[str, float]]]:
    from sklearn.ensemble import RandomForestClassifier

    return [(RandomForestClassifier(_TREES, random_state=seed, n_jobs=threads), {"trees": _TREES})]


def _neighbours(seed: int, threads: int) -> Sequence[tuple[Any, Mapping[str, float]]]:
    from sklearn.neighbors import KNeighborsClassifier

    del seed, threads
    return [(KNeighborsClassifier(count), {"neighbours": count}) for count in _NEIGHBOURS]


_CANDIDATES: Mapping[Kind, Callable[[int, int], Sequence[tuple[Any, Mapping[str, float]]]]] = {
    "svm": _svms,
    "random_forest": _forests,
    "nearest_neighbours": _neighbours,
}
KINDS: tuple[Kind, ...] = tuple(_CANDIDATES)

"""What the scores of tasks share: gathering arrays, rates of each class, and the examples that are shown of a part."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from svertka.tasks.task import Score

Described = tuple[int, str, str]
"""A sample by its number, with a caption and a detail; see `svertka.tasks.task.Task.examples`."""

ERRORS_NOTE = (
    "Missed (false negatives, errors of the second kind) lower recall = TP / (TP + FN); "
    "false alarms (false positives, errors of the first kind) lower precision = TP / (TP + FP)."
)
"""Says what `Rates` are, below a table."""


class Gathered(Score):
    """A score that keeps arrays of every batch by name, first axis a sample."""

    def __init__(self) -> None:
        self._batches: dict[str, list[NDArray[Any]]] = {}

    def keep(self, **arrays: Tensor | NDArray[Any]) -> None:
        """Keep what is needed of a batch, with its ``indices``."""
        for name, values in arrays.items():
            kept = values.cpu().numpy() if isinstance(values, Tensor) else values
            self._batches.setdefault(name, []).append(kept)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """See `svertka.tasks.task.Score.arrays`."""
        return {name: np.concatenate(values) for name, values in self._batches.items()}


@dataclass(frozen=True)
class Rates:
    """How well each class is told, from counts ``(classes,)``.

    scikit-learn, which counts the same, takes longer to import than a head to be fitted.

    Attributes:
        hits: Right calls (true positives).
        support: How often the class is there.
        calls: How often it is called.
    """

    hits: NDArray[np.int64]
    support: NDArray[np.int64]
    calls: NDArray[np.int64]

    @property
    def f1(self) -> NDArray[np.float64]:
        """The harmonic mean of recall and precision."""
        f1: NDArray[np.float64] = 2 * self.hits / np.maximum(self.calls + self.support, 1)
        return f1

    def macro_f1(self) -> float:
        """The mean F1; a class that neither occurs nor is called has none, and does not pull the mean down."""
        present = self.support + self.calls > 0
        return float(self.f1[present].mean()) if present.any() else 1.0

    def rows(self, classes: Sequence[str]) -> list[dict[str, Any]]:
        """A row a class, as JSON."""
        precision, recall = self.hits / np.maximum(self.calls, 1), self.hits / np.maximum(self.support, 1)
        f1 = self.f1
        return [
            {
                "class": name,
                "support": int(self.support[number]),
                "precision": float(precision[number]),
                "recall": float(recall[number]),
                "f1": float(f1[number]),
                "missed": int(self.support[number] - self.hits[number]),
                "false_alarms": int(self.calls[number] - self.hits[number]),
            }
            for number, name in enumerate(classes)
        ]


def cells(rows: Sequence[Mapping[str, Any]], *columns: str) -> list[list[Any]]:
    """These columns of rows, for a table."""
    return [[row[column] for column in columns] for row in rows]


def finite_mean(values: NDArray[np.float64]) -> float:
    """The mean of what is measured; 1 where nothing is, as there is nothing to be wrong about."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else 1.0


def if_finite(value: float) -> float | None:
    """A number as JSON has it: none of what could not be measured."""
    return float(value) if np.isfinite(value) else None


def mistakes_and_doubts(
    wrong: NDArray[np.bool_],
    badness: NDArray[Any],
    doubt: NDArray[Any],
    most: int,
    described: Callable[[int], Described],
) -> dict[str, list[Described]]:
    """The worst mistakes of a part, and what the network was least sure of.

    Args:
        wrong: Which samples are told wrongly, ``(N,)``.
        badness: How bad that is, ``(N,)``.
        doubt: The smaller, the less sure, ``(N,)``.
        most: Of each, at most.
        described: Says what is shown of a sample.
    """
    mistaken = np.flatnonzero(wrong)
    worst = mistaken[np.argsort(-badness[mistaken], kind="stable")][:most]
    closest = np.argsort(doubt, kind="stable")[:most]
    return {
        "Worst mistakes": [described(position) for position in worst.tolist()],
        "Most uncertain": [described(position) for position in closest.tolist()],
    }


def worst_to_best(
    badness: NDArray[Any], shown: int, described: Callable[[int], Described]
) -> dict[str, list[Described]]:
    """The worst images of a part, and some from the best to the worst.

    Args:
        badness: Of each image, ``(N,)``.
        shown: Of each, at most.
        described: Says what is shown of an image.
    """
    order = np.argsort(-badness, kind="stable")
    spread = order[np.unique(np.linspace(len(order) - 1, 0, min(shown, len(order))).astype(int))][::-1]
    return {
        "Worst images": [described(position) for position in order[:shown].tolist()],
        "From the best to the worst": [described(position) for position in spread.tolist()],
    }

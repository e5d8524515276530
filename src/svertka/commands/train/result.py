"""What comes of training once for each fold, and of a short test before training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from svertka.workflows.trained import Trained as Trained


@dataclass(frozen=True)
class Trial:
    """What came of a test before training; nothing that was learnt is kept.

    Attributes:
        test: ``find_lr`` or ``check_wiring``.
        ok: Whether all is well: of ``find_lr`` always.
        lr: The suggested learning rate; of ``check_wiring``, the one at which the batch was learnt best.
        rates: Learning rate of each step.
        losses: Loss of each step; of ``find_lr`` a running mean.
        faults: What is wrong, the likeliest first.
        images: Samples that were learnt from.
        report: The page with the curve, where a folder was given.
        media: What they are, in a word.
    """

    test: str
    ok: bool
    lr: float
    rates: tuple[float, ...]
    losses: tuple[float, ...]
    faults: tuple[str, ...]
    images: int
    report: Path | None = None
    media: str = "image"

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {**vars(self), "report": None if self.report is None else str(self.report)}


@dataclass(frozen=True)
class CrossValidated:
    """What came of training once for each fold.

    Attributes:
        run: The folder, with a run's folder for each fold: ``fold-1``, ….
        metrics: Means over the folds, each measured on what it held out.
        deviation: Standard deviations of the same, over the folds.
        folds: The runs.
        by_fold: The metrics of each.
        report: The page.
    """

    run: Path
    metrics: Mapping[str, float]
    deviation: Mapping[str, float]
    folds: tuple[Trained, ...]
    by_fold: tuple[Mapping[str, float], ...]
    report: Path

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "run": str(self.run),
            "report": str(self.report),
            "metrics": dict(self.metrics),
            "deviation": dict(self.deviation),
            "judged_on": "val",
            "by_fold": [dict(metrics) for metrics in self.by_fold],
            "folds": [trained.to_json() for trained in self.folds],
        }

"""Refusing images that are none of the classes: what is learnt for it, and how often it goes wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from svertka.errors import UserError
from svertka.runtime.decoding import distances
from svertka.tasks.intervals import wilson
from svertka.wording import none_can
from svertka.workflows.image_files import read_batches

if TYPE_CHECKING:
    from pathlib import Path

    from svertka.runtime.predictor import Predictor
    from svertka.workflows.progress import Display


FALSE_REJECTS = "false_reject_rate"
"""The metric: the share of images of known classes that are refused."""


@dataclass(frozen=True)
class Rate:
    """How often something happened.

    Attributes:
        hits: How often.
        images: Of how many.
    """

    hits: int
    images: int

    @property
    def share(self) -> float:
        """As a fraction of one."""
        return self.hits / self.images

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's at 95 %."""
        return wilson(self.hits, self.images)

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        low, high = self.interval
        return {"images": self.images, "hits": self.hits, "rate": self.share, "low": low, "high": high}


@dataclass(frozen=True)
class Rejection:
    """Where the line was drawn.

    Attributes:
        limit: The largest distance at which an image is given a class.
        refused: How many images of known classes are beyond it, by part.
    """

    limit: float
    refused: Mapping[str, Rate]


def judge_rejection(
    limit: float,
    known: NDArray[np.float32],
    predictor: Predictor,
    others: Sequence[Path] | None,
    display: Display,
) -> dict[str, Any]:
    """How often a model refuses images of its classes, and accepts others.

    See `svertka.commands.evaluate.result.Evaluated`.

    Args:
        limit: Of the model.
        known: Distances of images of its classes.
        predictor: Runs the model.
        others: Files of images that show none of them, if there are any.
        display: Told how it goes.

    Raises:
        UserError: None of the other images can be read.
    """
    from sklearn.metrics import roc_auc_score

    found: dict[str, Any] = {"limit": limit, "known": Rate(int((known > limit).sum()), len(known)).to_json()}
    if others is None:
        return found
    unknown, skipped = np.empty(0, np.float32), []
    for batch in read_batches(others):
        skipped += [{"file": str(batch.files[place]), "error": error} for place, error in batch.errors.items()]
        if batch.values:
            outputs = predictor.raw(list(batch.values.values()))
            unknown = np.concatenate([unknown, distances(outputs, len(batch.values))])
    for item in skipped[:5]:
        display.warn(f"skipped {item['file']}: {item['error']}")
    if not len(unknown):
        raise UserError(
            f"{none_can(len(others), 'unknown image')} be read",
            where=others[0],
        )
    truth = np.repeat([0, 1], [len(known), len(unknown)])
    found["unknown"] = {
        **Rate(int((unknown <= limit).sum()), len(unknown)).to_json(),
        "auroc": float(roc_auc_score(truth, np.concatenate([known, unknown]))),
        "skipped": skipped,
    }
    return found

"""Predictions of every image by a classifier that has not learnt from it, to find labels that are probably wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from svertka.annotations import class_names
from svertka.data.checks.suspicious import suspicious_labels
from svertka.data.descriptors import describe
from svertka.errors import UserError
from svertka.training.heads import examples, fit_logistic

if TYPE_CHECKING:
    from svertka.data.checks.findings import Finding
    from svertka.data.checks.survey import Survey
    from svertka.workflows.progress import Display

_FOLDS = 5
_KNOWN = 0.5  # share of the way from chance to certainty, from which on who predicts may accuse
_LEAST = 10  # images of a class, to learn it from four fifths and judge it on the rest


@dataclass(frozen=True)
class _Rows:
    """Features held in memory, as `svertka.training.heads.Features`."""

    rows: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.rows)

    def chunks(self, size: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        for start in range(0, len(self.rows), size):
            part = self.rows[start : start + size]
            yield np.arange(start, start + len(part)), part


def suspects(survey: Survey, display: Display, *, frozen: bool) -> list[Finding]:
    """The finding, or none. Where classes can hardly be told apart, nothing is said but that.

    Args:
        survey: The data set.
        display: Is told how it goes.
        frozen: Go by what frozen stages make of the images, which must be at hand; else by gradients and colours.

    Raises:
        UserError: Images have no single label, or too few of them do.
    """
    positions = [p for p in survey.usable.tolist() if isinstance(survey.samples[p].annotation, str)]
    said = [str(survey.samples[p].annotation) for p in positions]
    counts = {name: said.count(name) for name in set(said)}
    names = tuple(name for name in class_names(said) if counts[name] >= _LEAST)
    if len(names) < 2:
        raise UserError(
            f"wrong labels cannot be looked for: there are no two classes with {_LEAST} images",
            where=survey.dataset.root,
            mend="leave --labels out",
        )
    chosen = np.array([p for p, name in zip(positions, said, strict=True) if counts[name] >= _LEAST], np.int64)
    number = {name: place for place, name in enumerate(names)}
    labels = np.array([number[str(survey.samples[p].annotation)] for p in chosen.tolist()])
    by, features = described(survey, chosen, display, frozen=frozen)
    probabilities = out_of_sample(features, labels, folds_of(survey, chosen, labels), len(names), display)
    right = float((probabilities.argmax(axis=1) == labels).mean())
    chance = float(np.bincount(labels).max() / len(labels))
    if right - chance < _KNOWN * (1 - chance):
        display.warn(f"labels cannot be judged by {by}, which tell only {right:.0%} of the images' classes")
        return []
    return suspicious_labels(survey, chosen, labels, probabilities, names, by)


def described(
    survey: Survey, positions: NDArray[np.int64], display: Display, *, frozen: bool
) -> tuple[str, NDArray[np.float32]]:
    """What images are told apart by, in words and as ``(N, D)``; see `suspects`."""
    if not frozen:
        return "gradients and colours", describe(survey.looks.small[positions])
    from svertka.commands.check.features import NET, frozen_features

    return f"the features of {NET}", frozen_features(survey, positions, display)


def out_of_sample(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    folds: NDArray[np.int64],
    classes: int,
    display: Display,
) -> NDArray[np.float64]:
    """Probabilities ``(N, classes)`` by logistic regressions, each fitted to all folds but the one it predicts."""
    probabilities = np.zeros((len(labels), classes))
    for fold in range(_FOLDS):
        held = folds == fold
        inner = folds == (fold + 1) % _FOLDS  # chooses the strength of regularisation
        learnt = ~held & ~inner
        fitted = fit_logistic(
            examples(_Rows(features[learnt]), labels[learnt]), examples(_Rows(features[inner]), labels[inner]), classes
        )
        logits = features[held] @ fitted.tensors["weight"].T + fitted.tensors["bias"]
        shares = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
        probabilities[held] = shares / shares.sum(axis=1, keepdims=True)
        display.learning(fold + 1, _FOLDS)
    return probabilities


def folds_of(survey: Survey, chosen: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """The fold of each image, ``(N,)``; copies and what is of one group stay together."""
    from svertka.data.splitting.split import divide_by_group

    keys = survey.keys()
    return divide_by_group(
        [(str(label),) for label in labels.tolist()],
        [keys[position] for position in chosen.tolist()],
        shares=[1 / _FOLDS] * _FOLDS,
        seed=0,
    )

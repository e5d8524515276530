"""Labels that are probably wrong, by what others of their class look like.

C. Northcutt, L. Jiang, I. Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", 2021.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from svertka.data.checks.findings import Exhibited, Finding, images
from svertka.data.checks.survey import Survey

_SHOWN = 24
_ODDS = 20.0
_SMALLEST = 1e-12


def suspicious_labels(
    survey: Survey,
    positions: NDArray[np.int64],
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    names: tuple[str, ...],
    by: str,
) -> list[Finding]:
    """``suspicious_labels``: another class is far more probable of an image, to who has not learnt from it.

    As in confident learning, a probability counts for as much as it exceeds the mean that its class has among the
    images that carry its label: so a class that is hard to tell accuses no more than others. Where another class than
    the label then has twenty times the label's odds, the image is named, the largest odds first. The paper asks
    whether the other class reaches its mean; of planted labels that finds fewer, with more alarms.

    Args:
        survey: The data set.
        positions: Of the images that were predicted.
        labels: Their class numbers, ``(N,)``.
        probabilities: Out of sample, ``(N, classes)``.
        names: Class by number.
        by: What predicted, in words.
    """
    rows = np.arange(len(labels))
    means = np.array([_mean(probabilities[labels == number, number]) for number in range(len(names))])
    confidence = probabilities / means
    own = confidence[rows, labels]
    others = confidence.copy()
    others[rows, labels] = -1.0
    likely = others.argmax(axis=1)
    odds = others[rows, likely] / np.maximum(own, _SMALLEST)
    off = np.flatnonzero(odds >= _ODDS)
    off = off[np.argsort(-odds[off], kind="stable")]
    if not len(off):
        return []
    told = [
        (
            survey.samples[positions[row]].name,
            names[labels[row]],
            names[likely[row]],
            float(probabilities[row, likely[row]]),
        )
        for row in off.tolist()
    ]
    return [
        Finding(
            kind="suspicious_labels",
            severity="warning",
            message=f"{images(len(off))} with a label that is probably wrong, by {by}",
            mend="look at them, the likeliest first: some will be right and merely hard",
            count=len(off),
            files=[f"{name}: {said}, looks like {seen} ({share:.0%})" for name, said, seen, share in told],
            exhibited=[
                Exhibited(name, f"{said}, looks like {seen}", f"{share:.0%} · {name}")
                for name, said, seen, share in told[:_SHOWN]
            ],
        )
    ]


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else np.inf

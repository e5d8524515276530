"""Labels that are probably wrong, by what others of their class look like.

C. Northcutt, L. Jiang, I. Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", 2021.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from svertka.data.checks.findings import Exhibited, Finding, images
from svertka.data.checks.survey import Survey

_SHOWN = 24


def suspicious_labels(
    survey: Survey,
    positions: NDArray[np.int64],
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    names: tuple[str, ...],
    by: str,
) -> list[Finding]:
    """``suspicious_labels``: another class is confidently predicted of an image by who has not learnt from it.

    A class is confidently predicted where its probability reaches the mean that it has among the images that carry
    its label. Of the classes that reach theirs, the most probable counts; where it is not the label, the image is
    off the diagonal of the confident joint. The farther its margin, the earlier it is named.

    Args:
        survey: The data set.
        positions: Of the images that were predicted.
        labels: Their class numbers, ``(N,)``.
        probabilities: Out of sample, ``(N, classes)``.
        names: Class by number.
        by: What predicted, in words.
    """
    rows = np.arange(len(labels))
    thresholds = np.array([_mean(probabilities[labels == number, number]) for number in range(len(names))])
    confident = np.where(probabilities >= thresholds, probabilities, -1.0)
    likely = confident.argmax(axis=1)
    own = probabilities[rows, labels]
    margin = probabilities[rows, likely] - own
    off = np.flatnonzero((confident[rows, likely] >= 0) & (likely != labels) & (margin > 0))
    off = off[np.argsort(-margin[off], kind="stable")]
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

"""Whether one classifier is better than another, judged by the same images."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def mcnemar(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """McNemar's exact test: how probable so great a difference is if both are equally good.

    Only images that one has right and the other wrong tell them apart, and then either would be right half of the
    times. So few images suffice where the same ones are hard for both, though the intervals of their shares overlap.

    Q. McNemar, "Note on the Sampling Error of the Difference Between Correlated Proportions or Percentages", 1947.

    Args:
        one, other: Which images each has right, in the same order, ``(N,)``.

    Returns:
        The two-sided p-value.
    """
    wins, losses = int((one & ~other).sum()), int((other & ~one).sum())
    trials = wins + losses
    tail = sum(math.comb(trials, hits) for hits in range(min(wins, losses) + 1))
    return min(1.0, 2 * tail / (1 << trials))

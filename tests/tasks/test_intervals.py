"""Wilson's interval beside scipy's."""

from __future__ import annotations

import pytest
from scipy.stats import binomtest

from svertka.tasks.intervals import wilson


@pytest.mark.parametrize(("hits", "count"), [(0, 1), (1, 1), (0, 30), (30, 30), (1, 30), (917, 1000), (3, 7)])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_it_is_scipys(hits: int, count: int, confidence: float) -> None:
    theirs = binomtest(hits, count).proportion_ci(confidence, method="wilson")
    assert wilson(hits, count, confidence=confidence) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


@pytest.mark.parametrize(("hits", "count"), [(1, 0), (0, 0), (3, 2), (-1, 4)])
def test_impossible_counts_are_refused(hits: int, count: int) -> None:
    with pytest.raises(ValueError, match="trials"):
        wilson(hits, count)

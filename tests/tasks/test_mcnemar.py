"""McNemar's test, beside SciPy's binomial one and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from svertka.tasks.mcnemar import mcnemar


def pair(wins: int, losses: int, both: int = 50) -> tuple[np.ndarray, np.ndarray]:
    one = np.array([True] * wins + [False] * losses + [True] * both)
    other = np.array([False] * wins + [True] * losses + [True] * both)
    return one, other


@pytest.mark.parametrize(
    ("wins", "losses"), [(1, 0), (5, 0), (6, 0), (10, 3), (3, 10), (40, 40), (700, 900), (1, 2000)]
)
def test_it_is_the_binomial_test_of_what_tells_them_apart(wins: int, losses: int) -> None:
    expected = binomtest(wins, wins + losses).pvalue
    assert mcnemar(*pair(wins, losses)) == pytest.approx(expected, rel=1e-9)
    assert mcnemar(*pair(losses, wins, both=3)) == pytest.approx(expected, rel=1e-9)


def test_by_hand() -> None:
    assert mcnemar(*pair(5, 0)) == 2 / 32
    assert mcnemar(*pair(0, 0)) == 1
    assert mcnemar(*pair(1, 1)) == 1

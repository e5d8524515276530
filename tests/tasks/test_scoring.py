"""What the scores of tasks share."""

from __future__ import annotations

import numpy as np
import pytest

from svertka.tasks.scoring import Rates, finite_mean, if_finite, mistakes_and_doubts, worst_to_best


def described(position: int) -> tuple[int, str, str]:
    return position, "", ""


def test_a_class_that_never_occurs_and_is_never_called_does_not_pull_the_mean_down() -> None:
    rates = Rates(np.array([2, 0, 1]), np.array([2, 0, 2]), np.array([3, 0, 1]))
    assert rates.macro_f1() == pytest.approx((4 / 5 + 2 / 3) / 2)
    rows = rates.rows(("a", "b", "c"))
    assert [row["missed"] for row in rows] == [0, 0, 1]
    assert [row["false_alarms"] for row in rows] == [1, 0, 0]
    assert rows[1]["recall"] == rows[1]["precision"] == rows[1]["f1"] == 0
    nothing = np.zeros(2, np.int64)
    assert Rates(nothing, nothing, nothing).macro_f1() == 1


def test_what_cannot_be_measured_counts_for_nothing() -> None:
    assert finite_mean(np.array([0.5, np.nan, 1.0])) == 0.75
    assert finite_mean(np.array([np.nan])) == 1
    assert if_finite(float("nan")) is None
    assert if_finite(0.25) == 0.25


def test_the_worst_mistakes_and_the_nearest_calls_are_shown() -> None:
    wrong = np.array([True, False, True, True])
    found = mistakes_and_doubts(wrong, np.array([0.6, 0.9, 0.8, 0.6]), np.array([0.3, 0.0, 0.2, 0.1]), 2, described)
    assert [one[0] for one in found["Worst mistakes"]] == [2, 0]
    assert [one[0] for one in found["Most uncertain"]] == [1, 3]


def test_from_the_best_to_the_worst_none_is_shown_twice() -> None:
    found = worst_to_best(np.array([3, 0, 2, 1]), 3, described)
    assert [one[0] for one in found["Worst images"]] == [0, 2, 3]
    assert [one[0] for one in found["From the best to the worst"]] == [1, 2, 0]
    assert [one[0] for one in worst_to_best(np.array([1, 2]), 8, described)["From the best to the worst"]] == [0, 1]

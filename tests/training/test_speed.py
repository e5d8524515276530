"""What a short timing decides."""

from __future__ import annotations

from svertka.training.speed import Choice, _best

PLAIN, LAST = Choice("fp32", "channels_first", 2), Choice("fp32", "channels_last", 2)
PLAIN_ALONE, LAST_ALONE = PLAIN._replace(threads=1), LAST._replace(threads=1)


def test_threads_that_gain_much_are_taken() -> None:
    assert _best({PLAIN: 1.0, PLAIN_ALONE: 1.9}) == PLAIN


def test_threads_that_gain_little_are_not() -> None:
    assert _best({PLAIN: 1.0, PLAIN_ALONE: 1.3}) == PLAIN_ALONE


def test_a_layout_must_be_clearly_faster() -> None:
    assert _best({PLAIN: 1.0, LAST: 0.95}) == PLAIN
    assert _best({PLAIN: 1.0, LAST: 0.8}) == LAST


def test_each_number_of_threads_has_its_own_best_layout() -> None:
    assert _best({PLAIN: 1.0, PLAIN_ALONE: 1.2, LAST: 0.9, LAST_ALONE: 0.6}) == LAST_ALONE

"""Timing, with a clock that the test turns."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from numpy.typing import NDArray

from svertka.deploy.timing import measure

EXAMPLES = np.arange(3 * 2, dtype=np.float32).reshape(3, 1, 1, 2)


class Clocked:
    """Takes as long as it is told, by the clock of the test."""

    now = 0.0

    def __init__(self, log: list[str], name: str, *seconds: float) -> None:
        self.log, self.name, self.seconds = log, name, list(seconds)
        self.batches: list[NDArray[np.float32]] = []

    def __call__(self, batch: NDArray[np.float32]) -> None:
        self.log.append(self.name)
        self.batches.append(batch.copy())
        Clocked.now += self.seconds[min(len(self.batches), len(self.seconds)) - 1]


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Clocked, "now", 0.0)
    monkeypatch.setattr(time, "perf_counter", lambda: Clocked.now)


def test_the_first_call_does_not_count_and_the_least_time_and_calls_are_kept() -> None:
    slow, quick = Clocked([], "slow", 60.0, 2.0), Clocked([], "quick", 60.0, 0.01)
    found = measure({"slow": slow, "quick": quick}, EXAMPLES, batch=4, seconds=1.0, calls=10)
    assert found["slow"].p50 == pytest.approx(2.0)
    assert found["slow"].p99 == pytest.approx(2.0)  # the minute of the first call is in none of the figures
    assert found["slow"].calls == 10
    assert found["slow"].throughput == pytest.approx(2.0)
    assert 100 <= found["quick"].calls <= 105  # sums of hundredths may fall just short
    assert found["quick"].throughput == pytest.approx(400)


def test_engines_take_turns() -> None:
    log: list[str] = []
    measure({"a": Clocked(log, "a", 0.1), "b": Clocked(log, "b", 0.1)}, EXAMPLES, batch=1, seconds=1.0, calls=5)
    changes = sum(one != other for one, other in itertools.pairwise(log))
    assert changes >= 9  # five turns each, not one after the other


def test_one_slow_call_in_many_is_in_the_99th_and_not_in_the_median() -> None:
    engine = Clocked([], "a", *[0.1] * 30, 5.0, *[0.1] * 30)
    found = measure({"a": engine}, EXAMPLES, batch=1, seconds=0.1, calls=50)["a"]
    assert found.p50 == pytest.approx(0.1)
    assert found.p99 > 2


def test_the_batch_is_made_of_the_examples_in_order() -> None:
    engine = Clocked([], "a", 1.0)
    found = measure({"a": engine}, EXAMPLES, batch=5)["a"]
    assert found.batch == 5
    np.testing.assert_array_equal(engine.batches[0], EXAMPLES[[0, 1, 2, 0, 1]])
    assert found.to_json().keys() == {"batch", "calls", "p50", "p99", "throughput"}

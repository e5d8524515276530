"""Models prove themselves before they answer, and batches are chosen by the clock."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
from sites import Engine, card, proven, source

from svertka.errors import UserError
from svertka.runtime.predictor import Predictor
from svertka.serving.limits import Limits
from svertka.serving.measuring import batch_seconds, best_batch
from svertka.serving.models import Opened, Shelf, prove


class Clock:
    """Runs by what a batch is said to take."""

    def __init__(self, seconds: dict[int, float]) -> None:
        self.seconds, self.now = seconds, 0.0
        self.ran: list[int] = []

    def run(self, size: int) -> None:
        self.ran.append(size)
        self.now += self.seconds[size]

    def __call__(self) -> float:
        return self.now


def test_every_size_is_timed_as_far_as_it_is_quick() -> None:
    clock = Clock({1: 0.01, 2: 0.02, 4: 0.03, 8: 0.04, 16: 0.05})
    assert batch_seconds(clock.run, clock=clock) == pytest.approx(clock.seconds)
    slow = Clock({1: 2.0, 2: 4.0})
    assert batch_seconds(slow.run, clock=slow) == {1: 2.0}
    assert slow.ran == [1, 1, 1, 1, 2]
    late = Clock({1: 0.1, 2: 0.2, 4: 0.3})
    assert list(batch_seconds(late.run, clock=late)) == [1, 2]


@pytest.mark.parametrize(
    ("seconds", "best"),
    [
        ({1: 0.01}, 1),
        ({1: 0.01, 2: 0.02, 4: 0.04}, 1),
        ({1: 0.01, 2: 0.0195, 4: 0.039}, 1),
        ({1: 0.01, 2: 0.012, 4: 0.016, 8: 0.031}, 4),
        ({1: 0.01, 2: 0.012, 4: 0.016, 8: 0.016}, 8),
        ({1: 0.0, 2: 0.0}, 2),
    ],
)
def test_the_batch_is_the_smallest_of_the_fastest(seconds: dict[int, float], best: int) -> None:
    assert best_batch(seconds) == best


def test_a_model_that_is_not_what_its_file_says_is_not_served() -> None:
    good = proven(Engine())
    assert prove("good", Opened(good, (Path("x.onnx"),)), 1).difference == 0
    for scale in (1.001, float("nan")):
        wrong = Predictor(Engine(scale=scale), good.card)
        with pytest.raises(UserError, match=r"x\.onnx: its outputs differ by .* from the golden ones"):
            prove("wrong", Opened(wrong, (Path("x.onnx"),)), 1)


def test_a_model_without_golden_inputs_says_so() -> None:
    told: list[str] = []
    shelf = Shelf({"one": source(Predictor(Engine(), card()))}, say=told.append, warn=[].append)
    shelf.load()
    assert shelf.find(None).difference is None
    assert "no golden inputs to prove it" in told[0]


def test_a_new_model_takes_the_place_of_the_old_only_when_it_has_proven_itself() -> None:
    good, told = proven(Engine()), list[str]()
    changed = Predictor(Engine(scale=2.0), good.card)
    other = proven(Engine(scale=3.0))
    coming = itertools.chain([good, changed, UserError("half written"), ValueError("odd"), other])

    def opened() -> Opened:
        found = next(coming)
        if isinstance(found, Exception):
            raise found
        return Opened(found, (Path("x.onnx"),))

    shelf = Shelf({"one": opened}, say=told.append, warn=told.append)
    shelf.load()
    first = shelf.find("one")
    assert [shelf.reload("one") for _ in range(3)] == [False] * 3
    assert shelf.find("one") is first
    assert [line.partition(": ")[2].partition(": ")[0] for line in told[1:]] == [
        "not reloaded, the one before goes on"
    ] * 3
    assert "half written" in told[2]
    assert shelf.reload("one")
    assert shelf.find(None).generation == 2
    assert shelf.find(None).opened.predictor is other
    assert first.predict([first.place(np.zeros((8, 8, 3), np.uint8))])


@pytest.mark.parametrize("changed", [{"bytes": 0}, {"bytes": 2**40}, {"pixels": 0}, {"pixels": 10**12}, {"seconds": 0}])
def test_limits_are_limited(changed: dict[str, int]) -> None:
    with pytest.raises(UserError, match="a limit of"):
        dataclasses.replace(Limits(), **changed)

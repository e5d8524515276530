"""Advice on planted tables."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from svertka.commands.compare.advice import Latency, Way, advise, duration, size
from svertka.tasks.intervals import wilson


def way(
    name: str, hits: int, *, of: int = 1000, seconds: float = 20, latency: float = 0.03, spread: float = 0.0
) -> Way:
    """Which images are right is a matter of chance, by the name."""
    right = np.random.default_rng(len(name)).permutation(of) < hits
    low, high = wilson(hits, of)
    accuracy = hits / of
    return Way(
        name=name,
        accuracy=accuracy,
        low=low,
        high=high,
        macro_f1=accuracy,
        seconds=seconds,
        bytes=18_600_000,
        latency=Latency(latency, latency * (1 - spread), latency * (1 + spread)),
        right=right,
    )


def test_the_best_is_taken_where_it_is_surely_better() -> None:
    advice = advise([way("svm", 850, seconds=1, latency=0.001), way("frozen", 940), way("scratch", 700)])
    assert advice.way.name == "frozen"
    assert advice.text == (
        "Take frozen: 94.0% (92.4–95.3), 20 s to train, 18.6 MB, 30 ms an image; it is surely better than all others, "
        "of which svm comes next with 85.0% (82.7–87.1)."
    )


def test_the_cheaper_is_taken_where_the_best_is_not_surely_better() -> None:
    advice = advise([way("scratch", 600), way("frozen", 940), way("tuned", 950, seconds=70)])
    assert advice.way.name == "frozen"
    assert advice.text.endswith("; tuned has 95.0% (93.5–96.2), which is not surely more.")


def test_the_best_is_taken_where_it_is_the_cheapest_too() -> None:
    advice = advise(
        [way("scratch", 600), way("frozen", 950), way("tuned", 945, seconds=70), way("other", 944, latency=1)]
    )
    assert advice.way.name == "frozen"
    assert advice.text.endswith("; tuned and other may be as good, but cost no less.")


def test_cheap_but_surely_worse_is_not_taken() -> None:
    assert (
        advise([way("knn", 900, seconds=0.1, latency=0.001), way("tuned", 950, seconds=900, latency=2)]).way.name
        == "tuned"
    )


def test_latency_and_training_count_alike() -> None:
    ways = [way("quick to train", 950, seconds=10, latency=0.4), way("quick to run", 950, seconds=90, latency=0.04)]
    assert advise(ways).way.name == "quick to run"
    assert advise(ways[::-1]).way.name == "quick to run"


def test_what_is_quick_enough_is_taken_by_its_accuracy() -> None:
    ways = [way("knn", 37, of=40, seconds=0.1, latency=0.001), way("svm", 39, of=40, seconds=4, latency=0.009)]
    advice = advise(ways)
    assert advice.way.name == "svm"
    assert advice.text.endswith("; but none of the 2 is surely better or worse than it on so few images.")


def test_a_latency_within_the_spread_is_no_reason() -> None:
    frozen, tuned = way("frozen", 940, latency=0.037, spread=0.1), way("tuned", 950, latency=0.041, spread=0.1)
    assert advise([frozen, tuned]).way.name == "tuned"
    assert advise([frozen, way("tuned", 950, latency=0.079, spread=0.1)]).way.name == "frozen"


def test_training_that_took_a_little_longer_is_no_reason() -> None:
    assert advise([way("frozen", 940, seconds=51), way("tuned", 950, seconds=54)]).way.name == "tuned"
    assert advise([way("frozen", 940, seconds=51), way("tuned", 950, seconds=80)]).way.name == "frozen"


def test_a_latency_is_the_median_and_where_the_middle_half_lies() -> None:
    assert Latency.of([1, 2, 3, 4, 100]) == Latency(3, 2, 4)


def test_one_way_alone() -> None:
    assert advise([way("svm", 1)]).text.endswith("; there is nothing to hold it against.")


@pytest.mark.parametrize(("seconds", "words"), [(0.00123, "1.2 ms"), (0.031, "31 ms"), (2.34, "2.3 s"), (61.4, "61 s")])
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(("count", "words"), [(512, "0.5 kB"), (18_600_000, "18.6 MB"), (2_000_000_000, "2.0 GB")])
def test_sizes(count: int, words: str) -> None:
    assert size(count) == words


def test_what_is_better_on_the_same_hard_images_is_surely_better() -> None:
    better, worse = way("better", 950), way("worse", 930, seconds=1, latency=0.001)
    assert worse.high > better.low  # by their intervals nobody could say
    hard = np.arange(1000)
    subset = [dataclasses.replace(better, right=hard < 950), dataclasses.replace(worse, right=hard < 930)]
    assert advise(subset).way.name == "better"
    apart = [subset[0], dataclasses.replace(worse, right=hard >= 70)]  # wrong where the other is right
    assert advise(apart).way.name == "worse"


def test_which_images_are_right_stays_out_of_the_json() -> None:
    assert "right" not in way("svm", 10).to_json()
    json.dumps(way("svm", 10).to_json())

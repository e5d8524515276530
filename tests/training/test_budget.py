"""What can be trained within a given time."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from svertka.training.budget import Deadline, Option, Pace, Phase, TooSlowError, choose_phase
from svertka.training.doctor import Doctor
from svertka.training.loop import InterruptedTrainingError, Training
from svertka.training.signals import Background

OPTIONS = [Option(8, 10, 1), Option(5, 10, 4), Option(2, 10, 15), Option(0, 0, 60)]


@pytest.mark.parametrize(
    ("seconds", "phase"),
    [
        (0, None),
        (15, None),  # 10 s to prepare, and 3.5 epochs at most
        (20, Phase(8, 8, 8)),
        (40, Phase(5, 6, 26)),
        (100, Phase(2, 5, 80)),
        (600, Phase(0, 9, 540)),
        (6000, Phase(0, 30, 5400)),
    ],
)
def test_the_earliest_boundary_that_fits(seconds: float, phase: Phase | None) -> None:
    assert choose_phase(OPTIONS, seconds) == phase


def test_it_never_takes_longer_than_there_is() -> None:
    for seconds in range(0, 1000, 7):
        if phase := choose_phase(OPTIONS, seconds):
            option = next(option for option in OPTIONS if option.depth == phase.depth)
            assert option.prepare + phase.epochs * option.epoch <= seconds


@pytest.mark.parametrize(
    ("done", "spent", "epochs"),
    [
        (0, 0, 20),
        (1, 5, 20),  # as planned
        (1, 5.2, 20),
        (1, 6, 17),
        (5, 50, 10),
        (1, 300, 2),  # the rate falls once more
        (19, 120, 20),
        (20, 300, 20),
    ],
)
def test_epochs_that_take_longer_become_fewer(done: int, spent: float, epochs: int) -> None:
    kept: list[dict[int, int]] = []
    pace = Pace(100, {0: 20}, lambda pace: kept.append(dict(pace.decided)))
    assert pace.epochs(done, spent) == epochs
    assert kept == ([{0: 20, done: epochs}] if epochs < 20 else [])


def test_what_was_decided_once_stays_decided() -> None:
    decided = {0: 20, 3: 15, 7: 12}
    pace = Pace(100, dict(decided), lambda _: pytest.fail("nothing is to be decided"))
    # However long they take this time.
    assert [pace.epochs(done, 90) for done in range(7)] == [20, 20, 20, 15, 15, 15, 15]
    assert pace.epochs(7, 50) == 12
    assert pace.decided == decided


def test_a_run_that_is_over_decides_nothing_when_it_is_done_again() -> None:
    kept: list[dict[int, int]] = []
    pace = Pace(100, {0: 20, 3: 15}, lambda pace: kept.append(dict(pace.decided)))
    pace.over(9)  # it was stopped early
    assert kept == [{0: 20, 3: 15, 9: 15}]
    pace.over(9)
    assert len(kept) == 1
    assert [pace.epochs(done, 1000) for done in (2, 3, 8)] == [20, 15, 15]


def test_epochs_can_become_fewer_again_and_again() -> None:
    pace = Pace(100, {0: 20}, lambda _: None)
    assert [pace.epochs(done, spent) for done, spent in [(1, 6), (2, 20), (3, 60), (4, 90)]] == [17, 10, 5, 5]
    assert pace.decided == {0: 20, 1: 17, 2: 10, 3: 5}


def test_a_run_that_is_late_ends_earlier_with_its_rate_all_the_way_down(
    training: Callable[..., Training], watch: Any
) -> None:
    told, doctor = watch(), Doctor(Background(), None, lambda _: None)
    pace = Pace(1e-9, {0: 8}, lambda _: None)
    run = training(None, told, doctor, epochs=8, schedule="one_cycle", pace=pace)
    rates = [row["lr"] for row in run.run().history]
    assert told.planned == [2]
    assert len(rates) == 2
    assert rates[0] > 0.01
    assert rates[1] < 1e-4
    assert doctor.signals.recipe["epochs"] == 2
    assert doctor.signals.progress == 1


class Steps:
    """A watcher under whose clock every step takes as long as is planted, and nothing else takes any time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, watch: Any, seconds: Callable[[int], float]) -> None:
        self.now, self.watch, self.seconds = 0.0, watch, seconds
        monkeypatch.setattr("svertka.training.loop.time.perf_counter", lambda: self.now)

    def step(self, *given: Any) -> None:
        self.watch.step(*given)
        self.now += self.seconds(len(self.watch.steps))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.watch, name)


SLOW: dict[str, Callable[[int], float]] = {
    "from the first step on": lambda _: 6.0,
    "so slow that no epoch fits": lambda _: 30.0,
    "from the second epoch on": lambda step: 1.0 if step <= 20 else 8.0,
    "within the last epoch": lambda step: 1.0 if step <= 85 else 20.0,
}


@pytest.mark.parametrize("slow", SLOW)
def test_a_busy_neighbour_does_not_break_the_budget(
    slow: str, training: Callable[..., Training], watch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 20 steps an epoch and a second each were planned, five epochs in 100 s.
    clock = Steps(monkeypatch, watch(), SLOW[slow])
    pace = Pace(100, {0: 5}, lambda _: None, Option(0, 0, 20))
    run = training(None, clock, samples=40, batch=2, epochs=5, schedule="one_cycle", pace=pace)
    outcome = run.run()
    one = SLOW[slow](len(clock.watch.steps))
    assert 90 - one <= clock.now <= 105 + one
    assert outcome.history[-1]["lr"] < 0.2 * run.recipe.lr  # all the way down, or nearly: the last steps are few
    assert len(clock.watch.planned) <= 5  # it does not think anew at every step
    assert pace.decided[max(pace.decided)] * 20 == pytest.approx(len(clock.watch.steps))


def test_what_comes_after_the_epochs_is_slower_too(
    training: Callable[..., Training], watch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Steps(monkeypatch, watch(), lambda _: 2.0)
    pace = Pace(100, {0: 5}, lambda _: None, Option(0, 0, 20, after=30))
    training(None, clock, samples=40, batch=2, epochs=5, pace=pace).run()
    assert 60 <= clock.now <= 80  # twice as slow: 30 s of the 100 are left for what takes 60


def test_an_epoch_that_was_cut_short_is_the_same_when_the_run_was_cut(
    training: Callable[..., Training], watch: Any, tmp_path: Path
) -> None:
    given: dict[str, Any] = {"epochs": 3, "schedule": "one_cycle", "save_every": 0, "samples": 40, "batch": 2}
    given |= {"accumulate": 2}  # ten steps an epoch

    def paced() -> Pace:
        return Pace(1e9, {0: 3, 0.4: 2, 1.3: 1.7}, lambda _: None)

    straight = training(None, watch(), pace=paced(), **given).run()
    assert len(straight.history) == 2
    for stop in (3, 6, 9):
        with pytest.raises(InterruptedTrainingError):
            training(tmp_path, watch(stop_at=stop), pace=paced(), **given).run()
    told = watch()
    cut = training(tmp_path, told, pace=paced(), **given).run()
    assert all(torch.equal(cut.weights[name], weight) for name, weight in straight.weights.items())


def test_preparing_takes_its_time_from_the_epochs() -> None:
    kept: list[float] = []
    pace = Pace(80, {0: 5}, lambda pace: kept.append(pace.seconds), Option(5, 10, 16))
    pace.prepared(25)
    assert kept == [65]
    pace.prepared(0)  # resumed: all is there
    assert kept == [65, 65]
    quick = Pace(80, {0: 5}, lambda _: None, Option(5, 10, 16))
    quick.prepared(1)
    assert quick.seconds == 80


@pytest.mark.parametrize(("a_batch", "done"), [(1.0, 10), (4.0, 10), (9.0, 2), (100.0, 2)])
def test_preparing_ends_where_no_epoch_could_follow(a_batch: float, done: int, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr("svertka.training.budget.time.perf_counter", lambda: clock.now)
    deadline, last = Deadline(Pace(90, {0: 5}, lambda _: None, Option(5, 10, 10))), 0
    with contextlib.suppress(TooSlowError):
        for last in range(1, 11):
            clock.now += a_batch
            deadline.look(last, 10)
    assert last == done


def test_a_run_that_became_shorter_is_the_same_when_it_was_cut(
    training: Callable[..., Training], watch: Any, tmp_path: Path
) -> None:
    given: dict[str, Any] = {"epochs": 8, "schedule": "one_cycle", "save_every": 0}

    def paced(seconds: float = 0.0) -> Pace:
        return Pace(seconds, {0: 8, 1: 5, 3: 4}, lambda _: None)

    straight = training(None, watch(), pace=paced(), **given).run()
    for stop in (2, 5, 4, 3):
        with pytest.raises(InterruptedTrainingError):
            training(tmp_path, watch(stop_at=stop), pace=paced(), **given).run()
    cut = training(tmp_path, watch(), pace=paced(1e9), **given).run()
    assert len(cut.history) == len(straight.history) == 4
    assert all(torch.equal(cut.weights[name], weight) for name, weight in straight.weights.items())

"""Samplers: pure functions of (seed, epoch, targets), shared among processes, with bounds and one line for too few."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from svertka.data.batching.samplers import Episodes, PerClass, Sampler, Shuffled, Windows
from svertka.data.chance import permutation
from svertka.errors import UserError

SIZES = (9, 2, 7, 5, 4)
TARGETS = np.random.default_rng(0).permutation(np.repeat(np.arange(5), SIZES))

KINDS: dict[str, Callable[[int], Sampler]] = {
    "shuffled": lambda seed: Shuffled(27, 4, seed),
    "per class": lambda seed: PerClass(TARGETS, 2, 3, seed),
    "episodes": lambda seed: Episodes(TARGETS, 3, 2, 2, 6, seed),
    "windows": lambda seed: Windows((10, 3, 25), 4, 3, 5, seed),
}


def told(sampler: Sampler, epoch: int) -> list[list[int]]:
    return [batch.tolist() for batch in sampler.batches(epoch)]


@pytest.mark.parametrize("kind", KINDS)
def test_batches_are_a_function_of_seed_and_epoch(kind: str) -> None:
    make = KINDS[kind]
    assert told(make(1), 2) == told(make(1), 2)
    assert len({str(told(make(seed), epoch)) for seed in range(3) for epoch in range(3)}) == 9
    assert [len(batch) for batch in told(make(0), 1)] == [make(0).size(number) for number in range(len(make(0)))]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("world", [1, 2, 3, 20])
def test_processes_share_every_batch(kind: str, world: int) -> None:
    sampler = KINDS[kind](0)
    shares = [sampler.shares(1, rank, world) for rank in range(world)]
    for number, whole in enumerate(sampler.batches(1)):
        mine = [share[number] for share in shares]
        assert sorted(i for indices, weight in mine if weight for i in indices.tolist()) == sorted(whole.tolist())
        assert all(len(indices) for indices, _ in mine)
        assert np.mean([weight for _, weight in mine]) == pytest.approx(1)


@pytest.mark.parametrize(("count", "batch", "least"), [(27, 4, 1), (25, 4, 2), (25, 4, 1), (3, 8, 4), (24, 4, 4)])
def test_shuffled_cuts_one_order(count: int, batch: int, least: int) -> None:
    found = Shuffled(count, batch, 5, least).batches(2)
    assert np.array_equal(np.concatenate(found), permutation(count, 5, 2))
    assert all(len(one) == batch for one in found[:-1])
    assert len(found[-1]) >= min(least, count)


def test_a_batch_has_p_classes_with_k_samples_of_each() -> None:
    sampler = PerClass(TARGETS, 2, 3)
    assert len(sampler) == 27 // 6
    seen: list[int] = []
    for batch in sampler.batches(0):
        rows = TARGETS[batch].reshape(2, 3)
        assert (rows == rows[:, :1]).all()
        assert rows[0, 0] != rows[1, 0]
        for row, label in zip(batch.reshape(2, 3), rows[:, 0], strict=True):
            # A class with fewer than K samples repeats them.
            assert len(set(row.tolist())) == min(3, SIZES[label])
        seen += rows[:, 0].tolist()
    assert len(set(seen[:4])) == 4  # a round has no class twice


def test_a_class_takes_turns_among_its_samples() -> None:
    targets = np.repeat(np.arange(2), 6)
    batches = PerClass(targets, 2, 2).batches(3)
    assert sorted(np.concatenate(batches).tolist()) == list(range(12))


def test_samples_without_a_class_are_left_out() -> None:
    targets = np.array([0, -1, 1, 0, 1, -1])
    assert set(np.concatenate(PerClass(targets, 2, 2).batches(0)).tolist()) == {0, 2, 3, 4}


def test_an_episode_shows_some_and_asks_for_others() -> None:
    for batch in Episodes(TARGETS, 3, 2, 2, 6).batches(0):
        assert len(set(batch.tolist())) == 12
        shown, asked = TARGETS[batch[:6]].reshape(3, 2), TARGETS[batch[6:]].reshape(3, 2)
        assert (shown == shown[:, :1]).all()
        assert np.array_equal(shown[:, 0], asked[:, 0])
        assert (asked == asked[:, :1]).all()
        assert len(set(shown[:, 0].tolist())) == 3
        assert 1 not in shown  # of which there are but two samples


def test_windows_cover_every_series() -> None:
    lengths = (10, 3, 25, 4)
    windows = Windows(lengths, 4, 3, 5)
    assert windows.pairs[windows.samples == 0, 1].tolist() == [0, 3, 6]
    assert windows.pairs[windows.samples == 1].tolist() == [[1, 0]]
    for sample, length in enumerate(lengths):
        starts = windows.pairs[windows.samples == sample, 1]
        assert {place for start in starts for place in range(start, start + 4)} >= set(range(length))
        assert starts.max() <= max(0, length - 4)
    assert sorted(np.concatenate(windows.batches(0)).tolist()) == list(range(len(windows.pairs)))


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda: PerClass(TARGETS, 6, 2), "to have 6 classes, and there are 5"),
        (lambda: PerClass(TARGETS, 2, 0), "classes and samples of a batch are 2, 0"),
        (lambda: PerClass(np.zeros((4, 2), np.int64), 2, 2), "do not have one class each"),
        (lambda: PerClass(np.zeros(4), 2, 2), "do not have one class each"),
        (lambda: Episodes(TARGETS, 4, 3, 2, 1), "of 4 classes with 5 samples each, and there are 3"),
        (lambda: Episodes(TARGETS, 2, 1, 1, 0), "number of episodes are 2, 1, 1, 0"),
        (lambda: Windows((10**12,), 10, 1, 5), "999,999,999,991 windows"),
        (lambda: Windows((10,), 10, 0, 5), "window, stride and batch are 10, 0, 5"),
    ],
)
def test_what_does_not_suffice_is_one_line(make: Callable[[], Sampler], line: str) -> None:
    with pytest.raises(UserError, match=line) as caught:
        make()
    assert "\n" not in str(caught.value)

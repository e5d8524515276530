"""Random numbers as a function: they never change, and they look random."""

from __future__ import annotations

import numpy as np
import pytest

from svertka.data.chance import bits, permutation, uniform


def test_the_first_numbers_are_those_of_splitmix64() -> None:
    assert [int(bits(0)[0]), int(bits(1)[0])] == [0xE220A8397B1DCDAF, 0x910A2DEC89025CC1]


def test_the_numbers_are_what_they_were() -> None:
    # Frozen: with other numbers a resumed run would end with other bits.
    assert [int(value) for value in bits(1, 2, [3, 4])] == [0x6AE515C1C0AC7E37, 0xC313915189C4EC21]
    assert uniform(7, 0, np.arange(3), 2).tolist() == [0.2823873628776743, 0.7096642802633567, 0.887055373957237]
    assert uniform(-1, 2**62).tolist() == [0.8516229187980047]
    assert permutation(10, 0, 0).tolist() == [4, 8, 0, 1, 7, 6, 2, 5, 3, 9]
    assert permutation(10, 5, 3).tolist() == [5, 9, 1, 7, 0, 2, 4, 3, 8, 6]


def test_one_at_a_time_gives_the_same_as_all_at_once() -> None:
    together = uniform(3, 1, np.arange(50), 4)
    assert [float(uniform(3, 1, index, 4)[0]) for index in range(50)] == together.tolist()
    assert uniform(3, 1, [9, 2, 30], 4).tolist() == together[[9, 2, 30]].tolist()


def test_keys_are_broadcast() -> None:
    grid = uniform(0, np.arange(3)[:, None], np.arange(4))
    assert grid.shape == (3, 4)
    assert grid[2, 1] == uniform(0, 2, 1)[0]


@pytest.mark.parametrize("other", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0), (0, 0, 0, 0)])
def test_every_key_and_its_place_counts(other: tuple[int, ...]) -> None:
    assert bits(*other)[0] != bits(0, 0, 0)[0]


@pytest.mark.parametrize("axis", range(3))
def test_numbers_are_spread_evenly_along_every_key(axis: int) -> None:
    keys: list[object] = [5, 6, 7]
    keys[axis] = np.arange(100_000)
    numbers = uniform(*keys)
    assert numbers.min() >= 0
    assert numbers.max() < 1
    counts = np.histogram(numbers, 20, (0, 1))[0]
    assert ((counts - 5000) ** 2 / 5000).sum() < 43.8  # chi² of 19 degrees passes this once in a thousand
    assert abs(np.corrcoef(numbers[:-1], numbers[1:])[0, 1]) < 0.0105  # as often


def test_a_permutation_has_every_number_once_and_each_key_another_order() -> None:
    orders = {tuple(permutation(40, seed, epoch).tolist()) for seed in range(5) for epoch in range(5)}
    assert len(orders) == 25
    assert all(sorted(order) == list(range(40)) for order in orders)
    assert permutation(0, 1).tolist() == []

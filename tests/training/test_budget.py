"""What can be trained within a given time."""

from __future__ import annotations

import pytest

from svertka.training.budget import Option, choose_phases

OPTIONS = [Option(8, 10, 1), Option(5, 10, 4), Option(2, 10, 15), Option(0, 0, 60)]


@pytest.mark.parametrize(
    ("seconds", "phases"),
    [
        (0, []),
        (15, []),  # 10 s to prepare, and 3.5 epochs at most
        (20, [(8, 8)]),
        (40, [(5, 6)]),
        (100, [(2, 5)]),
        (600, [(0, 9)]),
        (6000, [(0, 30)]),
    ],
)
def test_the_earliest_boundary_that_fits(seconds: float, phases: list[tuple[int, int]]) -> None:
    assert choose_phases(OPTIONS, seconds) == phases


def test_it_never_takes_longer_than_there_is() -> None:
    for seconds in range(0, 1000, 7):
        for depth, epochs in choose_phases(OPTIONS, seconds):
            option = next(option for option in OPTIONS if option.depth == depth)
            assert option.prepare + epochs * option.epoch <= seconds

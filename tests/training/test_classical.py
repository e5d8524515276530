"""Machines that learn from given features."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from numpy.typing import NDArray

from svertka.training.classical import KINDS, Kind, fit_classical


def rings(count: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """A ring within a ring: no straight line parts them."""
    generator = np.random.default_rng(seed)
    targets = np.arange(count) % 2
    angle = generator.uniform(0, 2 * np.pi, count)
    radius = 1 + 2 * targets + generator.normal(0, 0.2, count)
    return np.column_stack([radius * np.cos(angle), radius * np.sin(angle)]).astype(np.float32), targets


@pytest.mark.parametrize("kind", KINDS)
def test_each_learns_what_no_line_parts(kind: Kind) -> None:
    chosen = fit_classical(kind, rings(200, 0), rings(100, 1))
    features, targets = rings(300, 2)
    assert np.mean(chosen.machine.predict(features) == targets) > 0.97


def test_validation_chooses() -> None:
    # A third of the training labels is wrong: the nearest neighbour alone repeats that, fifteen outvote it.
    features, targets = rings(600, 0)
    wrong = np.random.default_rng(3).random(len(targets)) < 1 / 3
    chosen = fit_classical("nearest_neighbours", (features, np.where(wrong, 1 - targets, targets)), rings(300, 1))
    assert chosen.options == {"neighbours": 15}


def test_the_same_seed_gives_the_same_forest() -> None:
    first, second = (fit_classical("random_forest", rings(60, 0), rings(30, 1), seed=5, threads=n) for n in (1, 2))
    assert pickle.dumps(first.machine) == pickle.dumps(second.machine)

"""What a short timing decides."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from svertka.tasks.classification import Classification
from svertka.training import speed
from svertka.training.machine import Machine
from svertka.training.recipe import Recipe
from svertka.training.step_timing import Choice, best_of

PLAIN, LAST = Choice("fp32", "channels_first", 2), Choice("fp32", "channels_last", 2)
PLAIN_ALONE, LAST_ALONE = PLAIN._replace(threads=1), LAST._replace(threads=1)


def test_threads_that_gain_much_are_taken() -> None:
    assert best_of({PLAIN: 1.0, PLAIN_ALONE: 1.9}) == PLAIN


def test_threads_that_gain_little_are_not() -> None:
    assert best_of({PLAIN: 1.0, PLAIN_ALONE: 1.3}) == PLAIN_ALONE


def test_a_layout_must_be_clearly_faster() -> None:
    assert best_of({PLAIN: 1.0, LAST: 0.95}) == PLAIN
    assert best_of({PLAIN: 1.0, LAST: 0.8}) == LAST


def test_each_number_of_threads_has_its_own_best_layout() -> None:
    assert best_of({PLAIN: 1.0, PLAIN_ALONE: 1.2, LAST: 0.9, LAST_ALONE: 0.6}) == LAST_ALONE


def test_a_step_is_timed_as_it_will_be_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    timed: list[Choice] = []
    measure = speed.seconds_of

    def seen(choices: list[Choice], *arguments: Any, **named: Any) -> dict[Choice, float]:
        timed.extend(choices)
        return measure(choices, *arguments, **named)

    recipe = Recipe(net="lenet5", batch=4)
    task, machine = Classification(("a", "b", "c")), Machine(recipe)
    threads = torch.get_num_threads()
    chosen = Choice("fp32", "channels_last", threads + 1)
    monkeypatch.setattr(speed, "choose", lambda *_, **__: chosen)
    monkeypatch.setattr(speed, "seconds_of", seen)
    net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert speed.seconds_a_step(net, task, recipe, image_shape=(1, 8, 8), machine=machine) > 0
    assert timed == [chosen]
    assert torch.get_num_threads() == threads


def test_a_step_of_large_images_counts_as_all_of_its_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "choose", lambda *_, **__: LAST_ALONE)
    monkeypatch.setattr(speed, "seconds_of", lambda *_, **__: {LAST_ALONE: 3.0})
    recipe = Recipe(net="lenet5", batch=8)
    task, machine = Classification(("a", "b", "c")), Machine(recipe)
    net = nn.Flatten()
    # Of 512 × 512 pixels, four images are timed.
    assert speed.seconds_a_step(net, task, recipe, image_shape=(3, 512, 512), machine=machine) == 6.0
    assert speed.seconds_a_step(net, task, recipe, image_shape=(3, 32, 32), machine=machine) == 3.0

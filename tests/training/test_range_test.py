"""The learning-rate range test, and the test of the wiring: they keep nothing, and say what they found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from svertka.errors import UserError
from svertka.training.loop import Training
from svertka.training.machine import Machine
from svertka.training.range_test import RangeTest, find_rate
from svertka.training.signals import Background
from svertka.training.wiring import Wiring, check_wiring


def rate_of(made: Training) -> RangeTest:
    return find_rate(made.module, made.task, made.train, made.recipe, machine=Machine(made.recipe))


def wiring_of(made: Training, batch: Any = None) -> Wiring:
    batch = batch or next(iter(made.train.training(0)))
    known = Background(counts={"train": [5, 4, 3]})
    return check_wiring(made.module, made.task, batch, made.recipe, machine=Machine(made.recipe), background=known)


def test_the_rate_rises_by_the_same_factor_and_the_suggestion_learns(training: Callable[..., Training]) -> None:
    made = training(samples=120, val=60, optimizer="adam")
    before = {name: value.clone() for name, value in made.module.state_dict().items()}
    found = rate_of(made)
    assert all(torch.equal(value, before[name]) for name, value in made.module.state_dict().items())
    factors = [later / sooner for sooner, later in zip(found.rates, found.rates[1:], strict=False)]
    assert max(factors) == pytest.approx(min(factors))
    assert 1e-4 < found.suggestion < 0.3
    outcome = training(samples=120, val=60, optimizer="adam", lr=found.suggestion, epochs=12).run()
    assert outcome.history[-1]["val_accuracy"] > 0.9


def test_a_network_that_cannot_learn_gets_no_suggestion(training: Callable[..., Training]) -> None:
    made = training()
    with torch.no_grad():
        for weight in made.module.parameters():
            weight.zero_()
            weight.requires_grad_(weight.ndim == 1)
    with pytest.raises(UserError, match="does not fall at any learning rate"):
        find_rate(made.module, made.task, made.train, made.recipe, machine=Machine(made.recipe))


@pytest.mark.parametrize("net", ["mlp", "lenet5"])
def test_a_good_network_learns_one_batch(net: str, training: Callable[..., Training]) -> None:
    made = training(net=net, dropout=0.5, weight_decay=0.1)
    before = {name: value.clone() for name, value in made.module.state_dict().items()}
    found = wiring_of(made)
    assert found.ok
    assert found.losses[-1] < 0.05 * found.losses[0]
    assert found.faults == ()
    assert found.images == 12
    assert all(torch.equal(value, before[name]) for name, value in made.module.state_dict().items())


def test_frozen_stages_are_named(training: Callable[..., Training]) -> None:
    made = training(net="lenet5")
    with torch.no_grad():
        for weight in made.module.trunk.parameters():
            weight.zero_()
    made.module.trunk.requires_grad_(False)
    found = wiring_of(made)
    assert not found.ok
    assert "c1" in found.faults[0]
    assert "frozen" in found.faults[0]


def test_labels_that_contradict_one_another_are_named(training: Callable[..., Training]) -> None:
    made = training()
    batch = next(iter(made.train.training(0)))
    images = batch.inputs.clone()
    images[1] = images[0]
    targets = batch.targets.clone()
    targets[:2] = torch.tensor([0, 1])
    spoilt = batch._replace(inputs=images, targets=targets)
    found = wiring_of(made, spoilt)
    assert not found.ok
    assert any("twice, with different labels" in fault for fault in found.faults)

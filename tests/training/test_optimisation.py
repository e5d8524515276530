"""Optimisers and learning rates by name."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from svertka.training.optimisation import lr_factor, make_optimizer
from svertka.training.recipe import Recipe

CPU = torch.device("cpu")


def factors(steps_per_epoch: int = 10, **recipe: object) -> list[float]:
    made = Recipe(**recipe)
    return [lr_factor(made, step, steps_per_epoch) for step in range(made.epochs * steps_per_epoch)]


def net() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.PReLU(), nn.Flatten(), nn.Linear(16, 2))


def test_constant_stays() -> None:
    assert set(factors(epochs=3, schedule="constant")) == {1.0}


def test_plateau_is_constant_until_the_loop_lowers_it() -> None:
    assert set(factors(epochs=3, schedule="plateau")) == {1.0}


def test_step_falls_every_so_many_epochs() -> None:
    found = factors(epochs=5, schedule="step", step_epochs=2, step_factor=0.1)
    assert found == pytest.approx([1.0] * 20 + [0.1] * 20 + [0.01] * 10)


def test_cosine_falls_from_one_to_nearly_nought() -> None:
    found = factors(epochs=4, schedule="cosine")
    assert found[0] == 1.0
    assert found[20] == pytest.approx(0.5)
    assert found[10] == pytest.approx((1 + math.cos(math.pi / 4)) / 2)
    assert 0 < found[-1] < 0.002
    assert found == sorted(found, reverse=True)


def test_one_cycle_rises_to_its_peak_and_ends_low() -> None:
    found = factors(epochs=10, schedule="one_cycle")
    assert found[0] == pytest.approx(1 / 25)
    assert found.index(max(found)) == 30
    assert found[30] == 1.0
    assert found[:31] == sorted(found[:31])
    assert found[30:] == sorted(found[30:], reverse=True)
    assert found[-1] == pytest.approx(1e-4)
    assert found[15] == pytest.approx((1 / 25 + 1) / 2)


def test_one_cycle_agrees_with_pytorch() -> None:
    weight = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 1.0, total_steps=101, pct_start=0.31, cycle_momentum=False, final_div_factor=1e4 / 25
    )
    rates = []
    for _ in range(101):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step()
    ours = [lr_factor(Recipe(epochs=101, schedule="one_cycle"), step, 1) for step in range(101)]
    # Theirs has its peak at a whole step, 0.31 × 101 − 1; ours at 0.3 × 101.
    assert ours == pytest.approx(rates, abs=0.02)
    assert (ours[0], ours[-1]) == pytest.approx((rates[0], rates[-1]))


@pytest.mark.parametrize("schedule", ["constant", "step", "cosine", "one_cycle", "plateau"])
def test_every_rate_lies_between_nought_and_one(schedule: str) -> None:
    for epochs, steps, warmup in [(1, 1, 0.0), (1, 3, 0.5), (3, 1, 5.0), (7, 13, 2.5)]:
        found = factors(steps, epochs=epochs, schedule=schedule, warmup=warmup)
        assert all(0 < factor <= 1 for factor in found)


def test_warm_up_rises_in_a_line_over_fractions_of_epochs() -> None:
    found = factors(epochs=2, schedule="constant", warmup=0.5)
    assert found[:6] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])


def test_cosine_begins_after_the_warm_up() -> None:
    found = factors(epochs=4, schedule="cosine", warmup=1)
    assert found[9] == 1.0
    assert found[25] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("name", "kind", "momentum", "nesterov"),
    [
        ("sgd", torch.optim.SGD, 0.0, False),
        ("momentum", torch.optim.SGD, 0.8, False),
        ("nesterov", torch.optim.SGD, 0.8, True),
        ("adam", torch.optim.Adam, None, None),
        ("adamw", torch.optim.AdamW, None, None),
    ],
)
def test_optimisers_by_name(
    name: str, kind: type[torch.optim.Optimizer], momentum: float | None, nesterov: bool | None
) -> None:
    made = make_optimizer(net(), Recipe(optimizer=name, momentum=0.8, lr=0.25), CPU)
    assert type(made) is kind
    for group in made.param_groups:
        assert group["lr"] == 0.25
        if momentum is not None:
            assert (group["momentum"], group["nesterov"]) == (momentum, nesterov)


def test_nesterov_without_momentum_is_plain_descent() -> None:
    made = make_optimizer(net(), Recipe(optimizer="nesterov", momentum=0), CPU)
    assert not made.param_groups[0]["nesterov"]


@pytest.mark.parametrize("name", ["sgd", "momentum", "nesterov", "adam", "adamw"])
def test_biases_norms_and_slopes_do_not_decay(name: str) -> None:
    model = net()
    made = make_optimizer(model, Recipe(optimizer=name, weight_decay=0.3), CPU)
    decay = {id(p): group["weight_decay"] for group in made.param_groups for p in group["params"]}
    found = {name: decay[id(parameter)] for name, parameter in model.named_parameters()}
    assert found == {
        "0.weight": 0.3,
        "0.bias": 0.0,
        "1.weight": 0.0,
        "1.bias": 0.0,
        "2.weight": 0.0,
        "4.weight": 0.3,
        "4.bias": 0.0,
    }


def test_decay_alone_shrinks_weights_and_leaves_biases() -> None:
    model = nn.Linear(3, 2)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    made = make_optimizer(model, Recipe(optimizer="adamw", lr=0.1, weight_decay=0.5), CPU)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    made.step()
    torch.testing.assert_close(model.weight.detach(), before["weight"] * (1 - 0.1 * 0.5))
    assert torch.equal(model.bias.detach(), before["bias"])


def test_what_is_frozen_is_left_out() -> None:
    model = net()
    model[0].requires_grad_(False)
    made = make_optimizer(model, Recipe(), CPU)
    held = {id(p) for group in made.param_groups for p in group["params"]}
    assert not held & {id(p) for p in model[0].parameters()}
    assert len(held) == 5

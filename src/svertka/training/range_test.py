"""The learning-rate range test.

L. Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017, section 3.3. The rate rises with every
step, here exponentially; the loss falls once it is large enough, and bursts once it is too large.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from svertka.errors import UserError
from svertka.tasks.task import Task
from svertka.training.contracts import Batches
from svertka.training.machine import Machine, laid_out
from svertka.training.optimisation import make_optimizer
from svertka.training.recipe import Recipe

_LOWEST, _HIGHEST = 1e-7, 10.0
_STEPS = 240
_WINDOW = 10  # steps over which a fall is measured
_KEPT = 0.9  # of the running mean of the losses
_BURST = 3.0  # times the least loss, at which the test ends
_FALL = 0.05  # of the loss at the start: less is no learning
_BELOW = 10.0  # times lower than where the loss is least, a rate is safe


@dataclass(frozen=True)
class RangeTest:
    """What the loss was as the learning rate rose.

    Attributes:
        rates: Of the steps.
        losses: After each, a running mean.
        suggestion: The rate at which the loss fell fastest, or a tenth of that at which it was least, if that is lower;
            to two digits.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    suggestion: float


def find_rate(
    net: nn.Module,
    task: Task,
    train: Batches,
    recipe: Recipe,
    *,
    machine: Machine,
    advance: Callable[[int, int], None] | None = None,
) -> RangeTest:
    """Let a copy of a network learn while the rate rises; the network itself stays as it is.

    Args:
        net: The network.
        task: What to learn.
        train: Batches to learn from; they are gone through as often as it takes.
        recipe: Says the optimiser, decay and layout.
        machine: Devices and precision.
        advance: Is told how many steps of how many are done.

    Raises:
        UserError: The loss does not fall at any rate.
    """
    fabric = machine.fabric
    copied = copy.deepcopy(net).train()
    layout = torch.channels_last if recipe.layout == "channels_last" else torch.contiguous_format
    module, optimizer = fabric.setup(
        copied.to(memory_format=layout), raw := make_optimizer(copied, recipe, fabric.device)
    )
    batches = _endless(train)
    rates: list[float] = []
    losses: list[float] = []
    mean = 0.0
    for step in range(_STEPS):
        torch.manual_seed(step)
        rate = _LOWEST * (_HIGHEST / _LOWEST) ** (step / (_STEPS - 1))
        for group in raw.param_groups:
            group["lr"] = rate * group["scale"]
        batch = next(batches)
        images = laid_out(fabric.to_device(batch.inputs), layout)
        loss = torch.stack(list(task.step(module, images, fabric.to_device(batch.targets)).values())).sum()
        value = loss.item()
        mean = _KEPT * mean + (1 - _KEPT) * value
        smooth = mean / (1 - _KEPT ** (step + 1))
        if not math.isfinite(value) or (losses and smooth > _BURST * max(min(losses), 1e-3)):
            break
        rates.append(rate)
        losses.append(smooth)
        fabric.backward(loss)
        optimizer.step()
        optimizer.zero_grad()
        if advance:
            advance(step + 1, _STEPS)
    if advance:
        advance(_STEPS, _STEPS)
    if not losses or min(losses) > (1 - _FALL) * losses[0]:
        raise UserError(
            "the loss does not fall at any learning rate", mend="let svertka train --check-wiring say what is wrong"
        )
    best = losses.index(min(losses))
    falls = [losses[place] - losses[min(place + _WINDOW, best)] for place in range(best + 1)]
    fastest = rates[min(falls.index(max(falls)) + _WINDOW // 2, best)]
    return RangeTest(tuple(rates), tuple(losses), float(f"{min(fastest, rates[best] / _BELOW):.1e}"))


def _endless(train: Batches) -> Iterator[Any]:
    epoch = 0
    while True:
        yield from train.training(epoch)
        epoch += 1

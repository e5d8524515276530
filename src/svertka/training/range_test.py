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
from svertka.training.machine import Machine
from svertka.training.recipe import Recipe
from svertka.training.step import Stepper
from svertka.training.updates import OwnedUpdate, check_one_update

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
        UserError: The loss does not fall at any rate, or the task has several updates.
    """
    check_one_update(net, task, "--find-lr")
    # The task alone is looked at: penalties and the bound of the gradient stay out.
    plain = recipe.changed({"l1": 0.0, "weight_elimination": 0.0, "clip": 0.0})
    stepper = Stepper(copy.deepcopy(net).train(), task, plain, fabric=machine.fabric)
    batches = _endless(train)
    course = _Course()
    for step in range(_STEPS):
        rate = _LOWEST * (_HIGHEST / _LOWEST) ** (step / (_STEPS - 1))
        try:
            stepper.take(batches, [1], step, seed=step, lr=lambda _, rate=rate: rate, told=course.told)  # type: ignore[misc]
        except _BurstError:
            break
        course.rates.append(rate)
        if advance:
            advance(step + 1, _STEPS)
    if advance:
        advance(_STEPS, _STEPS)
    rates, losses = course.rates, course.losses
    if not losses or min(losses) > (1 - _FALL) * losses[0]:
        raise UserError(
            "the loss does not fall at any learning rate", mend="let svertka train --check-wiring say what is wrong"
        )
    best = losses.index(min(losses))
    falls = [losses[place] - losses[min(place + _WINDOW, best)] for place in range(best + 1)]
    fastest = rates[min(falls.index(max(falls)) + _WINDOW // 2, best)]
    return RangeTest(tuple(rates), tuple(losses), float(f"{min(fastest, rates[best] / _BELOW):.1e}"))


class _BurstError(Exception):
    pass


class _Course:
    """The running mean of the losses, until they burst."""

    def __init__(self) -> None:
        self.rates: list[float] = []
        self.losses: list[float] = []
        self._mean = 0.0
        self._steps = 0

    def told(self, owned: OwnedUpdate, place: int, samples: int, losses: dict[str, float]) -> None:
        del owned, place, samples
        value = torch.tensor([*losses.values()]).sum().item()
        self._steps += 1
        self._mean = _KEPT * self._mean + (1 - _KEPT) * value
        smooth = self._mean / (1 - _KEPT**self._steps)
        if not math.isfinite(value) or (self.losses and smooth > _BURST * max(min(self.losses), 1e-3)):
            raise _BurstError
        self.losses.append(smooth)


def _endless(train: Batches) -> Iterator[Any]:
    epoch = 0
    while True:
        yield from train.training(epoch)
        epoch += 1

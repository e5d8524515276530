"""How long the steps of a training take here, with one precision, memory layout and number of threads or another."""

from __future__ import annotations

import copy
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import nn

from svertka.tasks.task import Task
from svertka.training.contracts import TrainingBatch
from svertka.training.machine import Machine
from svertka.training.recipe import Recipe
from svertka.training.sections import Layout, Precision
from svertka.training.step import Stepper

_GAIN = 1.1  # a choice other than plain fp32 must be this much faster
# So much faster all cores together must be than one. Threads wait for one another at every layer, and wait actively:
# where a small network gains little by them, any other program that wants a core makes it ten times slower.
_WORTH_THREADS = 1.7
_SECONDS = 0.25  # for each choice
_PIXELS = 1 << 20  # of a batch to time with, or one image


class Choice(NamedTuple):
    """What a recipe may leave open."""

    precision: Precision
    layout: Layout
    threads: int


def seconds_of(
    choices: Sequence[Choice],
    net: nn.Module,
    task: Task,
    recipe: Recipe,
    *,
    shape: tuple[int, ...],
    device: torch.device,
) -> dict[Choice, float]:
    """How long a training step of so many samples, see `samples_timed`, takes with each of these choices.

    Args:
        choices: What is left open otherwise.
        net: The network; it is copied.
        task: For its loss.
        recipe: For its optimiser and batch.
        shape: (C, H, W) of the images, or (D,) of features.
        device: Where it runs.
    """
    inputs = torch.rand(samples_timed(recipe, shape), *shape, device=device)
    targets = task.trial_targets(copy.deepcopy(net).to(device), inputs)
    batch = TrainingBatch(inputs, targets, torch.arange(len(inputs)), 1.0)
    seconds = {choice: _step(net, task, recipe, choice, batch) for choice in choices}
    samples: dict[Choice, list[float]] = {choice: [] for choice in choices}
    threads = torch.get_num_threads()
    for choice in choices:
        seconds[choice]()
    # In turns, so that a slow moment of the machine falls on all of them.
    for _ in range(3):
        for choice in choices:
            torch.set_num_threads(choice.threads)
            stop = time.perf_counter() + _SECONDS / 3
            while not samples[choice] or time.perf_counter() < stop:
                samples[choice].append(seconds[choice]())
    torch.set_num_threads(threads)
    return {choice: statistics.median(values) for choice, values in samples.items()}


def samples_timed(recipe: Recipe, shape: tuple[int, ...]) -> int:
    """How many samples of a batch are timed with: fewer where they are large."""
    return max(2, min(recipe.batch, _PIXELS // math.prod(shape[1:]) or 2))


def _step(net: nn.Module, task: Task, recipe: Recipe, choice: Choice, batch: TrainingBatch) -> Callable[[], float]:
    """Takes the very steps of training, on a copy of the network and the same batch each time: seconds for one."""
    chosen = recipe.changed({"precision": choice.precision, "layout": choice.layout})
    stepper = Stepper(copy.deepcopy(net).train(), task, chosen, fabric=Machine(chosen).fabric)
    cycle = math.lcm(*(owned.update.every for owned in stepper.updates))

    def step() -> float:
        started = time.perf_counter()
        for number in range(cycle):
            stepper.take(iter([batch]), [len(batch.inputs)], number, lr=lambda owned: owned.recipe.lr)
        if batch.inputs.device.type == "cuda":
            torch.cuda.synchronize()
        return (time.perf_counter() - started) / cycle

    return step


def best_of(seconds: Mapping[Choice, float]) -> Choice:
    """The choice that is worth it, of those measured; the first of them is the plain one."""

    def fastest(threads: int) -> Choice:
        plain, *others = [choice for choice in seconds if choice.threads == threads]
        quicker = [choice for choice in others if seconds[choice] * _GAIN < seconds[plain]]
        return min([*quicker, plain], key=lambda choice: seconds[choice])

    all_cores, one = fastest(next(iter(seconds)).threads), fastest(min(choice.threads for choice in seconds))
    return one if seconds[all_cores] * _WORTH_THREADS > seconds[one] else all_cores

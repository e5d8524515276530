"""Which precision, memory layout and number of threads suit a network here is measured, not guessed."""

from __future__ import annotations

import copy
import itertools
import math
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import nn

from svertka.runtime.choices import remembered_choice
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


def choose(net: nn.Module, task: Task, recipe: Recipe, *, image_shape: tuple[int, ...], machine: Machine) -> Choice:
    """What suits training steps of this network best, of what the recipe leaves open.

    What was measured once on a machine is remembered in the cache folder, so that a command given twice computes
    the same twice. Several processes, which might come to different choices, take plain fp32.

    Args:
        net: The network; it is copied.
        task: For its loss.
        recipe: ``precision`` and ``layout`` may be ``auto``, and ``threads`` 0.
        image_shape: (C, H, W) of the images, or (D,) of features.
        machine: Where training will run.
    """
    device = machine.fabric.device
    precisions: list[Precision] = [recipe.precision] if recipe.precision != "auto" else ["fp32"]
    if recipe.precision == "auto" and _has_bf16(device):
        precisions.append("bf16")
    layouts: list[Layout] = [recipe.layout] if recipe.layout != "auto" else ["channels_first", "channels_last"]
    threads = [torch.get_num_threads()]
    if recipe.threads == 0 and device.type == "cpu" and threads[0] > 1:
        threads.append(1)
    choices = [Choice(*choice) for choice in itertools.product(precisions, layouts, threads)]
    if len(choices) == 1 or machine.world > 1:
        return choices[0]
    circumstances: list[list[Any]] = [
        [platform.node(), torch.__version__, str(device)],
        [recipe.net, dict(recipe.net_options), recipe.optimizer, recipe.batch, image_shape],
    ]
    several = [[update.name, update.every] for update in task.updates(net)]
    if len(several) > 1:
        circumstances.append([task.name, *several])
    return remembered_choice(
        circumstances, choices, lambda: _best(_measure(net, task, recipe, choices, image_shape, device))
    )


def seconds_a_step(
    net: nn.Module, task: Task, recipe: Recipe, *, image_shape: tuple[int, ...], machine: Machine
) -> float:
    """How long one training step of this network takes here, with what `choose` chooses where the recipe is open.

    Of large images fewer than a batch are timed; the rest of it is taken to last as long.
    """
    choice = choose(net, task, recipe, image_shape=image_shape, machine=machine)
    seconds = _measure(net, task, recipe, [choice], image_shape, machine.fabric.device)[choice]
    return seconds * recipe.batch / _timed(recipe, image_shape)


def _best(seconds: Mapping[Choice, float]) -> Choice:
    """The choice that is worth it, of those measured; the first of them is the plain one."""

    def fastest(threads: int) -> Choice:
        plain, *others = [choice for choice in seconds if choice.threads == threads]
        quicker = [choice for choice in others if seconds[choice] * _GAIN < seconds[plain]]
        return min([*quicker, plain], key=lambda choice: seconds[choice])

    all_cores, one = fastest(next(iter(seconds)).threads), fastest(min(choice.threads for choice in seconds))
    return one if seconds[all_cores] * _WORTH_THREADS > seconds[one] else all_cores


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _measure(
    net: nn.Module,
    task: Task,
    recipe: Recipe,
    choices: list[Choice],
    shape: tuple[int, ...],
    device: torch.device,
) -> dict[Choice, float]:
    inputs = torch.rand(_timed(recipe, shape), *shape, device=device)
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


def _timed(recipe: Recipe, shape: tuple[int, ...]) -> int:
    """How many images of a batch are timed with."""
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

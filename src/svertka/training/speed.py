"""Which precision, memory layout and number of threads suit a network here is measured, not guessed."""

from __future__ import annotations

import itertools
import platform
from typing import Any

import torch
from torch import nn

from svertka.runtime.choices import remembered_choice
from svertka.tasks.task import Task
from svertka.training.machine import Machine
from svertka.training.recipe import Recipe
from svertka.training.sections import Layout, Precision
from svertka.training.step_timing import Choice, best_of, samples_timed, seconds_of


def suited(
    recipe: Recipe, machine: Machine, net: nn.Module, task: Task, shape: tuple[int, ...]
) -> tuple[Recipe, Machine]:
    """The recipe with the precision, layout and threads that suit a network here, and the machine that has them.

    Args:
        recipe: May leave them open.
        machine: Where they are measured.
        net: What learns.
        task: For its loss.
        shape: Of one input.
    """
    choice = choose(net, task, recipe, image_shape=shape, machine=machine)
    chosen = recipe.changed(choice._asdict())
    return chosen, Machine(chosen)


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
        circumstances,
        choices,
        lambda: best_of(seconds_of(choices, net, task, recipe, shape=image_shape, device=device)),
    )


def seconds_a_step(
    net: nn.Module, task: Task, recipe: Recipe, *, image_shape: tuple[int, ...], machine: Machine
) -> float:
    """How long one training step of this network takes here, with what `choose` chooses where the recipe is open.

    Of large images fewer than a batch are timed; the rest of it is taken to last as long.
    """
    choice = choose(net, task, recipe, image_shape=image_shape, machine=machine)
    timed = seconds_of([choice], net, task, recipe, shape=image_shape, device=machine.fabric.device)
    return timed[choice] * recipe.batch / samples_timed(recipe, image_shape)


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())

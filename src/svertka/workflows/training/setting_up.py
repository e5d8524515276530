"""Setting up a training: what a recipe leaves open is decided, and the run begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svertka.errors import UserError
from svertka.training import speed
from svertka.training.least_batch import least_images
from svertka.training.machine import Machine
from svertka.wording import counted, inflected
from svertka.workflows.training.network import arguments_of, build
from svertka.workflows.training.stages import Setup

if TYPE_CHECKING:
    from torch import nn

    from svertka.data.preparing import Prepared
    from svertka.layers.net import Net
    from svertka.tasks.task import Task
    from svertka.training.recipe import Recipe
    from svertka.workflows.progress import Display
    from svertka.workflows.run_folder import Run
    from svertka.workflows.training.stages import Data, Plan


def set_up(plan: Plan, data: Data, display: Display) -> Setup:
    """The network of a recipe with random weights, ready to learn at the speed that suits it.

    Args:
        plan: What was asked for.
        data: What it is to learn from.
        display: Is told how large the last batch is, if not as the others.

    Raises:
        UserError: The network cannot be built like this, or needs more images than there are.
    """
    channels, side = data.shape[:2]
    arguments = arguments_of(plan.recipe, data.task, side, channels)
    net = build(plan.recipe, arguments)
    recipe, machine = suited(plan.recipe, plan.machine, net, data.task, data.shape)
    return Setup(net, arguments, recipe, machine, least_batch(net, recipe, machine.world, data, display))


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
    chosen = recipe.changed(speed.choose(net, task, recipe, image_shape=shape, machine=machine)._asdict())
    return chosen, Machine(chosen)


def least_batch(net: Net, recipe: Recipe, world: int, data: Data, display: Display) -> int:
    """How many images each process needs for a training step; a last batch with fewer is joined to the one before.

    Args:
        net: The network, frozen as it will be in training.
        recipe: Says how large its batches are.
        world: Number of processes.
        data: What it is to learn from.
        display: Is told how large the last batch is, if not as the others.

    Raises:
        UserError: It needs more than the batches, or the data, have.
    """
    least = least_images(net, data.task, data.shape)
    if least == 1:
        return least
    batch, samples, needed = recipe.batch, len(data.prepared.parts["train"].positions), least * world
    noun = data.transform.media
    why = "a BatchNorm would get a single value of each channel"
    if batch < needed:
        few, shared = (
            f"one {noun}" if batch == 1 else counted(batch, noun),
            f" for {world} processes" if world > 1 else "",
        )
        raise UserError(
            f"{recipe.net} cannot learn from {few} at a time{shared}: {why}",
            mend=f"give --batch {needed} or more",
        )
    if samples < needed:
        raise UserError(
            f"{recipe.net} needs {counted(needed, noun)} to learn from, and there is {samples}: {why}",
            where=data.prepared.dataset.root,
            mend=f"add {inflected(2, noun)}, or give a --net without BatchNorm",
        )
    if 0 < samples % batch < needed < samples:
        last = samples % batch
        display.say(f"the last batch of an epoch has {counted(batch + last, noun)} instead of {last}: of so few {why}")
    return least


def begin(run: Run, setup: Setup, prepared: Prepared, weights: str = "") -> None:
    """Write down recipe, split, and the digest of the weights that it begins from: now the run can be resumed.

    Args:
        run: Its folder.
        setup: Says the recipe, and whether this process is the one that writes.
        prepared: The images.
        weights: Digest of the weights that it begins from, if any.

    Raises:
        UserError: It was begun with others, or the folder cannot be written.
    """
    if setup.machine.first:
        run.begin(setup.recipe, images=prepared.fingerprint, weights=weights, split=prepared.division)
        run.write_split(prepared.split())

"""How small a batch may be: what a training step needs, and how the last batch of an epoch comes to have it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svertka.errors import UserError
from svertka.training.least_batch import least_images
from svertka.wording import counted, inflected

if TYPE_CHECKING:
    from svertka.layers.net import Net
    from svertka.training.recipe import Recipe
    from svertka.workflows.progress import Display
    from svertka.workflows.training.stages import Data


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
    if 0 < samples % batch < needed < samples and (
        data.task.sampler(data.targets["train"], batch=batch, seed=recipe.seed) is None
    ):
        last = samples % batch
        display.say(f"the last batch of an epoch has {counted(batch + last, noun)} instead of {last}: of so few {why}")
    return least

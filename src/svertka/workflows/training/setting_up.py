"""Setting up a training: what a recipe leaves open is decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svertka.training.diagnoses.diagnosing import check_kinds
from svertka.training.speed import suited
from svertka.training.updates import check_whole, owned_updates
from svertka.workflows.training.least_batch import least_batch
from svertka.workflows.training.network import random_net
from svertka.workflows.training.stages import Setup

if TYPE_CHECKING:
    from torch import nn

    from svertka.training.machine import Machine
    from svertka.training.recipe import Recipe
    from svertka.workflows.progress import Display
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
    net, arguments = random_net(plan.recipe, data.task, data.shape)
    check_learns(net, plan.recipe, plan.machine, data)
    recipe, machine = suited(plan.recipe, plan.machine, net, data.task, data.shape)
    return Setup(net, arguments, recipe, machine, least_batch(net, recipe, machine.world, data, display))


def check_learns(net: nn.Module, recipe: Recipe, machine: Machine, data: Data) -> None:
    """See that what a task says of its learning suits what learns, before anything is written.

    Args:
        net: What learns, frozen as it will be in training.
        recipe: Of the run.
        machine: Where training will run.
        data: The task, and what it is to learn from.

    Raises:
        UserError: Its updates do not suit the network, its sampler cannot make a batch, batches are accumulated whose
            pairs count, or it asks for a diagnosis that there is not.
    """
    task = data.task
    check_kinds(task.diagnostics or (), task.name)
    check_whole(task, recipe)
    owned_updates(net, task, recipe, machine.fabric.device)
    task.sampler(data.targets["train"], batch=recipe.batch, seed=recipe.seed)

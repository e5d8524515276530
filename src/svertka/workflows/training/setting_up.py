"""Setting up a training: what a recipe leaves open is decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svertka.training.speed import suited
from svertka.workflows.training.least_batch import least_batch
from svertka.workflows.training.network import random_net
from svertka.workflows.training.stages import Setup

if TYPE_CHECKING:
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
    recipe, machine = suited(plan.recipe, plan.machine, net, data.task, data.shape)
    return Setup(net, arguments, recipe, machine, least_batch(net, recipe, machine.world, data, display))

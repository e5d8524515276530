"""Which engine runs frozen stages: that of the recipe, or the fastest here."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch

from svertka.deploy.bulk import Bulk, BulkName, engines
from svertka.runtime.choices import remembered_choice

if TYPE_CHECKING:
    from svertka.training.machine import Machine
    from svertka.training.recipe import Recipe


def engine_of(recipe: Recipe, machine: Machine, runs: Sequence[Any], fastest: Callable[[], Bulk]) -> BulkName:
    """The engine of a recipe; where that is left open, the fastest one here, which is measured once and remembered.

    Several processes, which might come to different choices, take PyTorch.

    Args:
        recipe: May leave it open.
        machine: Processes.
        runs: What is run by it, as JSON: something else is measured anew.
        fastest: Measures, and gives the fastest.
    """
    if recipe.engine != "auto":
        return recipe.engine
    if machine.world > 1:
        return "pytorch"
    circumstances = [platform.node(), torch.__version__, recipe.net, *runs]
    return remembered_choice(circumstances, engines(), lambda: fastest().name)

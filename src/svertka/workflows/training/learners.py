"""Ways for a network to learn, by its recipe."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Set
from typing import TYPE_CHECKING

from svertka.errors import UserError
from svertka.workflows.training.scratch import from_scratch
from svertka.workflows.training.transfer import from_weights
from svertka.zoo import registry

if TYPE_CHECKING:
    from svertka.training.recipe import Recipe
    from svertka.workflows.training.stages import Context, Data, Learnt, Plan

_OF_WEIGHTS = ("head", "taps", "freeze", "views", "engine", "lr_decay")
"""What a recipe says of trained weights alone."""


def learner_of(recipe: Recipe, typed: Set[str] = frozenset()) -> Callable[[Plan, Data, Context], Learnt]:
    """What makes the network of a recipe learn.

    Args:
        recipe: The recipe.
        typed: Its fields that the user gave, be they equal to their defaults or not.

    Raises:
        UserError: It needs trained weights, or something that it says does, and there are none.
    """
    if registry.record(recipe.net).fitted:
        if recipe.weights is None:
            raise UserError(
                f"{recipe.net} learns from what a trained trunk makes of regions",
                mend="give --weights, such as --weights efficientnet_lite0",
            )
        from svertka.workflows.training.regions import from_regions

        return from_regions
    if recipe.weights is not None:
        return from_weights
    for item in dataclasses.fields(recipe):
        if item.name in _OF_WEIGHTS and (item.name in typed or getattr(recipe, item.name) != item.default):
            flag = f"--{item.name.replace('_', '-')}"
            raise UserError(
                f"{flag} is about trained weights, and {recipe.net} begins with random ones",
                mend=f"give --weights, such as --weights efficientnet_lite0, or leave {flag} out",
            )
    return from_scratch

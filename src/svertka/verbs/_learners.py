"""Ways for a network to learn, by its recipe."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from svertka.errors import UserError
from svertka.verbs._job import Job, Learnt
from svertka.verbs._scratch import from_scratch
from svertka.verbs._transfer import from_weights
from svertka.zoo import registry

if TYPE_CHECKING:
    from svertka.training.recipe import Recipe


def learner_of(recipe: Recipe) -> Callable[[Job], Learnt]:
    """What makes the network of a recipe learn.

    Raises:
        UserError: It needs trained weights, and there are none.
    """
    if getattr(registry.record(recipe.net).constructor(), "fitted", False):
        if recipe.weights is None:
            raise UserError(
                f"{recipe.net} learns from what a trained trunk makes of regions",
                mend="give --weights, such as --weights efficientnet_lite0",
            )
        from svertka.verbs._regions import from_regions  # it takes a second, which others are spared

        return from_regions
    return from_scratch if recipe.weights is None else from_weights

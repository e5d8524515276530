"""What a recipe asks of its network, checked before the data are read: what cannot be, or would change nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Set
from typing import TYPE_CHECKING

from svertka.data.cache.memory import VIEWS
from svertka.errors import UserError, nearest
from svertka.task_records.record import named, of_contract, records
from svertka.wording import inflected
from svertka.workflows.inputs import transform_of
from svertka.workflows.training.network import flag_arguments
from svertka.zoo import registry
from svertka.zoo.records import KINDS, NetRecord, kind_called

if TYPE_CHECKING:
    from svertka.training.recipe import Recipe

_ONLY_WITH = {
    "momentum": ("optimizer", ("momentum", "nesterov")),
    "step_epochs": ("schedule", ("step", "plateau")),
    "step_factor": ("schedule", ("step", "plateau")),
}
"""Fields that do nothing unless another has one of these values."""
_OF_IMAGES = ("augment", "image_size", "channels")
"""Fields that say how images are taken."""
_OF_FROZEN = ("views", "engine")
"""Fields of the pass over frozen stages."""


def check_flags(recipe: Recipe, typed: Set[str]) -> None:
    """See that a recipe can be followed, as far as that is known without the data.

    Args:
        recipe: The recipe, with its network.
        typed: Its fields that the user gave, be they equal to their defaults or not.

    Raises:
        UserError: It cannot, or something was typed that would change nothing.
    """
    for name in sorted(typed & _ONLY_WITH.keys()):
        other, values = _ONLY_WITH[name]
        if getattr(recipe, other) not in values:
            flag, needed = _flag(name), " or ".join(f"--{other} {value}" for value in values)
            raise UserError(
                f"{flag} does nothing with --{other} {getattr(recipe, other)}",
                mend=f"give {needed}, or leave {flag} out",
            )
    if registry.record(recipe.net).media != "image":
        _check_media(recipe, typed)
    for view in recipe.views:
        if view not in VIEWS:
            raise UserError(f"unknown view {view!r}", mend=nearest(view, VIEWS))
    _check_task(recipe)
    _check_kind(recipe, typed)
    if recipe.weights is None:
        _check_scratch(recipe)
    else:
        _check_weights(recipe, typed)


def _check_media(recipe: Recipe, typed: Set[str]) -> None:
    nouns = inflected(2, registry.record(recipe.net).media)
    if recipe.weights is not None:
        raise UserError(
            f"--weights is for networks that take images, and {recipe.net} takes {nouns}", mend="leave --weights out"
        )
    for name in _OF_IMAGES:
        if (name in typed and getattr(recipe, name)) or (name != "augment" and getattr(recipe, name) is not None):
            raise UserError(
                f"{_flag(name)} is about images, and {recipe.net} takes {nouns}", mend=f"leave {_flag(name)} out"
            )


def _check_task(recipe: Recipe) -> None:
    """A task that is wanted by name exists, and is learnt by networks like this one."""
    if recipe.task == "auto":
        return
    wanted, record = named(recipe.task), registry.record(recipe.net)
    if wanted.contract != record.kind:
        kind = kind_called(wanted.contract)
        raise UserError(
            f"{recipe.net} predicts {record.traits.gives}, and --task {recipe.task} is learnt by networks that predict "
            f"{kind.gives}",
            mend=f"give {kind.suggested}; `svertka nets` lists all that predict {kind.gives}",
        )


def _check_kind(recipe: Recipe, typed: Set[str]) -> None:
    record = registry.record(recipe.net)
    own = {name for task in of_contract(record.kind, record.media) for name in task.fields}
    others = {name for task in records() for name in task.fields} - own
    for item in dataclasses.fields(recipe):
        if item.name in others and getattr(recipe, item.name) != item.default:
            flag = _flag(item.name)
            raise _unsuited(flag, item.name, record, advised=not {"net", "weights"} & typed)


def _unsuited(flag: str, name: str, record: NetRecord, *, advised: bool) -> UserError:
    """The error of a flag that is about other tasks than those of a network; another network may be advised."""
    suited = [KINDS[kind] for kind in KINDS if any(name in task.fields for task in of_contract(kind))]
    if record.media != "image" or not suited:
        tasks = ", ".join(task.name for task in records() if name in task.fields)
        return UserError(f"{flag} is about other tasks ({tasks}) than {record.name} is for", mend=f"leave {flag} out")
    return UserError(
        f"{flag} is about networks that predict {' or '.join(kind.gives for kind in suited)}, "
        f"and {record.name} predicts {record.traits.gives}",
        mend=f"{f'give {suited[0].suggested}, or ' if advised else ''}leave {flag} out",
    )


def _check_scratch(recipe: Recipe) -> None:
    if recipe.reject:
        raise UserError(
            "--reject is based on what a trained network sees, and this one starts from scratch", mend="give --weights"
        )
    channels, side = transform_of(recipe).shape[:2]
    record = registry.record(recipe.net)
    arguments = flag_arguments(recipe, record, side=side)
    if recipe.trunk is None and not recipe.net_options:
        return
    import torch

    with torch.device("meta"):  # whether they suit each other is known by building it, which takes no memory there
        given = {"classes": 2, "in_channels": channels}
        given = {name: value for name, value in given.items() if record.takes(name)}
        registry.build_of(record, {**arguments, **given})


def _check_weights(recipe: Recipe, typed: Set[str]) -> None:
    if recipe.trunk is not None:
        raise UserError(
            "--trunk does nothing with --weights: the stages are those of the weights", mend="leave --trunk out"
        )
    if recipe.reject and recipe.head == "own":
        raise UserError(
            "--reject is based on the features of a new head, and --head own has none", mend="leave --head out"
        )
    if recipe.head != "own" and registry.record(recipe.net).kind != "classifier":
        raise UserError(
            f"{recipe.net} has no head that {recipe.head!r} could take the place of", mend="leave --head and --taps out"
        )
    for name, other, value in (("taps", "head", "own"), ("lr_decay", "freeze", "all")):
        if name in typed and getattr(recipe, other) == value:
            flag = _flag(name)
            raise UserError(f"{flag} does nothing with --{other} {value}", mend=f"leave {flag} out, or --{other}")
    # Where all stages learn from the first step on, no engine runs any beforehand.
    frozen = recipe.freeze != "none" or recipe.head != "own" or recipe.budget
    for name in sorted(typed & {*_OF_FROZEN}):
        if not frozen and not registry.record(recipe.net).fitted:
            raise UserError(
                f"--{name} is about frozen stages, and with --freeze none and --head own there are none",
                mend=f"give --freeze or --budget, or leave --{name} out",
            )


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"

"""The updates of a training step, each with the parameters of the network that it owns and the optimiser that moves
them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from svertka.errors import UserError, nearest
from svertka.tasks.task import Task, Update
from svertka.training import penalties
from svertka.training.optimisation import lr_factor, make_optimizer
from svertka.training.recipe import Recipe

_NAME = re.compile(r"[A-Za-z0-9-]+")


@dataclass(frozen=True, eq=False)
class OwnedUpdate:
    """An update with what it owns.

    Attributes:
        update: As the task has it.
        recipe: Of the run, with the update's own optimiser, learning rate and schedule.
        parameters: Of the network by name, also those that are frozen.
        optimizer: Moves those that are not.
    """

    update: Update
    recipe: Recipe
    parameters: Mapping[str, nn.Parameter]
    optimizer: torch.optim.Optimizer

    @property
    def name(self) -> str:
        """See `svertka.tasks.task.Update`."""
        return self.update.name

    def due(self, step: int) -> bool:
        """Whether it runs at a step, counted from 0 over the whole run."""
        return step % self.update.every == 0

    def lr(self, step: int, steps_per_epoch: int, steps: int, plateau: float = 1.0) -> float:
        """The learning rate at a step.

        Args:
            step: Counted from 0 over the whole run.
            steps_per_epoch: Of every epoch but one that ends early.
            steps: Of all epochs.
            plateau: What it was lowered to, where the schedule waits for plateaus.
        """
        lowered = plateau if self.recipe.schedule == "plateau" else 1.0
        return self.recipe.lr * lowered * lr_factor(self.recipe, step, steps_per_epoch, steps)

    def penalties(self) -> dict[str, Tensor]:
        """Penalties on the weights that it owns, as loss terms by name."""
        recipe, terms = self.recipe, {}
        wanted = recipe.l1 or recipe.weight_elimination
        weights = penalties.decayed(self.parameters.values()) if wanted else []
        if not weights:
            return {}
        if recipe.l1:
            terms["l1"] = recipe.l1 * penalties.l1(weights)
        if recipe.weight_elimination:
            penalty = penalties.weight_elimination(weights, recipe.weight_elimination_scale)
            terms["weight_elimination"] = recipe.weight_elimination * penalty
        return terms


def terms_of(update: Update, task: str, net: nn.Module, inputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
    """The loss terms of an update for a batch, once it is sure that something can be learnt by them.

    Args:
        update: Whose loss.
        task: Name of the task that has it.
        net: What learns.
        inputs: Of a batch.
        targets: Of a batch.

    Raises:
        UserError: There are none, one is not one number, or none requires a gradient.
    """
    terms: Any = update.loss(net, inputs, targets)
    if problem := _problem(terms):
        what, mend = problem
        whose = f"the update {update.name!r} of the task {task!r}" if update.name else f"the task {task!r}"
        raise UserError(f"the loss of {whose} {what}", mend=mend)
    return dict(terms)


def _problem(terms: Any) -> tuple[str, str] | None:
    """What is wrong with the terms of a loss, and how to mend it."""
    by_name = "give each term by its name, such as {'cross_entropy': loss}"
    if not isinstance(terms, Mapping):
        return f"gives a {type(terms).__name__}, not its terms by name", by_name
    if not terms:
        return "has no terms, so nothing would learn", by_name
    for name, term in terms.items():
        if not isinstance(term, Tensor):
            return f"gives the term {name!r} as a {type(term).__name__}, no tensor", "give a tensor of one number"
        if term.numel() != 1:
            return f"gives the term {name!r} as {tuple(term.shape)}, not one number", "give its mean over the batch"
    if torch.is_grad_enabled() and not any(term.requires_grad for term in terms.values()):
        return (
            f"requires no gradient (of {', '.join(map(str, terms))}), so nothing would learn",
            "compute it of what the network gives, by PyTorch, and without detach or no_grad",
        )
    return None


def owned_updates(net: nn.Module, task: Task, recipe: Recipe, device: torch.device) -> tuple[OwnedUpdate, ...]:
    """The updates of a task on a network, once it is sure that every parameter that learns has one owner.

    Args:
        net: The network, frozen as it will be in training.
        task: Says the updates.
        recipe: Of the run.
        device: Where training will run.

    Raises:
        UserError: A parameter belongs to no update or to two, or an update names none, or cannot be run.
    """
    updates = tuple(task.updates(net))
    _check(updates, task)
    owned = [_parameters(net, update) for update in updates]
    owners: dict[int, list[str]] = {}
    for update, parameters in zip(updates, owned, strict=True):
        for parameter in parameters.values():
            owners.setdefault(id(parameter), []).append(update.name)
    for name, parameter in net.named_parameters():
        found = owners.get(id(parameter), [])
        if len(found) > 1:
            raise UserError(
                f"the parameter {name!r} belongs to two updates, {found[0]!r} and {found[1]!r}",
                mend="let every parameter belong to one",
            )
        if not found and parameter.requires_grad:
            raise UserError(
                f"the parameter {name!r} belongs to no update",
                mend="let an update own it, or freeze it (requires_grad)",
            )
    return tuple(_made(net, update, recipe, found, device) for update, found in zip(updates, owned, strict=True))


def check_whole(task: Task, recipe: Recipe) -> None:
    """See that no batch is cut up whose pairs count.

    Raises:
        UserError: One would be.
    """
    if task.whole_batch and recipe.accumulate > 1:
        raise UserError(
            f"{task.name!r} learns from pairs within a batch, and --accumulate {recipe.accumulate} would cut it up",
            mend="leave --accumulate out, and give a larger --batch",
        )


def check_one_update(net: nn.Module, task: Task, flag: str) -> None:
    """See that a task has one update, where what is asked for makes sense of one loss alone.

    Raises:
        UserError: It has several.
    """
    names = [update.name for update in task.updates(net)]
    if len(names) > 1:
        raise UserError(
            f"{flag} goes by one loss, and {task.name!r} has an update for each of {', '.join(names)}",
            mend=f"leave {flag} out",
        )


def _check(updates: tuple[Update, ...], task: Task) -> None:
    names = [update.name for update in updates]
    if not updates:
        raise UserError(f"the task {task.name!r} has no updates, so nothing would learn")
    if len(updates) > 1:
        for name in names:
            if not _NAME.fullmatch(name) or names.count(name) > 1:
                raise UserError(
                    f"an update of {task.name!r} is called {name!r}",
                    mend="of several, each needs a name of its own, of letters, digits and -",
                )
    for update in updates:
        if update.every < 1:
            raise UserError(f"the update {update.name!r} runs every {update.every} steps", mend="give at least 1")
    if all(update.every > 1 for update in updates):
        raise UserError(f"no update of {task.name!r} runs at every step", mend="let one have every=1")


def _parameters(net: nn.Module, update: Update) -> dict[str, nn.Parameter]:
    # A parameter that is shared by two layers has two names, and may be owned by either.
    everything = dict(net.named_parameters(remove_duplicate=False))
    if update.parameters is None:
        return dict(net.named_parameters())
    found: dict[str, nn.Parameter] = {}
    for wanted in update.parameters:
        chosen = {
            name: parameter
            for name, parameter in everything.items()
            if name == wanted or name.startswith(f"{wanted.removesuffix('.')}.")
        }
        if not chosen:
            raise UserError(
                f"the update {update.name!r} is to own {wanted!r}, and the network has no such parameters",
                mend=nearest(wanted, [*everything, *dict.fromkeys(name.partition(".")[0] for name in everything)]),
            )
        found |= chosen
    once = {id(parameter): name for name, parameter in reversed(found.items())}
    return {name: parameter for name, parameter in found.items() if once[id(parameter)] == name}


def _made(
    net: nn.Module, update: Update, recipe: Recipe, parameters: dict[str, nn.Parameter], device: torch.device
) -> OwnedUpdate:
    if not any(parameter.requires_grad for parameter in parameters.values()):
        whose = f"that the update {update.name!r} owns " if update.name else ""
        raise UserError(f"nothing {whose}learns: all parameters are frozen", mend="let some require a gradient")
    own = {"lr": update.lr, "schedule": update.schedule}
    if isinstance(update.optimizer, str):
        own["optimizer"] = update.optimizer
    try:
        changed = recipe.changed({name: value for name, value in own.items() if value is not None})
    except UserError as error:
        raise UserError(f"the update {update.name!r}: {error.what}", mend=error.mend) from error
    make = update.optimizer if callable(update.optimizer) else None
    chosen = {id(parameter) for parameter in parameters.values()}
    return OwnedUpdate(update, changed, parameters, make_optimizer(net, changed, device, owned=chosen, make=make))

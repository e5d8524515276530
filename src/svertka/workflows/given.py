"""What a call may be given in the place of a name: a network, a task, a data set of the user's own."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from svertka.data.samples import Dataset
from svertka.errors import UserError
from svertka.plugins import origin, put_in_place
from svertka.task_records.record import TaskRecord, records, resolve

if TYPE_CHECKING:
    import torch

    from svertka.tasks.task import Task
    from svertka.training.recipe import Recipe


def source_of(data: str | PathLike[str] | Dataset | torch.utils.data.Dataset[Any]) -> Path | Dataset:
    """Where a data set lies; or the data set, if it lies in memory.

    Raises:
        UserError: It is none, or cannot be read.
    """
    if isinstance(data, str | PathLike):
        return Path(data)
    from svertka.data.opening import open_dataset

    return open_dataset(data)


def named(changes: Mapping[str, Any], recipe: Recipe | str | PathLike[str] | None) -> dict[str, Any]:
    """Fields of a recipe, with names in the place of a module and of a task, which are registered so.

    Args:
        changes: The fields that were given. ``net`` can be a class of `torch.nn.Module` or an instance, from whose
            weights training begins; ``task`` a `svertka.task_records.record.TaskRecord`, a class of
            `svertka.tasks.task.Task` or an instance.
        recipe: That they change.

    Raises:
        UserError: The module or the task does not keep its contract.
    """
    found = dict(changes)
    net, task = changes.get("net"), changes.get("task")
    if net is not None and not isinstance(net, str):
        found |= _net(net, found, recipe)
    if task is not None and not isinstance(task, str):
        found["task"] = _task(task)
    return found


def _net(net: Any, changes: Mapping[str, Any], recipe: Recipe | str | PathLike[str] | None) -> dict[str, Any]:
    from torch import nn

    from svertka.training.recipe import Recipe
    from svertka.zoo import modules

    instance = net if isinstance(net, nn.Module) else None
    kind = net if instance is None else type(instance)
    if not isinstance(kind, type) or not issubclass(kind, nn.Module):
        raise UserError(
            f"net is {type(net).__name__}", mend="give the name of a network, a torch.nn.Module or a class of one"
        )
    known = modules.record_of_class(kind, instance)
    options = dict(changes.get("net_options") or {})
    if instance is not None:
        if options:
            raise UserError(
                "net_options are given for a module that is built", mend="give its class, or leave them out"
            )
        options = modules.arguments_of(instance)
        modules.check_rebuilt(known, instance, options)
    before = recipe if isinstance(recipe, Recipe) else None
    side, channels = (
        changes.get(name) or (getattr(before, name) if before else None) or getattr(known, name)
        for name in ("image_size", "channels")
    )
    modules.try_out(known, options, side, channels)
    put_in_place(known)
    return {"net": known.name, "net_options": options}


def _task(task: Any) -> str:
    from svertka.tasks.task import Task

    if isinstance(task, TaskRecord):
        put_in_place(task)
        return task.name
    kind = task if isinstance(task, type) else type(task)
    if not issubclass(kind, Task):
        what = f"task is {kind.__name__}"
        raise UserError(what, mend="give the name of a task, a Task, a class of one, or a TaskRecord")
    owners = {resolve(known.learnt).__self__: known for known in records() if _has_class(known)}
    if kind in owners and kind is task:
        return owners[kind].name
    base = _base(kind, owners)
    learnt = kind.learnt_from if isinstance(task, type) else _Given(task)
    put_in_place(dataclasses.replace(base, name=kind.name, learnt=learnt, opened=kind.of_card, asked=True))
    return kind.name


def _has_class(known: TaskRecord) -> bool:
    return isinstance(getattr(resolve(known.learnt), "__self__", None), type)


def _base(kind: type[Task], owners: Mapping[type, TaskRecord]) -> TaskRecord:
    # What a task has not said itself, such as its decoder, is that of the task which it is a kind of.
    base = next((owners[parent] for parent in kind.__mro__ if parent in owners), None)
    if base is None:
        what = f"{kind.__name__} is no kind of a task that is registered"
        raise UserError(what, mend="give a TaskRecord, which names its decoder")
    if kind.name in {known.name for known in owners.values() if origin("task", known.name) is None}:
        raise UserError(f"{kind.__name__} has the name of the task {base.name!r}", mend="give it a name of its own")
    return base


class _Given:
    """A task that was given as it is: it learns the classes of the data."""

    def __init__(self, task: Task) -> None:
        self.task = task

    def __call__(self, labels: object, classes: Sequence[str], *rest: object) -> Task:
        """See `svertka.tasks.task.Task.learnt_from`."""
        del labels, rest
        task = copy.copy(self.task)
        own = getattr(task, "classes", None)
        if own and tuple(own) != tuple(classes):
            raise UserError(f"the task is for the classes {', '.join(own)}, and the data have {', '.join(classes)}")
        task.classes = tuple(classes)
        return task

"""The record of a task: all that is known of it without importing what learns, decodes or explains it."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from svertka import task_records
from svertka.annotations import Annotation
from svertka.errors import UserError, nearest

Reference = str
"""Where something lives: ``"module:name"``."""

_OF_LABELS: Reference = "svertka.data.batching.handling:Handling"


@dataclass(frozen=True, kw_only=True)
class TaskRecord:
    """A task, as it is registered.

    Attributes:
        name: As cards name it.
        gives: What its networks predict of an image, in a word.
        contract: What kind of network learns it; see `svertka.zoo.records.NetRecord`.
        suits: Whether these annotations ask for it; those of no two tasks do.
        learnt: Makes the `svertka.tasks.task.Task` of labels, classes, preprocessing and
            `svertka.tasks.task.Choices`.
        opened: Makes it of a card.
        handling: How such data are prepared and handed to a network; see `svertka.data.batching.handling.Handling`.
        decoder: From raw outputs, card and sizes to results; see `svertka.runtime.decoding.Decoder`.
        subject: What is explained of such a network: a `svertka.workflows.explaining.subject.Subject`.
        fields: Fields of a recipe that it learns by, and others may not.
        thresholds: Predictions depend on thresholds, one a class.
        published: It is the task of published weights of such networks.
        files: Formats of its predictions beside CSV and JSON, by the end of the file's name; each as
            `svertka.commands.predict.tables.Writer`.
        from_scratch, fine_tuning: Recipe fields whose defaults differ from those of `svertka.Recipe`.
    """

    name: str
    gives: str
    contract: str
    suits: Callable[[Sequence[Annotation]], bool]
    learnt: Reference
    opened: Reference
    handling: Reference = _OF_LABELS
    decoder: Reference
    subject: Reference
    fields: tuple[str, ...] = ()
    thresholds: bool = False
    published: bool = True
    files: Mapping[str, Reference] = field(default_factory=dict)
    from_scratch: Mapping[str, Any] = field(default_factory=dict)
    fine_tuning: Mapping[str, Any] = field(default_factory=dict)


@functools.cache
def records() -> tuple[TaskRecord, ...]:
    """All tasks, in the order of their names."""
    names = sorted(module.name for module in pkgutil.iter_modules(task_records.__path__) if module.name != "record")
    return tuple(importlib.import_module(f"{task_records.__name__}.{name}").RECORD for name in names)


def record(name: str) -> TaskRecord:
    """The task that cards name so.

    Raises:
        UserError: This release does not know it.
    """
    found = next((record for record in records() if record.name == name), None)
    if found is None:
        raise UserError(f"unknown task {name!r} in the card", mend=nearest(name, [known.name for known in records()]))
    return found


def record_for(labels: Sequence[Annotation]) -> TaskRecord | None:
    """The task that annotations ask for; None if there is none for them."""
    return next((record for record in records() if record.suits(labels)), None)


def of_contract(contract: str) -> tuple[TaskRecord, ...]:
    """The tasks that a kind of network can be trained for; that of its published weights first."""
    found = [record for record in records() if record.contract == contract]
    return tuple(sorted(found, key=lambda record: not record.published))


@functools.cache
def resolve(reference: Reference) -> Any:
    """What lives there, imported now."""
    module, _, names = reference.partition(":")
    found: Any = importlib.import_module(module)
    for name in names.split("."):
        found = getattr(found, name)
    return found


def handling_of(task: TaskRecord | None) -> Any:
    """How data of a task are prepared and handed to a network; without a task, as labels are."""
    return resolve(_OF_LABELS if task is None else task.handling)()

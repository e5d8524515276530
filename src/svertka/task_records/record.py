"""The record of a task: all that is known of it without importing what learns, decodes or explains it."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from svertka import task_records
from svertka.annotations import Annotation
from svertka.errors import UserError, nearest
from svertka.plugins import Registry, lacks, missing_hint
from svertka.signatures import checked_class
from svertka.wording import inflected

Reference = str | Callable[..., Any]
"""Where something lives, ``"module:name"``; or the thing itself."""

_HANDLINGS: Mapping[str, Reference] = {
    "image": "svertka.data.batching.handling:ImageHandling",
    "series": "svertka.data.batching.series:SeriesHandling",
}
"""How samples with labels are handled, by medium."""


@checked_class
@dataclass(frozen=True, kw_only=True)
class TaskRecord:
    """A task, as it is registered; see `svertka.plugins.register`.

    Attributes:
        name: As cards name it.
        gives: What its networks predict of an image, in a word.
        media: What it predicts of: ``image``, or ``series``.
        contract: What kind of network learns it; see `svertka.zoo.records.NetRecord`.
        suits: Whether these annotations can be learnt by it. Those of no two tasks of Svertka's can, but where a
            plug-in's can as well, Svertka's own comes first.
        asked: It is learnt where it is asked for by name alone, whatever the annotations are.
        learnt: Makes the `svertka.tasks.task.Task` of labels, classes, preprocessing and
            `svertka.tasks.task.Choices`.
        opened: Makes it of a card.
        handling: How such data are prepared and handed to a network, a `svertka.data.batching.handling.Handling`; where
            none is named, as its medium is with labels.
        decoder: From raw outputs, card and sizes to results; see `svertka.runtime.decoding.Decoder`.
        subject: What is explained of such a network: a `svertka.workflows.explaining.subject.Subject`;
            None where nothing is.
        session: How its results are given over time: a `svertka.runtime.session.Session`.
        fields: Fields of a recipe that it learns by, and others may not.
        thresholds: Predictions depend on thresholds, one a class.
        published: It is the task of published weights of such networks.
        files: Formats of its predictions beside CSV and JSON, by the end of the file's name; each as
            `svertka.commands.predict.tables.Writer`.
        from_scratch, fine_tuning: Recipe fields whose defaults differ from those of `svertka.Recipe`.
    """

    registers: ClassVar[str] = "task"

    name: str
    gives: str
    media: str = "image"
    contract: str
    suits: Callable[[Sequence[Annotation]], bool]
    asked: bool = False
    learnt: Reference
    opened: Reference
    handling: Reference | None = None
    decoder: Reference
    subject: Reference | None = None
    session: Reference = "svertka.runtime.session:Session"
    fields: tuple[str, ...] = ()
    thresholds: bool = False
    published: bool = True
    files: Mapping[str, Reference] = field(default_factory=dict)
    from_scratch: Mapping[str, Any] = field(default_factory=dict)
    fine_tuning: Mapping[str, Any] = field(default_factory=dict)

    def check_parts(self) -> None:
        """See `svertka.plugins.Registrable.check_parts`."""
        for part in ("gives", "media", "contract"):
            if not isinstance(getattr(self, part), str) or not getattr(self, part):
                raise lacks("task", self.name, part, "a word")
        for part in ("learnt", "opened", "handling", "decoder", "subject", "session"):
            value, optional = getattr(self, part), part in ("handling", "subject")
            if not (is_reference(value) or (optional and value is None)):
                raise lacks("task", self.name, part, 'where it lives, "module:name", or the thing itself')
        if self.media not in _HANDLINGS:
            what = f"the task {self.name!r} predicts of the unknown medium {self.media!r}"
            raise UserError(what, mend=nearest(self.media, _HANDLINGS))
        if not callable(self.suits):
            raise lacks("task", self.name, "suits", "a function of annotations")
        if self.contract not in _NET_KINDS:
            what = f"the task {self.name!r} is learnt by networks of the unknown kind {self.contract!r}"
            raise UserError(what, mend=nearest(self.contract, _NET_KINDS))


_NET_KINDS: Registry[Any] = Registry("network kind")
_TASKS: Registry[TaskRecord] = Registry("task")


def is_reference(value: object) -> bool:
    """Whether it says where something lives, or is something that can be called."""
    return callable(value) or (
        isinstance(value, str) and all(part.strip() for part in value.split(":", 1)) and ":" in value
    )


def _own() -> tuple[TaskRecord, ...]:
    names = sorted(module.name for module in pkgutil.iter_modules(task_records.__path__) if module.name != "record")
    return tuple(importlib.import_module(f"{task_records.__name__}.{name}").RECORD for name in names)


OWN = {"task": _own}
"""Svertka's own things for `svertka.plugins`, by kind."""


def records() -> tuple[TaskRecord, ...]:
    """All tasks: Svertka's own in the order of their names, then those of plug-ins."""
    return tuple(_TASKS.values())


def record(name: str, provenance: Mapping[str, Any] | None = None) -> TaskRecord:
    """The task that cards name so.

    Args:
        name: As a card has it.
        provenance: Of that card; it may say which plug-in the task is from.

    Raises:
        UserError: There is none here.
    """
    if name not in _TASKS:
        hint = missing_hint(provenance or {})
        raise UserError(f"unknown task {name!r} in the card", mend=hint or nearest(name, _TASKS))
    return _TASKS[name]


def record_for(labels: Sequence[Annotation], media: str = "image", name: str | None = None) -> TaskRecord | None:
    """The task that annotations ask for; None if there is none for them.

    Args:
        labels: The annotations.
        media: What they are said of.
        name: Of the task that is wanted; by default, the first that suits and need not be asked for.

    Raises:
        UserError: There is no task of that name, or it does not learn from these.
    """
    if name is None:
        found = (record for record in records() if record.media == media and not record.asked)
        return next((record for record in found if record.suits(labels)), None)
    wanted = named(name)
    if wanted.media != media:
        told = inflected(2, wanted.media), inflected(2, media)
        raise UserError(f"the task {name} learns from {told[0]}, and these are {told[1]}")
    if not wanted.suits(labels):
        suited = record_for(labels, media)
        raise UserError(
            f"the task {name} does not learn from these annotations",
            mend=f"they are for {suited.name}" if suited else "svertka check says what they are",
        )
    return wanted


def named(name: str) -> TaskRecord:
    """The task that a user calls so.

    Raises:
        UserError: There is none.
    """
    if name not in _TASKS:
        raise UserError(f"unknown task {name!r}", mend=nearest(name, _TASKS))
    return _TASKS[name]


def of_contract(contract: str, media: str = "image") -> tuple[TaskRecord, ...]:
    """The tasks that a kind of network can be trained for; that of its published weights first.

    Args:
        contract: The kind.
        media: What the network takes.
    """
    found = [record for record in records() if record.contract == contract and record.media == media]
    return tuple(sorted(found, key=lambda record: not record.published))


def resolve(reference: Reference) -> Any:
    """What lives there, imported now.

    Raises:
        UserError: There is nothing: a plug-in's record names what its package does not have.
    """
    return _imported(reference) if isinstance(reference, str) else reference


@functools.cache
def _imported(reference: str) -> Any:
    module, _, names = reference.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for name in names.split("."):
            found = getattr(found, name)
    except (ModuleNotFoundError, AttributeError) as error:
        raise UserError(f"a plug-in's record names {reference!r}, and there is no such thing: {error}") from error
    return found


def handling_of(task: TaskRecord | None, media: str) -> Any:
    """How data of a task are prepared and handed to a network; without a task, as their medium is with labels."""
    named = None if task is None else task.handling
    return resolve(_HANDLINGS[media] if named is None else named)()

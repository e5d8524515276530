"""Conformance checks of tasks: what a record names is there, and fits together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svertka.annotations import Annotation, class_names
from svertka.runtime.inputs import InputTransform
from svertka.runtime.preprocess import Preprocess
from svertka.runtime.series import SeriesTransform
from svertka.task_records.record import TaskRecord, record_for, resolve
from svertka.task_records.record import record as task_called
from svertka.tasks.task import Choices, Task
from svertka.training.recipe import Recipe
from svertka.wording import counted
from svertka.workflows.explaining.subject import Subject

_SAMPLES, _BATCH = 64, 16  # that a sampler is tried on

_TRANSFORMS: dict[str, InputTransform] = {
    "image": Preprocess(height=32, width=32),
    "series": SeriesTransform(channels=1, length=32, mean=(0.0,), std=(1.0,)),
}
"""Of the media that are Svertka's own."""


def check_task(task: TaskRecord | str, labels: Sequence[Annotation] = ()) -> None:
    """Check that a task keeps its contract: all that its record names is there and fits together.

    Args:
        task: Its record, or its name.
        labels: A few annotations that it learns from; with them, targets and batches are made of them, and it is seen
            that it, and no other task of the same media, is chosen for them.

    Raises:
        AssertionError: It does not.
        UserError: There is no such task, or its record lacks a part.
    """
    record = task_called(task) if isinstance(task, str) else task
    record.check_parts()
    name = f"the task {record.name}"
    kind = getattr(resolve(record.learnt), "__self__", None)
    if isinstance(kind, type):
        assert issubclass(kind, Task), f"{name}: {kind.__name__} is no Task"
        assert kind.name == record.name, f"{name}: its class is called {kind.name!r}"
        assert kind.net_kind == record.contract, f"{name}: its class learns {kind.net_kind!r}, not {record.contract!r}"
    for part in ("learnt", "opened", "decoder", "session", "handling"):
        if getattr(record, part) is not None:
            assert callable(resolve(getattr(record, part))), f"{name}: its {part} cannot be called"
    subject = None if record.subject is None else resolve(record.subject)
    assert not isinstance(subject, type) or issubclass(subject, Subject), f"{name}: its subject is no Subject"
    for ending, writer in record.files.items():
        assert callable(resolve(writer)), f"{name}: what writes {ending} cannot be called"
    unknown = {*record.fields, *record.from_scratch, *record.fine_tuning} - {*Recipe.__dataclass_fields__}
    assert not unknown, f"{name}: a recipe has no {', '.join(sorted(unknown))}"
    Recipe.of({}).changed(record.from_scratch).changed(record.fine_tuning)
    if labels:
        _check_labels(record, labels)


def _check_labels(record: TaskRecord, labels: Sequence[Annotation]) -> None:
    name = f"the task {record.name}"
    assert record.suits(labels), f"{name}: it does not suit annotations that it learns from"
    if not record.asked:
        found = record_for(labels, record.media)
        assert found is None or found.name == record.name, (
            f"{name}: the task {found.name} is chosen for its annotations"
        )
    assert record_for(labels, record.media, record.name) == record, f"{name}: it cannot be asked for by name"
    if record.media not in _TRANSFORMS:
        return
    made = resolve(record.learnt)(labels, class_names(labels), _TRANSFORMS[record.media], Choices())
    assert made.name == record.name, f"{name}: what is learnt is called {made.name!r}"
    targets = made.targets(labels)
    assert isinstance(targets, np.ndarray), f"{name}: its targets are no array"
    assert len(targets) == len(labels), (
        f"{name}: of {counted(len(labels), 'annotation')} it makes {counted(len(targets), 'target')}"
    )
    assert np.array_equal(targets, made.targets(labels)), f"{name}: it makes other targets each time"
    _check_sampler(name, made, targets)


def _check_sampler(name: str, task: Task, targets: NDArray[Any]) -> None:
    """See that batches follow from seed, epoch and targets alone, and name samples that there are."""
    many = np.concatenate([targets] * (-(-_SAMPLES // len(targets))))
    first, again = (task.sampler(many, batch=_BATCH, seed=1) for _ in range(2))
    if first is None or again is None:
        return
    later, now = first.batches(1), first.batches(0)
    for batches, epoch in ((now, 0), (later, 1)):
        others = again.batches(epoch)
        assert len(batches) == len(others) == len(first), (
            f"{name}: of its sampler's {counted(len(first), 'batch')} an epoch, epoch {epoch} has {len(batches)}"
        )
        assert all(map(np.array_equal, batches, others)), (
            f"{name}: its sampler makes other batches of the same seed and epoch each time"
        )
        for number, indices in enumerate(batches):
            known = indices.dtype.kind in "iu" and ((indices >= 0) & (indices < len(many))).all()
            assert known, f"{name}: batch {number} of its sampler has samples that there are not"
            assert len(indices) == first.size(number), (
                f"{name}: batch {number} of its sampler has {counted(len(indices), 'sample')}, and its size is "
                f"{first.size(number)}"
            )

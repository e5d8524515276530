"""Conformance checks of tasks: what a record names is there, and fits together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from svertka.annotations import Annotation, class_names
from svertka.runtime.preprocess import Preprocess
from svertka.task_records.record import TaskRecord, record_for, resolve
from svertka.task_records.record import record as task_called
from svertka.tasks.task import Choices, Task
from svertka.training.recipe import Recipe
from svertka.wording import counted
from svertka.workflows.explaining.subject import Subject


def check_task(task: TaskRecord | str, labels: Sequence[Annotation] = ()) -> None:
    """Check that a task keeps its contract: all that its record names is there and fits together.

    Args:
        task: Its record, or its name.
        labels: A few annotations that it learns from; with them, targets are made of them, and it is seen that it,
            and no other task of the same media, is chosen for them.

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
    if record.media != "image":
        return
    made = resolve(record.learnt)(labels, class_names(labels), Preprocess(height=32, width=32), Choices())
    assert made.name == record.name, f"{name}: what is learnt is called {made.name!r}"
    targets = made.targets(labels)
    assert isinstance(targets, np.ndarray), f"{name}: its targets are no array"
    assert len(targets) == len(labels), (
        f"{name}: of {counted(len(labels), 'annotation')} it makes {counted(len(targets), 'target')}"
    )
    assert np.array_equal(targets, made.targets(labels)), f"{name}: it makes other targets each time"

"""Which task it is: by what is said of the images, or by what a card names."""

from __future__ import annotations

from collections.abc import Sequence

from svertka.annotations import Annotation
from svertka.errors import UserError
from svertka.runtime.card import Card
from svertka.runtime.inputs import InputTransform
from svertka.runtime.outputs import LONGEST_CLASS
from svertka.task_records.record import record, record_for, resolve
from svertka.tasks.task import Choices, Task
from svertka.wording import inflected


def task_for(
    labels: Sequence[Annotation],
    classes: Sequence[str],
    transform: InputTransform,
    choices: Choices | None = None,
    *,
    name: str | None = None,
) -> Task:
    """The task that training samples ask for.

    Args:
        labels: What is said of them.
        classes: All names in them, in the order of the outputs.
        transform: How samples become inputs.
        choices: How it is learnt; see there.
        name: Of the task, where it is asked for by that.

    Raises:
        UserError: No task here learns what is said of the images, or it cannot be learnt so.
    """
    if longest := next((name for name in classes if len(name) > LONGEST_CLASS), None):
        raise UserError(f"the class {longest[:40]}… has a name of more than {LONGEST_CLASS:,} characters")
    asked = record_for(labels, transform.media, name)
    if asked is None and transform.media != "image":
        raise UserError(
            f"no task here learns from {inflected(2, transform.media)} with such annotations",
            mend="install the plug-in that has one",
        )
    if asked is None:
        raise UserError(
            "the images have pictures or several kinds of annotations, and networks here learn classes, labels, masks "
            "or boxes",
            mend="svertka check reads them; to train, give class folders, labels, masks or boxes",
        )
    made: Task = resolve(asked.learnt)(labels, classes, transform, choices or Choices())
    if made.name != asked.name:  # its card would name a task that there is not, or another
        raise UserError(
            f"the record of the task {asked.name!r} makes one called {made.name!r}", mend="give its class that name"
        )
    made.media = transform.media
    return made


def task_of(card: Card) -> Task:
    """The task of a model file.

    Raises:
        UserError: This release does not know it.
    """
    opened: Task = resolve(record(card.task, card.provenance).opened)(card)
    opened.media = card.input.media
    return opened

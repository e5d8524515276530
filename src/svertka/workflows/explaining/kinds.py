"""What there is to explain of a network, by the task that its card names."""

from __future__ import annotations

from svertka.errors import UserError
from svertka.layers.net import Net
from svertka.runtime.card import Card
from svertka.task_records.record import record, resolve
from svertka.workflows.explaining.subject import Subject


def subject_of(net: Net, card: Card) -> Subject:
    """The network of a model file as what is explained.

    Raises:
        UserError: Its task is not installed here, or nothing explains it.
    """
    task = record(card.task, card.provenance)
    if task.subject is None:
        raise UserError(f"nothing explains a network of the task {task.name}", mend="its record names no subject")
    subject: Subject = resolve(task.subject)(net, card)
    return subject

"""What there is to explain of a network, by the task that its card names."""

from __future__ import annotations

from svertka.layers.net import Net
from svertka.runtime.card import Card
from svertka.task_records.record import record, resolve
from svertka.workflows.explaining.subject import Subject


def subject_of(net: Net, card: Card) -> Subject:
    """The network of a model file as what is explained.

    Raises:
        UserError: This release does not know its task.
    """
    subject: Subject = resolve(record(card.task, card.provenance).subject)(net, card)
    return subject

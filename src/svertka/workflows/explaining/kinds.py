"""What there is to explain, by the kind of network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from svertka.layers.net import Net
from svertka.runtime.card import Card
from svertka.workflows.explaining.boxes import BoxSubject
from svertka.workflows.explaining.classes import ClassSubject
from svertka.workflows.explaining.masks import MaskSubject
from svertka.workflows.explaining.subject import Subject
from svertka.zoo import registry
from svertka.zoo.records import Kind

_SUBJECTS: Mapping[Kind, Callable[[Any, Card], Subject]] = {
    "classifier": ClassSubject,
    "segmenter": MaskSubject,
    "detector": BoxSubject,
}


def subject_of(net: Net, card: Card) -> Subject:
    """The network of a model file as what is explained.

    Raises:
        UserError: It cannot be.
    """
    return _SUBJECTS[registry.record(card.net).kind](net, card)

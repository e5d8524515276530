"""What there is to explain, by the kind of network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from svertka.layers.net import Net
from svertka.runtime.card import Card
from svertka.verbs._explain_boxes import BoxSubject
from svertka.verbs._explain_classes import ClassSubject
from svertka.verbs._explain_masks import MaskSubject
from svertka.verbs._explain_subject import Subject
from svertka.zoo import registry

_SUBJECTS: Mapping[registry.Kind, Callable[[Any, Card], Subject]] = {
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

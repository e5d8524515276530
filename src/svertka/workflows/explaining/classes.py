"""Explaining classifiers: the logit of a class."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from svertka.explaining.targets import ClassLogit
from svertka.layers.transfer import TransferHead
from svertka.layers.trunk import Classifier
from svertka.runtime.card import Card
from svertka.tasks.making import task_of
from svertka.workflows.explaining.subject import Subject


class ClassSubject(Subject):
    """A network that says which class, or which labels, a whole image has."""

    net: Classifier

    def __init__(self, net: Classifier, card: Card) -> None:
        super().__init__(net, card)
        self.exclusive = task_of(card).exclusive

    @property
    def taps(self) -> Sequence[str]:
        """See `Subject.taps`."""
        head = self.net.head
        return head.taps if isinstance(head, TransferHead) else self.net.trunk.names

    def target(self, said: Tensor, named: int | None) -> ClassLogit:
        """The logit of the likeliest class of each image, or of the class ``named``; of logits ``(N, classes)``."""
        return ClassLogit(said.argmax(dim=1) if named is None else torch.full((len(said),), named))

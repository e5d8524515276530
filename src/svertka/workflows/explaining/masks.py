"""Explaining networks for masks: the logits of a class, over the pixels that are said to be of it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from svertka.explaining.targets import ClassLogit
from svertka.layers.dense import Segmenter
from svertka.runtime.card import Card
from svertka.workflows.explaining.subject import Subject


class MaskSubject(Subject):
    """A network that says which class every pixel has."""

    net: Segmenter
    drawn_as = "what it says of each pixel"

    def __init__(self, net: Segmenter, card: Card) -> None:
        super().__init__(net, card)
        self.margin = net.margin

    @property
    def taps(self) -> Sequence[str]:
        """See `Subject.taps`."""
        return self.net.taps

    def target(self, said: Tensor, named: int | None) -> ClassLogit:
        """The sum over those pixels that are said to be of the class, or over all where there are none.

        The class is the most frequent one that is no background; of logits ``(N, classes, H, W)``.
        """
        each = said.argmax(dim=1)
        counts = torch.stack([(each == number).flatten(1).sum(dim=1) for number in range(said.shape[1])], dim=1)
        if self.card.classes[0].lower() == "background" and said.shape[1] > 1:
            counts[:, 0] = -1
        classes = counts.argmax(dim=1) if named is None else torch.full((len(said),), named)
        pixels = each == classes[:, None, None]
        pixels |= ~pixels.flatten(1).any(dim=1)[:, None, None]
        return ClassLogit(classes, pixels.to(said.dtype))

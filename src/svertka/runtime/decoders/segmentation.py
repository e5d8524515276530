"""Decoding masks: logits to the likeliest class of every pixel."""

from __future__ import annotations

import numpy as np

from svertka.results import Result, Segmentation
from svertka.runtime.card import Card
from svertka.runtime.decoding import Outputs, Sizes, logits_of


def segmentation(outputs: Outputs, card: Card, sizes: Sizes) -> list[Result]:
    """``logits`` ``(N, classes, H, W)`` to the likeliest class of every pixel of each image."""
    del sizes  # the logits have them
    return [Segmentation(row.argmax(axis=0).astype(np.uint8), card.classes) for row in logits_of(outputs, card, axes=4)]

"""Decoding classes: logits to the likeliest class of each image."""

from __future__ import annotations

import numpy as np

from svertka.results import Classes, ClassScore, NoneOfThese, Result
from svertka.runtime.card import Card
from svertka.runtime.decoding import Outputs, Sizes, distances, logits_of, softmax


def classification(outputs: Outputs, card: Card, sizes: Sizes) -> list[Result]:
    """``logits`` ``(N, classes)`` to the classes of each image, the likeliest first.

    With a ``reject_limit`` on the card, an image whose ``distance`` ``(N,)`` is larger is none of them.
    """
    del sizes
    found = []
    for row in softmax(logits_of(outputs, card)):
        order = np.argsort(-row, kind="stable")
        found.append(Classes(tuple(ClassScore(card.classes[i], float(row[i])) for i in order)))
    limit = card.reject_limit
    if limit is None:
        return list(found)
    return [
        NoneOfThese(distance, limit, classes) if distance > limit else classes
        for classes, distance in zip(found, distances(outputs, len(found)).tolist(), strict=True)
    ]

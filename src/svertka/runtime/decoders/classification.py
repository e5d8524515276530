"""Decoding classes: logits to the likeliest class of each image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from svertka.errors import UserError
from svertka.results import Classes, ClassScore, NoneOfThese, Result
from svertka.runtime.card import Card
from svertka.runtime.decoding import Outputs, Sizes, logits_of, softmax
from svertka.wording import counted


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


def distances(outputs: Outputs, count: int) -> NDArray[np.float32]:
    """The ``distance`` of each of ``count`` images from the nearest class mean, ``(count,)``.

    Raises:
        UserError: The outputs have none, or they are no distances.
    """
    found = outputs.get("distance", np.empty(0, np.float32))
    if found.shape != (count,) or not (np.isfinite(found) & (found >= 0)).all():
        raise UserError(
            f"the network gave distances of shape {found.shape} that are not finite ones of {counted(count, 'image')}",
            mend="run `svertka verify` on the model",
        )
    return found

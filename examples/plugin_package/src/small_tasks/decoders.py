"""From raw outputs to results, without torch."""

from __future__ import annotations

from small_tasks.results import DrawnPicture, Vector, grey
from svertka.results import Result
from svertka.runtime.card import Card
from svertka.runtime.decoding import Outputs, Sizes


def drawn(outputs: Outputs, card: Card, sizes: Sizes) -> list[Result]:
    """Pictures ``(N, 1, H, W)`` between −1 and 1 to grey ones."""
    del card, sizes
    return [DrawnPicture(grey(one)) for one in outputs["picture"][:, 0]]


def vectors(outputs: Outputs, card: Card, sizes: Sizes) -> list[Result]:
    """``vector`` ``(N, D)`` to a result an image."""
    del card, sizes
    return [Vector(row) for row in outputs["vector"]]

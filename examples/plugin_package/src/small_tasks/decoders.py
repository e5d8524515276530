"""From raw outputs to results, without torch."""

from __future__ import annotations

import numpy as np

from small_tasks.results import DrawnPicture, Vector
from svertka.results import Result
from svertka.runtime.card import Card
from svertka.runtime.decoding import Outputs, Sizes


def drawn(outputs: Outputs, card: Card, sizes: Sizes) -> list[Result]:
    """Pictures ``(N, 1, H, W)`` between −1 and 1 to grey ones."""
    del card, sizes
    pixels = np.clip(np.rint((outputs["picture"][:, 0] + 1) * 127.5), 0, 255).astype(np.uint8)
    return [DrawnPicture(one) for one in pixels]


def vectors(outputs: Outputs, card: Card, sizes: Sizes) -> list[Result]:
    """``vector`` ``(N, D)`` to a result an image."""
    del card, sizes
    return [Vector(row) for row in outputs["vector"]]

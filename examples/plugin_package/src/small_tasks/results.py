"""Two kinds of results: a picture, and a vector."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svertka.results import Result

_TIMES = 8  # as large is what is shown


def grey(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Values between −1 and 1 as pixels."""
    return np.clip(np.rint((values + 1) * 127.5), 0, 255).astype(np.uint8)


def enlarged(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Grey pixels ``(H, W)`` as an RGB picture, each a square of some."""
    return np.repeat(np.kron(pixels, np.ones((_TIMES, _TIMES), np.uint8))[..., None], 3, axis=2)


@dataclass(frozen=True)
class DrawnPicture(Result):
    """A picture that a network drew.

    Attributes:
        pixels: ``(H, W)`` uint8, grey.
    """

    pixels: NDArray[np.uint8]

    def to_json(self) -> dict[str, Any]:
        """See `Result.to_json`."""
        height, width = self.pixels.shape
        return {"picture": {"height": height, "width": width, "base64": base64.b64encode(self.pixels).decode()}}

    def line(self) -> str:
        """See `Result.line`."""
        return f"a picture of {self.pixels.shape[1]}×{self.pixels.shape[0]}, mean {self.pixels.mean() / 255:.2f}"

    def draw(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The picture itself, enlarged; what it was made from is noise."""
        del image
        return enlarged(self.pixels)


@dataclass(frozen=True)
class Vector(Result):
    """What a network makes of an image: a vector whose distances mean something.

    Attributes:
        values: ``(D,)`` float32.
    """

    values: NDArray[np.float32]

    def to_json(self) -> dict[str, Any]:
        """See `Result.to_json`."""
        return {"vector": [round(float(value), 6) for value in self.values]}

    def line(self) -> str:
        """See `Result.line`."""
        return f"[{', '.join(f'{value:.2f}' for value in self.values)}]"

    def draw(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The image; nothing of a vector can be drawn on it."""
        return image

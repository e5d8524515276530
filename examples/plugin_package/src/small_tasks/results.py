"""Two kinds of results: a picture, and a vector."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from svertka.results import Result

_SHOWN = 8  # times as large


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
        large = Image.fromarray(self.pixels).resize(
            (_SHOWN * self.pixels.shape[1], _SHOWN * self.pixels.shape[0]), Image.Resampling.NEAREST
        )
        return np.repeat(np.asarray(large)[..., None], 3, axis=2)


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

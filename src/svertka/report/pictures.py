"""Pictures as data URIs: small ones pixel by pixel, large ones reduced."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

LONGEST = 320
_PIXEL_ART = 64
_WIDE = 1.8


@dataclass(frozen=True)
class Embedded:
    """An image inside the page. ``pixelated`` ones are shown with their pixels as squares."""

    uri: str
    width: int
    height: int
    pixelated: bool
    wide: bool


def embed(image: NDArray[np.uint8], panels: int = 1) -> Embedded:
    """Embed an ``(H, W, 3)`` uint8 RGB image, at most 320 pixels long; of ``panels`` side by side, each."""
    picture = Image.fromarray(np.ascontiguousarray(image))
    small = max(picture.width // panels, picture.height) <= _PIXEL_ART
    picture.thumbnail((panels * LONGEST, LONGEST), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    if small:
        picture.save(file, "PNG", optimize=True)
    else:
        picture.save(file, "WEBP", quality=78, method=2)
    width, height = picture.size
    kind = "png" if small else "webp"
    return Embedded(
        uri=f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}",
        width=width,
        height=height,
        pixelated=small,
        wide=width > _WIDE * height,
    )

"""Pictures as data URIs: small ones pixel by pixel, large ones reduced."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from svertka.exhibits import Picture

_LONGEST = 320
_PIXEL_ART = 64
_WIDE = 1.8
_FEW = 3


@dataclass(frozen=True)
class Embedded:
    """An image inside the page. ``pixelated`` ones are shown with their pixels as squares."""

    uri: str
    width: int
    height: int
    pixelated: bool
    wide: bool


def embed(image: NDArray[np.uint8], panels: int = 1, *, longest: int = _LONGEST) -> Embedded:
    """Embed an ``(H, W, 3)`` uint8 RGB image, at most ``longest`` pixels long; of ``panels`` side by side, each."""
    picture = Image.fromarray(np.ascontiguousarray(image))
    small = max(picture.width // panels, picture.height) <= _PIXEL_ART
    picture.thumbnail((panels * longest, longest), Image.Resampling.LANCZOS)
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


def gallery(pictures: Sequence[Picture]) -> dict[str, object]:
    """Pictures with what is embedded of each, and how large they stand side by side."""
    embedded = [(picture, embed(picture.image, picture.panels)) for picture in pictures]
    # A drawing or two have room to be seen whole, and a few dozen pixels need none.
    if all(image.pixelated and not image.wide for _, image in embedded):
        size = "small"
    elif len(embedded) <= _FEW and all(max(image.width, image.height) > _LONGEST // 2 for _, image in embedded):
        size = "large"
    else:
        size = ""
    return {"pictures": embedded, "size": size}

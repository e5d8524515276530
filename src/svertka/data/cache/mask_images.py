"""Masks are decoded once, and kept as images of one channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from svertka.annotations import Mask, MaskSource
from svertka.data.cache.images import Images, load_images
from svertka.data.cache.loaded import Advance
from svertka.runtime.image import ImageError
from svertka.runtime.preprocess import Preprocess


@dataclass(frozen=True)
class _Numbers:
    """A mask as an image of one channel, so that it is kept as images are."""

    source: MaskSource

    def stamp(self) -> str:
        try:
            return f"mask {self.source.digest()}"
        except ImageError as error:
            return f"mask that cannot be read: {error}"

    def load(self) -> tuple[NDArray[np.uint8], str]:
        return np.repeat(self.source.load()[..., None], 3, axis=2), self.source.digest()


def load_masks(masks: Sequence[Mask], *, advance: Advance | None = None) -> Images:
    """Decode all masks, or find them decoded: whole, one channel, the numbers of their classes."""
    # Of three equal channels, the luma is the very number.
    preprocess = Preprocess(height=1, width=1, channels=1, fit="whole", mean=(0,), std=(1,))
    return load_images([_Numbers(mask.source) for mask in masks], preprocess, advance=advance)

"""Colours that tell classes apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def class_colours(count: int) -> NDArray[np.uint8]:
    """A colour for each of ``count`` classes, ``(count, 3)``, as PASCAL VOC's masks have them; the first is black."""
    numbers = np.arange(count)
    colours = np.zeros((count, 3), np.int64)
    for bit in range(8):
        for channel in range(3):
            colours[:, channel] |= ((numbers >> (3 * bit + channel)) & 1) << (7 - bit)
    return colours.astype(np.uint8)

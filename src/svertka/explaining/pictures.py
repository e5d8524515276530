"""Numbers as pictures, ``(H, W, 3)`` uint8 RGB."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Picture = NDArray[np.uint8]

_STOPS = np.linspace(0, 1, 5)
_COLOURS = np.array([(8, 8, 20), (84, 24, 110), (190, 50, 92), (250, 145, 40), (255, 248, 190)], np.float64)
_GREY = 128
_GAP = 2  # pixels between tiles


def share(values: NDArray[np.floating], *, most: float = 100.0) -> NDArray[np.float64]:
    """Values brought to 0…1, from the least to their percentile ``most``; all 0 where they are alike."""
    values = np.asarray(values, np.float64)
    low, high = values.min(), np.percentile(values, most)
    result: NDArray[np.float64] = np.clip((values - low) / (high - low), 0, 1) if high > low else np.zeros_like(values)
    return result


def heat(shares: NDArray[np.floating]) -> Picture:
    """Shares ``(H, W)`` of one as colours, from dark to light."""
    mixed = [np.interp(shares, _STOPS, _COLOURS[:, channel]) for channel in range(3)]
    result: Picture = np.stack(mixed, axis=-1).round().astype(np.uint8)
    return result


def overlaid(image: Picture, shares: NDArray[np.floating]) -> Picture:
    """Shares ``(H, W)`` laid over a picture of that size in colours: the more, the less of it is seen."""
    weight = 0.25 + 0.45 * np.asarray(shares, np.float64)[..., None]
    grey = image.mean(axis=-1, keepdims=True)
    result: Picture = (weight * heat(shares) + (1 - weight) * grey).round().astype(np.uint8)
    return result


def grey(shares: NDArray[np.floating]) -> Picture:
    """Shares ``(H, W)`` of one as grey."""
    return np.repeat((255 * np.asarray(shares)).round().astype(np.uint8)[..., None], 3, axis=-1)


def signed(values: NDArray[np.floating], *, most: float = 100.0) -> Picture:
    """Values ``(C, H, W)``, one channel or RGB, about grey: darker is negative, lighter positive.

    Of other numbers of channels, their mean is shown. ``most`` is the percentile of sizes that is black or white.
    """
    values = np.asarray(values, np.float64)
    if len(values) != 3:
        values = np.repeat(values.mean(axis=0, keepdims=True), 3, axis=0)
    scale = np.percentile(np.abs(values), most) or np.abs(values).max() or 1.0
    result: Picture = np.clip(_GREY + 127 * values / scale, 0, 255).round().astype(np.uint8).transpose(1, 2, 0)
    return result


def rgb(pixels: NDArray[np.uint8]) -> Picture:
    """Pixels ``(H, W, C)`` of one or three channels with three."""
    return np.repeat(pixels, 3, axis=-1) if pixels.shape[-1] == 1 else pixels


def sheet(tiles: Sequence[Picture], *, columns: int, side: int, gap: int = _GAP) -> Picture:
    """Pictures in rows, ``gap`` pixels apart, each in the middle of a grey square of ``side`` pixels, and no larger."""
    rows = max(1, math.ceil(len(tiles) / columns))
    columns = min(columns, max(1, len(tiles)))
    step = side + gap
    result = np.full((rows * step - gap, columns * step - gap, 3), _GREY, np.uint8)
    for number, tile in enumerate(tiles):
        small = fitted(tile, side)
        top = number // columns * step + (side - small.shape[0]) // 2
        left = number % columns * step + (side - small.shape[1]) // 2
        result[top : top + small.shape[0], left : left + small.shape[1]] = small
    return result


def fitted(picture: Picture, side: int) -> Picture:
    """A picture whose longer side has ``side`` pixels: small ones by whole pixels, larger ones smoothly."""
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    method = Image.Resampling.NEAREST if scale > 2 else Image.Resampling.LANCZOS
    return np.asarray(Image.fromarray(picture).resize(size, method))

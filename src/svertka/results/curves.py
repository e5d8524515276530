"""A series drawn as curves, one a channel, one above another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from svertka.results.colours import drawn_colour

_WIDTH, _HEIGHT = 480, 240  # of the picture, in pixels
_LEAST_HEIGHT = 24  # of a curve
_MOST_CURVES = 24
_MARGIN = 3


def drawn_curves(values: NDArray[np.float32], names: Sequence[str] = ()) -> NDArray[np.uint8]:
    """The curves of a series, each over its own range, ``(H, W, 3)`` uint8 RGB; of very many channels, the first.

    Args:
        values: ``(T, C)``; what is not finite is drawn as zero.
        names: Of the channels, where they are known.
    """
    shown = np.nan_to_num(values[:, :_MOST_CURVES].astype(np.float64), posinf=0.0, neginf=0.0)
    high = max(_LEAST_HEIGHT, _HEIGHT // shown.shape[1])
    picture = Image.new("RGB", (_WIDTH, high * shown.shape[1]), "white")
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(12)
    for channel, curve in enumerate(shown.T):
        top = channel * high
        if channel:
            draw.line([(0, top), (_WIDTH, top)], fill="lightgrey")
        draw.line(_points(curve, top + _MARGIN, high - 2 * _MARGIN), fill=drawn_colour(channel))
        if channel < len(names):
            draw.text((_MARGIN, top + 1), names[channel][: _WIDTH // 8], fill="black", font=font)
    return np.asarray(picture)


def _points(curve: NDArray[np.float64], top: int, height: int) -> list[tuple[float, float]]:
    low, span = curve.min(), np.ptp(curve)
    level = (curve - low) / span if span > 0 else np.full(len(curve), 0.5)
    if len(level) <= 2 * _WIDTH:
        x = np.linspace(0, _WIDTH - 1, len(level)) if len(level) > 1 else np.array([0.0])
        points = list(zip(x.tolist(), (top + height * (1 - level)).tolist(), strict=True))
        return points if len(points) > 1 else [points[0], (_WIDTH - 1.0, points[0][1])]
    # Of many points, the least and the greatest of each column: no peak is lost.
    starts = np.linspace(0, len(level), _WIDTH, endpoint=False).astype(int)
    ends = np.stack([np.minimum.reduceat(level, starts), np.maximum.reduceat(level, starts)], axis=1)
    y = (top + height * (1 - ends)).ravel().tolist()
    return list(zip(np.repeat(np.arange(float(_WIDTH)), 2).tolist(), y, strict=True))

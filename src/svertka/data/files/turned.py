"""Rectangles and ellipses that are turned, by degrees, clockwise on the screen."""

from __future__ import annotations

import math


def turned_corners(
    sides: tuple[float, float, float, float], degrees: float, *, about: tuple[float, float]
) -> tuple[float, ...]:
    """The corners ``x, y, x, y, …`` of a rectangle (left, top, right, bottom) that is turned about a point."""
    left, top, right, bottom = sides
    x, y = about
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    corners: list[float] = []
    for across, down in ((left - x, top - y), (right - x, top - y), (right - x, bottom - y), (left - x, bottom - y)):
        corners += [x + across * cosine - down * sine, y + across * sine + down * cosine]
    return tuple(corners)


def turned_ellipse(x: float, y: float, across: float, down: float, degrees: float) -> tuple[float, float, float, float]:
    """The rectangle around an ellipse with this middle and these half axes, turned about its middle."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    half_width, half_height = math.hypot(across * cosine, down * sine), math.hypot(across * sine, down * cosine)
    return x - half_width, y - half_height, x + half_width, y + half_height

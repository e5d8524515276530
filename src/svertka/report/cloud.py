"""Small images laid out in the plane, prepared for the page."""

from __future__ import annotations

from dataclasses import dataclass

from svertka.exhibits import Cloud
from svertka.report import _words
from svertka.report.pictures import Embedded, embed

_WIDTH, _HEIGHT = 1000, 750
_SIDE = 28  # of an image on the page
_PIXELS = 40
_MOST_GROUPS = 24  # in the legend


@dataclass(frozen=True)
class Placed:
    """An image at its place, with the frame of its group."""

    name: str
    image: Embedded
    x: str
    y: str
    side: int
    colour: str


def lay_out(cloud: Cloud) -> dict[str, object]:
    """The images as they lie on the page, and the groups with their colours."""
    groups = sorted({spot.group for spot in cloud.spots if spot.group})
    colours = {group: _colour(number, len(groups)) for number, group in enumerate(groups)}
    left, right = _ends([spot.x for spot in cloud.spots])
    top, bottom = _ends([spot.y for spot in cloud.spots])
    spots = [
        Placed(
            _words.isolated(spot.name),
            embed(spot.image, longest=_PIXELS),
            f"{(spot.x - left) / (right - left) * (_WIDTH - _SIDE):.1f}",
            f"{(spot.y - top) / (bottom - top) * (_HEIGHT - _SIDE):.1f}",
            _SIDE,
            colours.get(spot.group, "none"),
        )
        for spot in cloud.spots
    ]
    return {
        "width": _WIDTH,
        "height": _HEIGHT,
        "spots": spots,
        "groups": list(colours.items()) if len(groups) <= _MOST_GROUPS else [],
    }


def _ends(values: list[float]) -> tuple[float, float]:
    low, high = min(values, default=0.0), max(values, default=1.0)
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _colour(number: int, count: int) -> str:
    return f"hsl({360 * number / count:.0f} 70% {45 if number % 2 else 60}%)"

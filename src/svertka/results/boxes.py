"""Objects, and the boxes around them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from svertka.results.colours import Colour, drawn_colour, ink_on, text_size
from svertka.results.result import Result


@dataclass(frozen=True)
class Detection:
    """An object: its class, how probable that is, and the rectangle around it, in pixels of the upright image.

    Coordinates are edges: 0 is the left or upper border of the image, its width or height the other.
    """

    name: str
    score: float
    left: float
    top: float
    right: float
    bottom: float

    @property
    def sides(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom."""
        return self.left, self.top, self.right, self.bottom


@dataclass(frozen=True)
class Detections(Result):
    """The objects in an image, the likeliest first; there may be none.

    Attributes:
        objects: What was found.
        names: All classes, in their order; an object is drawn in the colour of its class.

    Raises:
        ValueError: A probability is not between 0 and 1, the order is wrong, a box has no area, or a class is unknown.
    """

    located = True
    columns = ("prediction", "score", "left", "top", "right", "bottom")

    objects: tuple[Detection, ...]
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        scores = [found.score for found in self.objects]
        if not all(math.isfinite(score) and 0 <= score <= 1 for score in scores):
            raise ValueError(f"probabilities lie between 0 and 1, these do not: {scores}")
        if scores != sorted(scores, reverse=True):
            raise ValueError("the likeliest object comes first")
        for found in self.objects:
            if found.name not in self.names:
                raise ValueError(f"an object of the unknown class {found.name!r}")
            if not (found.right > found.left and found.bottom > found.top):
                raise ValueError(f"a box without area: {found}")

    @property
    def counts(self) -> dict[str, int]:
        """How many objects of each class there are, of those that occur, in the order of the classes."""
        found = Counter(item.name for item in self.objects)
        return {name: found[name] for name in self.names if found[name]}

    def to_json(self) -> dict[str, Any]:
        return {"objects": [dict(vars(found)) for found in self.objects]}

    def named(self) -> list[tuple[str, float]]:
        return [(found.name, found.score) for found in self.objects]

    def rows(self) -> list[tuple[str, ...]]:
        """A line an object."""
        return [(found.name, f"{found.score:.6f}", *(f"{side:.2f}" for side in found.sides)) for found in self.objects]

    def first(self, count: int) -> Detections:
        return Detections(self.objects[:count], self.names)

    def line(self) -> str:
        return ", ".join(f"{count:,} × {name}" for name, count in self.counts.items()) or "nothing found"

    def key(self) -> list[tuple[str, Colour]]:
        return [(name, drawn_colour(self.names.index(name))) for name in self.counts]

    def draw(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return boxed(
            image,
            [found.sides for found in self.objects],
            [f"{found.name} {found.score:.0%}" for found in self.objects],
            [self.names.index(found.name) for found in self.objects],
        )


def boxed(
    image: NDArray[np.uint8],
    boxes: Sequence[tuple[float, float, float, float]],
    texts: Sequence[str],
    numbers: Sequence[int],
) -> NDArray[np.uint8]:
    """A copy of ``image`` ``(H, W, 3)`` with boxes drawn on it.

    Args:
        image: RGB.
        boxes: Left, top, right and bottom, in pixels.
        texts: What stands at each.
        numbers: Of each the number of its class, which says the colour.
    """
    picture = Image.fromarray(image)
    draw = ImageDraw.Draw(picture)
    font, thick = ImageFont.load_default(text_size(*picture.size)), max(1, round(sum(picture.size) / 2 / 250))
    # The likeliest come first and are drawn last.
    for (left, top, right, bottom), text, number in list(zip(boxes, texts, numbers, strict=True))[::-1]:
        colour = drawn_colour(number)
        corner = max(left, right - 1), max(top, bottom - 1)
        draw.rectangle(((left, top), corner), outline=colour, width=thick)
        if text:
            _label(draw, text, (left, top), font, colour, thick)
    return np.asarray(picture)


def _label(
    draw: ImageDraw.ImageDraw,
    text: str,
    corner: tuple[float, float],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    colour: Colour,
    thick: int,
) -> None:
    """Text on the upper left corner of a box: above it where there is room, and wholly within the image."""
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    wide, high = right - left + 2 * thick, bottom - top + 2 * thick
    across, down = draw.im.size
    x = max(0.0, min(corner[0], across - wide))
    y = corner[1] - high if corner[1] >= high else max(0.0, min(corner[1], down - high))
    draw.rectangle((x, y, x + wide - 1, y + high - 1), fill=colour)
    draw.text((x + thick - left, y + thick - top), text, fill=ink_on(colour), font=font)

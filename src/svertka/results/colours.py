"""Colours that tell classes apart, and the key that says whose they are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont


def class_colours(count: int) -> NDArray[np.uint8]:
    """A colour for each of ``count`` classes, ``(count, 3)``, as PASCAL VOC's masks have them; the first is black."""
    numbers = np.arange(count)
    colours = np.zeros((count, 3), np.int64)
    for bit in range(8):
        for channel in range(3):
            colours[:, channel] |= ((numbers >> (3 * bit + channel)) & 1) << (7 - bit)
    return colours.astype(np.uint8)


Colour = tuple[int, int, int]

# Okabe and Ito's, which people with any colour vision tell apart, and a violet; then darker, then lighter.
_DISTINCT: tuple[Colour, ...] = (
    *((0, 114, 178), (230, 159, 0), (0, 158, 115), (204, 121, 167)),
    *((86, 180, 233), (213, 94, 0), (240, 228, 66), (110, 80, 200)),
)
_SHADES = ((0, 0.0), (0, 0.45), (255, 0.5))
_MOST_NAMES = 40


def drawn_colour(number: int) -> Colour:
    """The colour in which a class is drawn on an image: always the same for the same number."""
    towards, share = _SHADES[number // len(_DISTINCT) % len(_SHADES)]
    red, green, blue = (round(level + (towards - level) * share) for level in _DISTINCT[number % len(_DISTINCT)])
    return red, green, blue


def css(colour: Colour) -> str:
    """A colour as a page writes it."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def drawn_colours(count: int) -> NDArray[np.uint8]:
    """`drawn_colour` of the first ``count`` classes, ``(count, 3)``."""
    return np.array([drawn_colour(number) for number in range(count)], np.uint8).reshape(count, 3)


def ink_on(colour: Colour) -> str:
    """Black or white, whichever can be read better on a colour."""
    red, green, blue = ((level / 255) ** 2.2 for level in colour)
    return "black" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.18 else "white"


def text_size(width: int, height: int) -> int:
    """How large text on an image of so many pixels is, in pixels: in proportion, and never too small to be read."""
    return max(10, round((width + height) / 2 / 36))


def with_key(image: NDArray[np.uint8], key: Sequence[tuple[str, Colour]]) -> NDArray[np.uint8]:
    """``image`` ``(H, W, 3)`` with the names and colours of ``key`` in lines below it; of very many, the first."""
    if not key:
        return image
    height, width = image.shape[:2]
    size = text_size(width, height)
    font, step, gap = ImageFont.load_default(size), round(1.6 * size), size // 2
    places: list[tuple[int, int, str, Colour]] = []
    x = y = gap
    for name, colour in key[:_MOST_NAMES]:
        room = width - 3 * gap - size
        while len(name) > 1 and font.getlength(name) > room:
            name = name.removesuffix("…")[:-1] + "…"
        wide = size + gap + round(font.getlength(name))
        if x > gap and x + wide > width - gap:
            x, y = gap, y + step
        places.append((x, y, name, colour))
        x += wide + 2 * gap
    strip = Image.new("RGB", (width, y + step), "white")
    draw = ImageDraw.Draw(strip)
    for x, y, name, colour in places:
        draw.rectangle((x, y, x + size - 1, y + size - 1), fill=colour)
        draw.text((x + size + gap, y + size // 2), name, fill="black", font=font, anchor="lm")
    return np.concatenate([image, np.asarray(strip)])

"""The class of every pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from svertka.results.colours import Colour, class_colours, drawn_colour, drawn_colours
from svertka.results.result import Result

_UNSAID = 255  # a pixel of which a mask says nothing


@dataclass(frozen=True, eq=False)
class Segmentation(Result):
    """The class of every pixel.

    Attributes:
        mask: The number of each pixel's class, ``(H, W)`` uint8.
        names: Class by number. One called ``background`` in the first place is what is left when all else is named.

    Raises:
        ValueError: The mask is none, or has a number that is no class.
    """

    located = True
    mask: NDArray[np.uint8] = field(repr=False)
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.mask.dtype != np.uint8 or self.mask.ndim != 2 or not self.mask.size:
            raise ValueError(f"a mask of {self.mask.dtype} {self.mask.shape}")
        if int(self.mask.max()) >= len(self.names):
            raise ValueError(f"a class {int(self.mask.max())} of {len(self.names)}")

    @property
    def areas(self) -> NDArray[np.int64]:
        """Number of pixels of every class, ``(classes,)``."""
        return np.bincount(self.mask.ravel(), minlength=len(self.names))

    def to_json(self) -> dict[str, Any]:
        """Height and width; of every class that is there its area in pixels, its share of the image and its outlines.

        See `outlines`; a background has none.
        """
        height, width = self.mask.shape
        classes = [
            {
                "name": self.names[number],
                "area": int(area),
                "share": int(area) / self.mask.size,
                "polygons": [] if self._is_background(number) else outlines(self.mask == number),
            }
            for number, area in enumerate(self.areas)
            if area
        ]
        return {"height": height, "width": width, "classes": classes}

    def named(self) -> list[tuple[str, float]]:
        areas = self.areas
        there = [number for number in np.argsort(-areas, kind="stable").tolist() if areas[number]]
        return [(self.names[number], int(areas[number]) / self.mask.size) for number in there]

    def line(self, most: int = 5) -> str:
        there = self.named()
        told = [f"{name} ({share:.1%})" for name, share in there[:most]]
        more = f" and {len(there) - most} more" if len(there) > most else ""
        return ", ".join(told) + more

    def key(self) -> list[tuple[str, Colour]]:
        there = [number for number, area in enumerate(self.areas) if area and not self._is_background(number)]
        return [(self.names[number], drawn_colour(number)) for number in there]

    def draw(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return tinted(image, self.mask, background=self._is_background(0))

    def pictures(self, image: NDArray[np.uint8]) -> dict[str, Image.Image]:
        """Beside the overlay, the mask itself: a PNG of this picture has the classes' numbers, and shows colours."""
        index = Image.fromarray(self.mask)
        index.putpalette(class_colours(256).ravel().tolist())
        return {"drawn": Image.fromarray(self.shown(image)), "mask": index}

    def joined(self, pieces: Sequence[tuple[slice, slice, Result]], height: int, width: int) -> Segmentation:
        mask = np.empty((height, width), np.uint8)
        for rows, columns, piece in pieces:
            assert isinstance(piece, Segmentation)
            mask[rows, columns] = piece.mask
        return Segmentation(mask, self.names)

    def _is_background(self, number: int) -> bool:
        return number == 0 and self.names[0].lower() == "background"


def outlines(mask: NDArray[np.bool_]) -> list[list[int]]:
    """The borders of a mask ``(H, W)`` as polygons ``x, y, x, y, …``, along the edges of its pixels.

    A pixel belongs to the mask if it lies within an odd number of them, so that filling them gives the mask again,
    with its holes. Coordinates are edges: the image's right border is its width.
    """
    inside = np.pad(mask, 1).astype(np.int8)
    upper_left, upper_right = inside[:-1, :-1], inside[:-1, 1:]
    lower_left, lower_right = inside[1:, :-1], inside[1:, 1:]
    total = upper_left + upper_right + lower_left + lower_right
    # A point of the grid is a corner if an odd number of the pixels around it is inside, and two where they touch.
    crossing = (total == 2) & (upper_left == lower_right)
    counts = np.where(crossing, 2, total % 2)
    rows, columns = (np.repeat(axis, counts[counts > 0]) for axis in np.nonzero(counts))
    # Along a row the corners pair off into horizontal edges; along a column, into vertical ones.
    across, down = np.lexsort((columns, rows)), np.lexsort((rows, columns))
    beside, below = np.empty(len(rows), np.int64), np.empty(len(rows), np.int64)
    for partner, order in ((beside, across), (below, down)):
        partner[order[0::2]], partner[order[1::2]] = order[1::2], order[0::2]
    left, partners = np.ones(len(rows), bool).tolist(), (beside.tolist(), below.tolist())
    points = np.stack([columns, rows], axis=1).tolist()
    found = []
    for start in range(len(points)):
        polygon: list[int] = []
        corner, way = start, 0
        while left[corner]:
            left[corner] = False
            polygon += points[corner]
            corner = partners[way][corner]
            way = 1 - way
        if polygon:
            found.append(polygon)
    return found


def tinted(image: NDArray[np.uint8], mask: NDArray[np.uint8], *, background: bool) -> NDArray[np.uint8]:
    """A copy of ``image`` ``(H, W, 3)`` with the classes of ``mask`` ``(H, W)`` laid over it in colours.

    Args:
        image: RGB.
        mask: Class numbers; 255, of which nothing is said, stays clear.
        background: Whether the first class stays clear as well.
    """
    colours = drawn_colours(256).astype(np.uint16)
    clear = (mask == _UNSAID) | (mask == 0 if background else False)
    mixed = ((image * np.uint16(11) + colours[mask] * np.uint16(9)) // 20).astype(np.uint8)
    return np.where(clear[..., None], image, mixed)

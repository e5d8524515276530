"""What a prediction is. Every kind checks itself when built, turns itself into JSON, draws itself, and says itself."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont


class Result(ABC):
    """A prediction for one image."""

    located: ClassVar[bool] = False
    """Whether it says where things are, so that drawing it says more than its line."""

    columns: ClassVar[tuple[str, ...]] = ("prediction", "score")
    """What `rows` have."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """The prediction as a JSON object."""

    @abstractmethod
    def line(self) -> str:
        """The prediction in one line of text."""

    @abstractmethod
    def draw(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The prediction drawn on a copy of its image, ``(H, W, 3)`` uint8 RGB."""

    def named(self) -> list[tuple[str, float]]:
        """What it says is there, for a line of a table: names with their scores or shares, the largest first."""
        return []

    def rows(self) -> list[tuple[str, ...]]:
        """Lines of a table of predictions; several names in one cell have semicolons between them."""
        named = self.named()
        return [(";".join(name for name, _ in named), ";".join(f"{score:.6f}" for _, score in named))]

    def pictures(self, image: NDArray[np.uint8]) -> dict[str, Image.Image]:
        """What can be kept of it as pictures, by name: drawn on its image, at least."""
        return {"drawn": Image.fromarray(self.draw(image))}

    def joined(self, pieces: Sequence[tuple[slice, slice, Result]], height: int, width: int) -> Result:
        """The prediction for an image of which there are predictions in pieces.

        Args:
            pieces: Rows, columns, and what was predicted for them; this is the first.
            height, width: Of the image.

        Raises:
            ValueError: What is said of a piece is nothing that can be said of a whole.
        """
        del height, width
        if len(pieces) > 1:
            raise ValueError(f"{type(self).__name__} cannot be put together")
        return self


@dataclass(frozen=True)
class ClassScore:
    """A class and its probability."""

    name: str
    score: float


@dataclass(frozen=True)
class Classes(Result):
    """Classes with their probabilities, the likeliest first.

    Raises:
        ValueError: There is no class, a probability is not between 0 and 1, or the order is wrong.
    """

    classes: tuple[ClassScore, ...]

    def __post_init__(self) -> None:
        scores = [entry.score for entry in self.classes]
        if not scores:
            raise ValueError("a classification names at least one class")
        if not all(math.isfinite(score) and 0 <= score <= 1 for score in scores):
            raise ValueError(f"probabilities lie between 0 and 1, these do not: {scores}")
        if scores != sorted(scores, reverse=True):
            raise ValueError("the likeliest class comes first")

    @property
    def best(self) -> ClassScore:
        """The likeliest class."""
        return self.classes[0]

    def to_json(self) -> dict[str, Any]:
        return {"classes": [{"name": entry.name, "score": entry.score} for entry in self.classes]}

    def named(self) -> list[tuple[str, float]]:
        return [(self.best.name, self.best.score)]

    def line(self, most: int = 3) -> str:
        return ", ".join(f"{entry.name} ({entry.score:.1%})" for entry in self.classes[:most])

    def draw(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return _titled(image, f"{self.best.name} {self.best.score:.0%}")


@dataclass(frozen=True)
class NoneOfThese(Result):
    """The image is none of the classes: it is farther from all of them than nearly all images that are.

    Attributes:
        distance: From the nearest class mean.
        limit: The largest distance at which an image is given a class.
        nearest: What it would have been called, the likeliest first.

    Raises:
        ValueError: The distance is no number above the limit, or what is nearest is no classification.
    """

    distance: float
    limit: float
    nearest: Classes

    def __post_init__(self) -> None:
        if not (math.isfinite(self.distance) and 0 <= self.limit < self.distance):
            raise ValueError(f"a distance above its limit, not {self.distance} and {self.limit}")

    def to_json(self) -> dict[str, Any]:
        return {
            "classes": [],
            "none_of_these": {
                "distance": self.distance,
                "limit": self.limit,
                "nearest": self.nearest.to_json()["classes"],
            },
        }

    def line(self) -> str:
        best = self.nearest.best
        return (
            f"none of these (distance {self.distance:.2f}, known up to {self.limit:.2f}; "
            f"nearest: {best.name}, {best.score:.1%})"
        )

    def draw(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return _titled(image, "none of these")


@dataclass(frozen=True)
class LabelScore:
    """A label, its probability, and the probability from which on it is said to be there."""

    name: str
    score: float
    threshold: float

    @property
    def given(self) -> bool:
        """Whether the image has it."""
        return self.score >= self.threshold


@dataclass(frozen=True)
class Labels(Result):
    """Labels with their probabilities, the likeliest first; an image has any number of them.

    Raises:
        ValueError: There is no label, a number is not between 0 and 1, or the order is wrong.
    """

    scores: tuple[LabelScore, ...]

    def __post_init__(self) -> None:
        if not self.scores:
            raise ValueError("there is at least one label to choose from")
        numbers = [number for entry in self.scores for number in (entry.score, entry.threshold)]
        if not all(math.isfinite(number) and 0 <= number <= 1 for number in numbers):
            raise ValueError(f"probabilities lie between 0 and 1, these do not: {numbers}")
        if [entry.score for entry in self.scores] != sorted((entry.score for entry in self.scores), reverse=True):
            raise ValueError("the likeliest label comes first")

    @property
    def given(self) -> tuple[LabelScore, ...]:
        """Those that the image has, the likeliest first."""
        return tuple(entry for entry in self.scores if entry.given)

    def to_json(self) -> dict[str, Any]:
        return {"labels": [entry.name for entry in self.given], "scores": [vars(entry) for entry in self.scores]}

    def named(self) -> list[tuple[str, float]]:
        return [(entry.name, entry.score) for entry in self.given]

    def line(self) -> str:
        if self.given:
            return ", ".join(f"{entry.name} ({entry.score:.1%})" for entry in self.given)
        nearest = max(self.scores, key=lambda entry: entry.score - entry.threshold)
        return f"none of the labels (nearest: {nearest.name}, {nearest.score:.1%} of {nearest.threshold:.1%})"

    def draw(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        names = ", ".join(f"{entry.name} {entry.score:.0%}" for entry in self.given)
        return _titled(image, names or "none of the labels")


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

    def draw(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return tinted(image, self.mask, background=self._is_background(0))

    def pictures(self, image: NDArray[np.uint8]) -> dict[str, Image.Image]:
        """Beside the overlay, the mask itself: a PNG of this picture has the classes' numbers, and shows colours."""
        index = Image.fromarray(self.mask)
        index.putpalette(class_colours(256).ravel().tolist())
        return {"drawn": Image.fromarray(self.draw(image)), "mask": index}

    def joined(self, pieces: Sequence[tuple[slice, slice, Result]], height: int, width: int) -> Segmentation:
        mask = np.empty((height, width), np.uint8)
        for rows, columns, piece in pieces:
            assert isinstance(piece, Segmentation)
            mask[rows, columns] = piece.mask
        return Segmentation(mask, self.names)

    def _is_background(self, number: int) -> bool:
        return number == 0 and self.names[0].lower() == "background"


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

    def line(self) -> str:
        return ", ".join(f"{count:,} × {name}" for name, count in self.counts.items()) or "nothing found"

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
    shorter = min(picture.size)
    font, thick = ImageFont.load_default(max(10, shorter // 30)), max(1, shorter // 200)
    colours = class_colours(256)[1:]
    # The likeliest come first and are drawn last.
    for (left, top, right, bottom), text, number in list(zip(boxes, texts, numbers, strict=True))[::-1]:
        colour = tuple(colours[number % len(colours)].tolist())
        corner = max(left, right - 1), max(top, bottom - 1)
        draw.rectangle(((left, top), corner), outline=colour, width=thick)
        space = draw.textbbox((left, top), text, font=font)
        draw.rectangle(space, fill=colour)
        draw.text((left, top), text, fill="black" if sum(colour) > 3 * 110 else "white", font=font)
    return np.asarray(picture)


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
    colours = class_colours(256).astype(np.uint16)
    clear = (mask == _UNSAID) | (mask == 0 if background else False)
    mixed = ((image * np.uint16(11) + colours[mask] * np.uint16(9)) // 20).astype(np.uint8)
    return np.where(clear[..., None], image, mixed)


def class_colours(count: int) -> NDArray[np.uint8]:
    """A colour for each of ``count`` classes, ``(count, 3)``, as PASCAL VOC's masks have them; the first is black."""
    numbers = np.arange(count)
    colours = np.zeros((count, 3), np.int64)
    for bit in range(8):
        for channel in range(3):
            colours[:, channel] |= ((numbers >> (3 * bit + channel)) & 1) << (7 - bit)
    return colours.astype(np.uint8)


_UNSAID = 255  # a pixel of which a mask says nothing


def _titled(image: NDArray[np.uint8], title: str) -> NDArray[np.uint8]:
    picture = Image.fromarray(image)
    size = max(10, picture.height // 20)
    font = ImageFont.load_default(size)
    draw = ImageDraw.Draw(picture)
    box = draw.textbbox((0, 0), title, font=font)
    draw.rectangle((0, 0, box[2] + size // 2, box[3] + size // 4), fill="black")
    draw.text((size // 4, 0), title, fill="white", font=font)
    return np.asarray(picture)

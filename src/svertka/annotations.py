"""Where a sample comes from, and what can be said of it: its class, labels, boxes, a mask, or another picture."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Source(Protocol):
    """Where the value of a sample comes from: an image, a series."""

    def stamp(self) -> str:
        """Something that changes when the value is replaced, found without reading it."""
        ...

    def load(self) -> tuple[NDArray[Any], str]:
        """The value, and a digest of what it was decoded from.

        An image is ``(H, W, 3)`` uint8 RGB, a series ``(T, C)`` float32.

        Raises:
            UserError: It cannot be read: an `svertka.runtime.image.ImageError`, where it is an image.
        """
        ...


class ImageSource(Source, Protocol):
    """Where the pixels of an image come from."""

    def load(self) -> tuple[NDArray[np.uint8], str]:
        """The decoded image ``(H, W, 3)`` uint8 RGB, and a digest of what it was decoded from."""
        ...


@dataclass(frozen=True, slots=True)
class Box:
    """One object.

    Coordinates are edges, in pixels of the upright image: 0 is its left or upper border, its width or height the other.

    Attributes:
        label: Its class.
        left, top, right, bottom: The rectangle around it. What a file says is kept, however odd; checking names it.
        polygons: Outlines, each ``x, y, x, y, …``; where there are several, together they are the object.
        runs: Its mask as runs of pixels down the columns, outside first, as COCO counts them; for crowds.
        keypoints: Named points: ``(name, x, y, visibility)``; visibility 0 is absent, 1 hidden, 2 visible.
        crowd: Many objects in one box.
        difficult: Not counted when judging.
    """

    label: str
    left: float
    top: float
    right: float
    bottom: float
    polygons: tuple[tuple[float, ...], ...] = ()
    runs: tuple[int, ...] = ()
    keypoints: tuple[tuple[str, float, float, int], ...] = ()
    crowd: bool = False
    difficult: bool = False


@dataclass(frozen=True, slots=True)
class Boxes:
    """All objects of an image; there may be none.

    Attributes:
        boxes: The objects.
        size: Height and width that the annotation gives for the image, where it does.
        regions: Where objects may be, as proposed by looking at the pixels alone, ``(R, 4)``: left, top, right, bottom
            as shares of width and height. None where none were asked for.
    """

    boxes: tuple[Box, ...]
    size: tuple[int, int] | None = None
    regions: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)


class MaskSource(Protocol):
    """Where the pixels of a mask come from."""

    def load(self) -> NDArray[np.uint8]:
        """The number of each pixel's class, ``(H, W)`` uint8; 255 where nothing is said of it."""
        ...

    def digest(self) -> str:
        """A digest of what `load` returns, or of what it is made from."""
        ...


@dataclass(frozen=True, slots=True)
class Mask:
    """The class of each pixel.

    Attributes:
        source: The numbers.
        names: Class by number.
    """

    source: MaskSource
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """The image that the sample's image is to become."""

    source: ImageSource


Annotation = str | tuple[str, ...] | Boxes | Mask | Picture
"""What is said of an image: its class; the names of its labels in natural order; boxes; a mask; a picture."""


def names_in(annotation: Annotation) -> tuple[str, ...]:
    """The class names in an annotation; a box's as often as it is there, a mask's whether they occur in it or not."""
    match annotation:
        case str():
            return (annotation,)
        case Boxes():
            return tuple(box.label for box in annotation.boxes)
        case Mask():
            return annotation.names
        case Picture():
            return ()
    return annotation


def class_names(annotations: Iterable[Annotation]) -> tuple[str, ...]:
    """The distinct names: a mask's in the order of their numbers, others in natural order, 2 before 10."""
    found: dict[str, None] = {}
    numbered = False
    for annotation in annotations:
        numbered |= isinstance(annotation, Mask)
        found.update(dict.fromkeys(names_in(annotation)))
    return tuple(found) if numbered else tuple(sorted(found, key=natural))


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """A sort key under which numbers within names are compared as numbers."""
    pieces: list[tuple[int, int, str]] = []
    digits = ""
    for character in [*name, ""]:
        if character.isascii() and character.isdigit():
            digits += character
            continue
        if digits:
            pieces.append((0, len(digits.lstrip("0")), f"{digits.lstrip('0')} {digits}"))
            digits = ""
        pieces.append((1, 0, character))
    return tuple(pieces)

"""What a data set was, in one digest: a run that goes on, and a study of it, must find the same."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from svertka.annotations import Annotation, Boxes, Mask, Picture
from svertka.runtime.image import ImageError


def fingerprint_of(positions: Mapping[str, Sequence[int]], labels: Sequence[Annotation], digests: Sequence[str]) -> str:
    """A digest that changes with any image, with what is said of one, and with the part that one is in.

    Args:
        positions: Of the samples of each part.
        labels: Of all samples.
        digests: Of all images.
    """
    lines: list[Any] = sorted(
        [part, _said(labels[position]), digests[position]] for part, chosen in positions.items() for position in chosen
    )
    return hashlib.sha256(json.dumps(lines).encode()).hexdigest()


def _said(annotation: Annotation) -> str | tuple[str, ...]:
    """A class or labels as they are; of anything else, a digest that changes with it."""
    match annotation:
        case Boxes():
            told: Any = sorted(json.dumps(dataclasses.astuple(box)) for box in annotation.boxes)
        case Mask():
            told = [_digest(annotation.source.digest), annotation.names]
        case Picture():
            told = _digest(lambda: annotation.source.load()[1])
        case _:
            return annotation
    return f"{type(annotation).__name__} {hashlib.sha256(json.dumps(told).encode()).hexdigest()}"


def _digest(find: Callable[[], str]) -> str:
    try:
        return find()
    except ImageError:
        return ""  # as of an image that cannot be read

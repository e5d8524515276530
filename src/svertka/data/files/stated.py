"""Images of which a file may state boxes and labels both: one kind of annotation for the whole data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from svertka.annotations import Annotation, Box, Boxes, ImageSource
from svertka.data.files.records import shown
from svertka.data.files.unread import UnreadCounter
from svertka.data.samples import Sample


@dataclass(slots=True)
class Stated:
    """What a file states of one image.

    Attributes:
        name, source: See `svertka.data.samples.Sample`.
        part: Its part.
        boxes: The objects in it.
        labels: The labels of the whole image.
        size: Height and width, where the file gives them.
    """

    name: str
    source: ImageSource
    part: str = "all"
    boxes: list[Box] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    size: tuple[int, int] | None = None


def samples_by_part(images: Sequence[Stated], unread: UnreadCounter) -> dict[str, list[Sample]]:
    """Samples with one kind of annotation: boxes where any image has some, and then labels are counted as not read;
    else a class where every image has one label, and several labels where one has more or none."""
    objects = any(image.boxes for image in images) or not any(image.labels for image in images)
    single = all(len(image.labels) == 1 for image in images)
    parts: dict[str, list[Sample]] = {}
    for image in images:
        annotation: Annotation = Boxes(tuple(image.boxes), image.size)
        if not objects:
            annotation = image.labels[0] if single else tuple(sorted(set(image.labels)))
        else:
            for label in image.labels:
                unread.add(f"label {shown(label)} of a whole image, beside boxes", image.name)
        parts.setdefault(image.part, []).append(Sample(image.name, image.source, annotation))
    return parts

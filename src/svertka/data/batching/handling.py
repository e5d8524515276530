"""How data are prepared and handed to a network, by what is said of the images: labels, boxes or masks."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from svertka.annotations import Annotation, Boxes, Mask
from svertka.data.batching.batches import Inputs, Pixels
from svertka.data.batching.boxed import Boxed, RememberedBoxed
from svertka.data.batching.laid import Crops, Pieces, RememberedPieces, Whole
from svertka.data.box_repair import repaired
from svertka.data.cache.images import Images
from svertka.data.cache.loaded import Advance
from svertka.data.cache.mask_images import load_masks
from svertka.data.cache.memory import Remembered
from svertka.data.preparing import Prepared
from svertka.runtime.preprocess import Preprocess
from svertka.task_records.record import handling_of


@dataclass(frozen=True)
class Wanted:
    """What is wanted of the pixels of a part.

    Attributes:
        preprocess: Its arithmetic is applied.
        learning: Whether the network learns from these.
        augmentations: Names, in order; none of what is judged by.
        seed: Of the run.
    """

    preprocess: Preprocess
    learning: bool
    augmentations: Sequence[str]
    seed: int


@dataclass(frozen=True)
class Kept:
    """What frozen stages gave.

    Attributes:
        remembered: Of every image, or of every piece.
        views: By name, in the order in which they were remembered.
        size: Height and width that the stages saw, in pixels.
        cut: Where whole images were cut into pieces: these, and which of them are of the part.
    """

    remembered: Remembered
    views: Sequence[str]
    size: tuple[int, int]
    cut: tuple[Pieces, NDArray[np.int64]] | None


class Handling:
    """Labels, which stay as they are whatever happens to the pixels; others differ from this."""

    least_classes = 2
    each = "label"
    too_few = "a classifier needs at least two: a folder for each, or a name for each in the CSV"

    def decoded(self, labels: Sequence[Annotation], images: Images, advance: Advance | None) -> Images | None:
        """See `svertka.data.preparing.Preparation.decoded`."""
        del labels, images, advance
        return None

    def placed(
        self, annotation: Annotation, size: tuple[int, int], regions: NDArray[np.float32] | None = None
    ) -> Annotation:
        """See `svertka.data.preparing.Preparation.placed`."""
        del size, regions
        return annotation

    def pixels(self, prepared: Prepared, part: str, wanted: Wanted) -> Inputs:
        """See `pixel_inputs`."""
        positions = prepared.parts[part].positions
        return Pixels(prepared.images, positions, wanted.preprocess, wanted.augmentations, wanted.seed)

    def remembered(self, prepared: Prepared, part: str, kept: Kept) -> Inputs:
        """See `remembered_inputs`."""
        del prepared, part
        return kept.remembered


class BoxHandling(Handling):
    """Boxes, which move with the pixels; they are repaired, and know the size of their image."""

    least_classes = 1
    each = "box"
    too_few = "annotate the objects in it, each with its class"

    def placed(
        self, annotation: Annotation, size: tuple[int, int], regions: NDArray[np.float32] | None = None
    ) -> Annotation:
        """See `svertka.data.preparing.Preparation.placed`."""
        assert isinstance(annotation, Boxes)
        return dataclasses.replace(repaired(annotation, size), size=size, regions=regions)

    def pixels(self, prepared: Prepared, part: str, wanted: Wanted) -> Inputs:
        """See `pixel_inputs`."""
        positions = prepared.parts[part].positions
        return Boxed(prepared.images, positions, wanted.preprocess, wanted.augmentations, wanted.seed)

    def remembered(self, prepared: Prepared, part: str, kept: Kept) -> Inputs:
        """See `remembered_inputs`."""
        del prepared, part
        return RememberedBoxed(kept.remembered, kept.views, kept.size)


class MaskHandling(Handling):
    """Masks, which are images themselves: learnt from in pieces, and judged by whole."""

    def decoded(self, labels: Sequence[Annotation], images: Images, advance: Advance | None) -> Images | None:
        """See `svertka.data.preparing.Preparation.decoded`."""
        if images.shapes is None:  # of images that are not whole it is not known where their pixels have gone
            return None
        masks = load_masks([label for label in labels if isinstance(label, Mask)], advance=advance)
        images.errors.update({place: error for place, error in masks.errors.items() if place not in images.errors})
        assert masks.shapes is not None
        for place, (image, mask) in enumerate(zip(images.shapes, masks.shapes, strict=True)):
            if place not in images.errors and image[:2] != mask[:2]:
                images.errors[place] = f"its mask is {mask[1]}×{mask[0]}, and the image {image[1]}×{image[0]}"
        return masks

    def pixels(self, prepared: Prepared, part: str, wanted: Wanted) -> Inputs:
        """See `pixel_inputs`."""
        if prepared.masks is None:
            return super().pixels(prepared, part, wanted)
        positions = prepared.parts[part].positions
        if not wanted.learning:
            return Whole(prepared.images, prepared.masks, positions, wanted.preprocess)
        return Crops(prepared.images, prepared.masks, positions, wanted.preprocess, wanted.augmentations, wanted.seed)

    def remembered(self, prepared: Prepared, part: str, kept: Kept) -> Inputs:
        """See `remembered_inputs`."""
        if kept.cut is None or prepared.masks is None:
            return kept.remembered
        pieces, chosen = kept.cut
        place = {position: number for number, position in enumerate(prepared.parts[part].positions.tolist())}
        samples = np.array([place[position] for position in pieces.places[chosen, 0].tolist()], np.int64)
        return RememberedPieces(kept.remembered, kept.views, pieces, prepared.masks, chosen, samples)


def pixel_inputs(
    prepared: Prepared,
    part: str,
    preprocess: Preprocess,
    *,
    learning: bool = False,
    augmentations: Sequence[str] = (),
    seed: int = 0,
) -> Inputs:
    """The pixels of a part; to learn from, augmented, and of whole images a piece each.

    Args:
        prepared: The images, and what is said of them.
        part: Its name.
        preprocess: Its arithmetic is applied.
        learning: Whether the network learns from these.
        augmentations: Names, in order; of what is learnt from.
        seed: Of the run.
    """
    wanted = Wanted(preprocess, learning, augmentations if learning else (), seed)
    handling: Handling = handling_of(prepared.task)
    return handling.pixels(prepared, part, wanted)


def remembered_inputs(prepared: Prepared, part: str, kept: Kept) -> Inputs:
    """What is remembered of a part, with what moves as its images do.

    Args:
        prepared: The images, and what is said of them.
        part: Its name.
        kept: What frozen stages gave.
    """
    handling: Handling = handling_of(prepared.task)
    return handling.remembered(prepared, part, kept)

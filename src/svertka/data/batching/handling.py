"""Handling: how data are prepared and handed to a network, by their medium and by what is said of them.

Here stand images with labels, boxes or masks; `svertka.data.batching.series` has series.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from svertka.annotations import Annotation, Boxes, Mask, Source
from svertka.data.batching.batches import Inputs, Pixels
from svertka.data.batching.boxed import Boxed, RememberedBoxed
from svertka.data.batching.laid import Crops, Pieces, RememberedPieces, Whole
from svertka.data.box_repair import repaired
from svertka.data.cache.images import Images, load_images
from svertka.data.cache.loaded import Advance, Contents
from svertka.data.cache.mask_images import load_masks
from svertka.data.cache.memory import Remembered
from svertka.data.cache.regions import proposed
from svertka.data.checks.findings import Finding
from svertka.data.checks.quick import quick_findings_of_images
from svertka.data.preparing import Prepared
from svertka.data.splitting.likeness import Looks, looks_of
from svertka.runtime.inputs import InputTransform
from svertka.runtime.preprocess import Preprocess
from svertka.runtime.tiling import mirrored

_GOLDEN = 4  # inputs that prove a model file
_GOLDEN_SIDE = 64  # pixels of their longer side, at most


@dataclass(frozen=True)
class Wanted:
    """What is wanted of the samples of a part.

    Attributes:
        transform: Its arithmetic is applied.
        learning: Whether the network learns from these.
        augmentations: Names, in order; none of what is judged by.
        seed: Of the run.
    """

    transform: InputTransform
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


class Handling(ABC):
    """How samples of one medium are handled: the contract of all that differs between media.

    Labels, which are the same whatever happens to the values, are taken as they are; a kind of annotation that moves
    with the values has a handling of its own.
    """

    least_classes = 2
    each = "label"
    too_few = "a classifier needs at least two: a folder for each, or a name for each in the CSV"
    more_findings = ""
    """Where more is found wrong with such samples than by `findings`, for a report."""

    @abstractmethod
    def load(self, sources: Sequence[Source], transform: InputTransform, advance: Advance | None) -> Contents:
        """See `svertka.data.preparing.Preparation.load`."""

    @abstractmethod
    def looks(self, contents: Contents, notes: list[str]) -> Looks:
        """See `svertka.data.preparing.Preparation.looks`."""

    @abstractmethod
    def measured(self, contents: Contents, positions: NDArray[np.int64]) -> InputTransform:
        """See `svertka.data.preparing.Preparation.measured`."""

    @abstractmethod
    def inputs(self, prepared: Prepared, part: str, wanted: Wanted) -> Inputs:
        """What a network gets of a part; see `inputs_of`."""

    @abstractmethod
    def golden(self, prepared: Prepared, part: str, transform: InputTransform) -> list[NDArray[Any]]:
        """A few small values that prove a model file, as `deployed_input` takes them; together they can be run.

        Args:
            prepared: The data.
            part: That they are taken from.
            transform: What the network learnt by.
        """

    def findings(self, prepared: Prepared) -> list[Finding]:
        """What is found wrong with the samples within seconds, as they are divided now: errors first."""
        del prepared
        return []

    def deployed_input(self, transform: InputTransform) -> InputTransform:
        """How the network takes its inputs once it has learnt; a generator learns from images, and then takes noise."""
        return transform

    def picture(self, value: NDArray[Any], transform: InputTransform) -> NDArray[np.uint8]:
        """What a person is shown of a sample, ``(H, W, 3)`` uint8 RGB."""
        return transform.picture(value)

    def decoded(self, labels: Sequence[Annotation], contents: Contents, advance: Advance | None) -> Images | None:
        """See `svertka.data.preparing.Preparation.decoded`."""
        del labels, contents, advance
        return None

    def regions(
        self, contents: Contents, positions: Sequence[int], advance: Advance | None
    ) -> Mapping[int, NDArray[np.float32]]:
        """See `svertka.data.preparing.Preparation.regions`."""
        del contents, positions, advance
        return {}

    def placed(
        self, annotation: Annotation, size: tuple[int, int], regions: NDArray[np.float32] | None = None
    ) -> Annotation:
        """See `svertka.data.preparing.Preparation.placed`."""
        del size, regions
        return annotation

    def remembered(self, prepared: Prepared, part: str, kept: Kept) -> Inputs:
        """See `remembered_inputs`."""
        del prepared, part
        return kept.remembered


class ImageHandling(Handling):
    """Images with labels."""

    more_findings = "More: svertka check"

    def load(self, sources: Sequence[Source], transform: InputTransform, advance: Advance | None) -> Contents:
        """See `svertka.data.preparing.Preparation.load`."""
        return load_images(sources, _of_images(transform), advance=advance)

    def looks(self, contents: Contents, notes: list[str]) -> Looks:
        """See `svertka.data.preparing.Preparation.looks`."""
        return looks_of(_images(contents), notes)

    def regions(
        self, contents: Contents, positions: Sequence[int], advance: Advance | None
    ) -> Mapping[int, NDArray[np.float32]]:
        """See `svertka.data.preparing.Preparation.regions`."""
        return proposed(_images(contents), positions, advance=advance)

    def measured(self, contents: Contents, positions: NDArray[np.int64]) -> InputTransform:
        """See `svertka.data.preparing.Preparation.measured`."""
        images = _images(contents)
        mean, std = images.statistics(positions)
        return dataclasses.replace(images.preprocess, mean=mean, std=std)

    def inputs(self, prepared: Prepared, part: str, wanted: Wanted) -> Inputs:
        """See `Handling.inputs`."""
        positions, preprocess = prepared.parts[part].positions, _of_images(wanted.transform)
        return Pixels(prepared.images, positions, preprocess, wanted.augmentations, wanted.seed)

    def golden(self, prepared: Prepared, part: str, transform: InputTransform) -> list[NDArray[Any]]:
        """See `Handling.golden`."""
        small = _middle if _of_images(transform).fit == "whole" else _small
        return [small(value) for value in some_values(prepared, part)]

    def findings(self, prepared: Prepared) -> list[Finding]:
        """See `Handling.findings`."""
        return quick_findings_of_images(prepared)


class BoxHandling(ImageHandling):
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

    def inputs(self, prepared: Prepared, part: str, wanted: Wanted) -> Inputs:
        """See `Handling.inputs`."""
        positions, preprocess = prepared.parts[part].positions, _of_images(wanted.transform)
        return Boxed(prepared.images, positions, preprocess, wanted.augmentations, wanted.seed)

    def remembered(self, prepared: Prepared, part: str, kept: Kept) -> Inputs:
        """See `remembered_inputs`."""
        del prepared, part
        return RememberedBoxed(kept.remembered, kept.views, kept.size)


class MaskHandling(ImageHandling):
    """Masks, which are images themselves: learnt from in pieces, and judged by whole."""

    def decoded(self, labels: Sequence[Annotation], contents: Contents, advance: Advance | None) -> Images | None:
        """See `svertka.data.preparing.Preparation.decoded`."""
        images = _images(contents)
        if images.shapes is None:  # of images that are not whole it is not known where their pixels have gone
            return None
        masks = load_masks([label for label in labels if isinstance(label, Mask)], advance=advance)
        images.errors.update({place: error for place, error in masks.errors.items() if place not in images.errors})
        assert masks.shapes is not None
        for place, (image, mask) in enumerate(zip(images.shapes, masks.shapes, strict=True)):
            if place not in images.errors and image[:2] != mask[:2]:
                images.errors[place] = f"its mask is {mask[1]}×{mask[0]}, and the image {image[1]}×{image[0]}"
        return masks

    def inputs(self, prepared: Prepared, part: str, wanted: Wanted) -> Inputs:
        """See `Handling.inputs`."""
        if prepared.masks is None:
            return super().inputs(prepared, part, wanted)
        positions, preprocess = prepared.parts[part].positions, _of_images(wanted.transform)
        if not wanted.learning:
            return Whole(prepared.images, prepared.masks, positions, preprocess)
        return Crops(prepared.images, prepared.masks, positions, preprocess, wanted.augmentations, wanted.seed)

    def remembered(self, prepared: Prepared, part: str, kept: Kept) -> Inputs:
        """See `remembered_inputs`."""
        if kept.cut is None or prepared.masks is None:
            return kept.remembered
        pieces, chosen = kept.cut
        place = {position: number for number, position in enumerate(prepared.parts[part].positions.tolist())}
        samples = np.array([place[position] for position in pieces.places[chosen, 0].tolist()], np.int64)
        return RememberedPieces(kept.remembered, kept.views, pieces, prepared.masks, chosen, samples)


def inputs_of(
    prepared: Prepared,
    part: str,
    transform: InputTransform,
    *,
    learning: bool = False,
    augmentations: Sequence[str] = (),
    seed: int = 0,
) -> Inputs:
    """What a network gets of a part: of images to learn from augmented pixels, and of whole ones a piece each.

    Args:
        prepared: The data.
        part: Its name.
        transform: Its arithmetic is applied.
        learning: Whether the network learns from these.
        augmentations: Names, in order; of what is learnt from.
        seed: Of the run.
    """
    return handling_for(prepared).inputs(
        prepared, part, Wanted(transform, learning, augmentations if learning else (), seed)
    )


def remembered_inputs(prepared: Prepared, part: str, kept: Kept) -> Inputs:
    """What is remembered of a part, with what moves as its samples do.

    Args:
        prepared: The data.
        part: Its name.
        kept: What frozen stages gave.
    """
    return handling_for(prepared).remembered(prepared, part, kept)


def handling_for(prepared: Prepared) -> Handling:
    """The handling of a data set, by its medium and by the task that its annotations ask for."""
    found = prepared.handling
    assert isinstance(found, Handling)
    return found


def some_values(prepared: Prepared, part: str) -> list[NDArray[Any]]:
    """The values of a few samples of a part, evenly spread over it, as their sources give them."""
    positions = prepared.parts[part].positions
    chosen = positions[np.linspace(0, len(positions) - 1, min(_GOLDEN, len(positions))).astype(int)]
    return [prepared.samples[position].source.load()[0] for position in chosen]


def _images(contents: Contents) -> Images:
    assert isinstance(contents, Images)
    return contents


def _of_images(transform: InputTransform) -> Preprocess:
    assert isinstance(transform, Preprocess)
    return transform


def _small(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    picture = Image.fromarray(image)
    picture.thumbnail((_GOLDEN_SIDE, _GOLDEN_SIDE))
    return np.asarray(picture)


def _middle(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    # What is taken whole is not made smaller. All of one size, so that they can be run together.
    places = [mirrored((length - _GOLDEN_SIDE) // 2, _GOLDEN_SIDE, length) for length in image.shape[:2]]
    return image[np.ix_(*places)]

"""Augmentation of a whole batch at once; what happens to a sample depends on (seed, epoch, index) alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from svertka.data.augmentation import geometry
from svertka.data.augmentation.box_crop import part_moves, zoom_out, zoom_out_moves
from svertka.data.augmentation.changes import (
    Chance,
    Pixels,
    affine,
    affine_moves,
    box_crop,
    colour,
    crop,
    crop_moves,
    elastic,
    elastic_points,
    erasing,
    flip,
    flip_moves,
    flip_vertical,
    flip_vertical_moves,
    randaugment,
    randaugment_moves,
    resized_crop,
    resized_crop_moves,
    rotation,
    rotation_moves,
    warped,
)
from svertka.data.augmentation.geometry import Moves
from svertka.data.augmentation.mixing import MIXTURES
from svertka.data.augmentation.mosaic import MOSAIC
from svertka.data.chance import uniform
from svertka.errors import UserError, nearest
from svertka.plugins import Registry, lacks
from svertka.signatures import checked_class

_LEFT = 0.25  # of a box that stays; one of which less is left is dropped


_OF_SEVERAL = (*MIXTURES, MOSAIC)


@checked_class
@dataclass(frozen=True)
class Augmentation:
    """An augmentation, one way to change images.

    Attributes:
        name: As a recipe has it.
        pixels: Takes and gives images ``(N, H, W, C)`` uint8.
        moves: Where their points go, by height, width and the same chance; None if every point stays.
        points: The same for what is no matrix: where every pixel comes from, ``(N, 2, H, W)``.
        around: Moves that depend on the boxes of each sample; they are made instead of ``pixels`` where there are some.
    """

    registers: ClassVar[str] = "augmentation"

    name: str
    pixels: Callable[[Pixels, Chance], Pixels]
    moves: Callable[[int, int, Chance], Moves] | None = None
    points: Callable[[int, int, Chance], NDArray[np.float64]] | None = None
    around: Callable[[int, int, Chance, Sequence[NDArray[np.floating]]], Moves] | None = None

    def check_parts(self) -> None:
        """See `svertka.plugins.Registrable.check_parts`."""
        if self.name in (*_OF_SEVERAL, "none"):
            raise UserError(f"an augmentation of a plug-in is called {self.name!r}, and so is one of Svertka's")
        if not callable(self.pixels):
            raise lacks("augmentation", self.name, "pixels", "a function of images and chance")


_OWN = (
    Augmentation("flip", flip, flip_moves),
    Augmentation("flip_vertical", flip_vertical, flip_vertical_moves),
    Augmentation("crop", crop, crop_moves),
    Augmentation("resized_crop", resized_crop, resized_crop_moves),
    Augmentation("affine", affine, affine_moves),
    Augmentation("rotation", rotation, rotation_moves),
    Augmentation("elastic", elastic, points=elastic_points),
    Augmentation("colour", colour),
    Augmentation("randaugment", randaugment, randaugment_moves),
    Augmentation("erasing", erasing),
    Augmentation("box_crop", box_crop, around=part_moves),
    Augmentation("zoom_out", zoom_out, zoom_out_moves),
)

OWN = {"augmentation": lambda: _OWN}
"""Svertka's own things for `svertka.plugins`, by kind."""

AUGMENTATIONS: Registry[Augmentation] = Registry("augmentation")


def check_names(names: Sequence[str]) -> None:
    """Check that there are augmentations of these names.

    Raises:
        UserError: There is none of one name.
    """
    known = (*AUGMENTATIONS, *_OF_SEVERAL, "none")
    for name in names:
        if name not in known[:-1]:
            raise UserError(f"unknown augmentation {name!r}", mend=nearest(name, known))


def augment(batch: Pixels, names: Sequence[str], *, seed: int, epoch: int, indices: NDArray[np.int64]) -> Pixels:
    """Apply the named augmentations in order to images ``(N, H, W, C)`` uint8; mixtures are passed over.

    Args:
        batch: The images.
        names: Keys of `AUGMENTATIONS`.
        seed, epoch: Of the run.
        indices: Which sample of the training set each image is.

    Raises:
        UserError: There is no augmentation of that name.
    """
    for augmentation, chance in _steps(names, seed, epoch, indices):
        batch = augmentation.pixels(batch, chance)
    return batch


class Augmented(NamedTuple):
    """Images with what is said of them, moved together.

    Attributes:
        images: ``(N, H, W, C)`` uint8.
        masks: ``(N, H, W)`` uint8, 255 where the source has nothing; None if there were none.
        boxes: Of each sample ``(K, 4)`` float32 left, top, right, bottom in pixels, clipped; those of which less than a
            quarter is left are dropped.
        kept: Of each sample, which of its boxes these are.
    """

    images: Pixels
    masks: Pixels | None
    boxes: list[NDArray[np.float32]]
    kept: list[NDArray[np.int64]]


def augment_together(
    batch: Pixels,
    names: Sequence[str],
    *,
    seed: int,
    epoch: int,
    indices: NDArray[np.int64],
    masks: Pixels | None = None,
    boxes: Sequence[NDArray[np.floating]] = (),
    objects: Sequence[NDArray[np.bool_]] = (),
) -> Augmented:
    """As `augment`, with masks ``(N, H, W)`` and boxes, of each sample ``(K, 4)``.

    Args:
        batch, names, seed, epoch, indices: See `augment`.
        masks, boxes: What moves with the images.
        objects: Which of the boxes show an object, ``(K,)`` of each sample; all do, if not given.

    Raises:
        UserError: There is no augmentation of that name.
    """
    height, width = batch.shape[1:3]
    found = [np.asarray(sample, np.float32).reshape(-1, 4) for sample in boxes]
    left = [np.ones(len(sample)) for sample in found]
    for augmentation, chance in _steps(names, seed, epoch, indices):
        moves = None
        if augmentation.around is not None:
            shown = objects or [np.ones(len(sample), bool) for sample in found]
            there = [sample[(share >= _LEFT) & own] for sample, share, own in zip(found, left, shown, strict=True)]
            moves = augmentation.around(height, width, chance, there or [np.empty((0, 4))] * len(batch))
            batch = warped(batch, moves)
        else:
            batch = augmentation.pixels(batch, chance)
        if augmentation.points is not None:
            points = augmentation.points(height, width, chance)
            masks = None if masks is None else geometry.sample_masks(masks, points)
            found = [geometry.sample_boxes(sample, where) for sample, where in zip(found, points, strict=False)]
        if augmentation.moves is not None:
            moves = augmentation.moves(height, width, chance)
        if moves is None:
            continue
        if masks is not None:
            masks = geometry.move_masks(masks, moves)
        for number, sample in enumerate(found):
            found[number], share = geometry.move_boxes(sample, moves[number], height, width)
            left[number] *= share
    kept = [np.flatnonzero(shares >= _LEFT) for shares in left]
    return Augmented(batch, masks, [sample[chosen] for sample, chosen in zip(found, kept, strict=True)], kept)


def _steps(
    names: Sequence[str], seed: int, epoch: int, indices: NDArray[np.int64]
) -> Iterator[tuple[Augmentation, Chance]]:
    check_names(names)
    for place, name in enumerate(names):
        if name in _OF_SEVERAL:
            continue

        def chance(number: int, place: int = place) -> NDArray[np.float64]:
            return uniform(seed, epoch, indices, 1000 * place + number)

        yield AUGMENTATIONS[name], chance

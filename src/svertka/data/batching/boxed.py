"""Images with boxes in them, which move together when they are augmented."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from svertka.data.augmentation import geometry
from svertka.data.augmentation.augment import augment_together
from svertka.data.cache.images import Images
from svertka.data.cache.memory import VIEWS, Remembered
from svertka.runtime.preprocess import Preprocess

Targets = NDArray[np.generic]
"""What a task made of the boxes of each sample, ``(n, M, 6)`` float32: the number of the class, or -1 where there is
none; left, top, right and bottom as fractions of the image's width and height; and what kind of box it is."""

_ABSENT = -1.0
_PROPOSED = 3.0  # the kind that is no object, but a region where one may be
_SIDES = slice(1, 5)
_AT_ONCE = 16


@dataclass(frozen=True)
class Boxed:
    """Images and the boxes in them: `svertka.data.batching.batches.Inputs` and `svertka.data.batching.batches.Paired`.

    Attributes:
        images: All images of the data set, as the network takes them.
        positions: Where the samples of this part stand among them.
        preprocess: Its arithmetic is applied here; the geometry was applied when decoding.
        augmentations: Names, in order; empty for a part that is judged by.
        seed: Of the run.
    """

    images: Images
    positions: NDArray[np.int64]
    preprocess: Preprocess
    augmentations: Sequence[str] = ()
    seed: int = 0

    @property
    def at_once(self) -> int:
        """Samples that a batch holds, at most, where they are judged: images with boxes are large."""
        return 1 if self.preprocess.regions else _AT_ONCE

    def __len__(self) -> int:
        return len(self.positions)

    def take(self, indices: NDArray[np.int64], epoch: int) -> NDArray[np.float32]:
        """See `svertka.data.batching.batches.Inputs.take`."""
        return self.pair(indices, epoch, np.zeros((len(indices), 0, 6), np.float32))[0]

    def pair(
        self, indices: NDArray[np.int64], epoch: int, targets: Targets
    ) -> tuple[NDArray[np.float32], NDArray[np.generic]]:
        """See `svertka.data.batching.batches.Paired.pair`; ``targets`` are those of the module."""
        pixels = self.images.take(self.positions[indices])
        if not self.augmentations:
            return self.preprocess.normalise(pixels), targets
        rows, pixel = _told(targets), _pixel(*pixels.shape[1:3])
        moved = augment_together(
            pixels,
            self.augmentations,
            seed=self.seed,
            epoch=epoch,
            indices=indices,
            boxes=[told[:, _SIDES] / pixel for told in rows],
            objects=[told[:, 5] != _PROPOSED for told in rows],
        )
        rows = [
            _with_sides(told[kept], sides * pixel)
            for told, sides, kept in zip(rows, moved.boxes, moved.kept, strict=True)
        ]
        return self.preprocess.normalise(moved.images), _padded(rows, targets)


@dataclass(frozen=True)
class RememberedBoxed:
    """What frozen stages made of images, and the boxes in these, as inputs of what learns behind them.

    Attributes:
        remembered: Of the images.
        views: By name, in the order in which they were remembered.
        size: Height and width of the images, in pixels.
    """

    remembered: Remembered
    views: Sequence[str]
    size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.remembered)

    def take(self, indices: NDArray[np.int64], epoch: int) -> NDArray[np.float32]:
        """See `svertka.data.batching.batches.Inputs.take`."""
        return self.remembered.take(indices, epoch)

    def pair(
        self, indices: NDArray[np.int64], epoch: int, targets: Targets
    ) -> tuple[NDArray[np.float32], NDArray[np.generic]]:
        """See `svertka.data.batching.batches.Paired.pair`; ``targets`` are those of the module."""
        rows, pixel = _told(targets), _pixel(*self.size)
        for number, view in enumerate(self.remembered.views(indices, epoch).tolist()):
            if self.views[view] != "identity":
                # Where every pixel of the view comes from, found by looking at an image of the places themselves.
                places = geometry.middles(*self.size).transpose(1, 2, 0)[None]
                seen = VIEWS[self.views[view]](places)[0].transpose(2, 0, 1)
                sides = geometry.sample_boxes(rows[number][:, _SIDES] / pixel, seen)
                rows[number] = _with_sides(rows[number], sides * pixel)
        return self.take(indices, epoch), _padded(rows, targets)


def _told(targets: Targets) -> list[NDArray[np.float32]]:
    """Of every sample, the rows of the boxes that it has."""
    return [sample[sample[:, 0] != _ABSENT] for sample in targets.astype(np.float32, copy=False)]


def _pixel(height: int, width: int) -> NDArray[np.float32]:
    """Width and height of a pixel, twice, as a fraction of the image's."""
    return np.array([1 / width, 1 / height] * 2, np.float32)


def _with_sides(rows: NDArray[np.float32], sides: NDArray[np.float32]) -> NDArray[np.float32]:
    """The rows with other sides, but for those that have no area then."""
    changed = rows.copy()
    changed[:, _SIDES] = sides
    there = (changed[:, 3] > changed[:, 1]) & (changed[:, 4] > changed[:, 2])
    kept: NDArray[np.float32] = changed[there]
    return kept


def _padded(rows: Sequence[NDArray[np.float32]], like: Targets) -> NDArray[np.float32]:
    result = np.zeros(like.shape, np.float32)
    result[..., 0] = _ABSENT
    for sample, told in zip(result, rows, strict=True):
        sample[: len(told)] = told
    return result

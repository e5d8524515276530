"""Images with masks over them: cut out of whole images to learn from, and whole to judge by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from svertka.data.augmentation.augment import augment_together
from svertka.data.cache.images import Images
from svertka.data.cache.memory import VIEWS, Remembered
from svertka.data.chance import uniform
from svertka.runtime.preprocess import Preprocess
from svertka.runtime.tiling import mirrored

_PLACE = 778  # tells the choice of a place from other random numbers of a sample


@dataclass(frozen=True)
class Whole:
    """Whole images and their masks, to judge by: one at a time, since they differ in size.

    Attributes:
        images: All images of the data set.
        masks: Their masks.
        positions: Where the samples of this part stand among them.
        preprocess: Its arithmetic is applied here.
    """

    images: Images
    masks: Images
    positions: NDArray[np.int64]
    preprocess: Preprocess

    at_once = 1
    """Samples that a batch holds."""

    def __len__(self) -> int:
        return len(self.positions)

    def take(self, indices: NDArray[np.int64], epoch: int) -> NDArray[np.float32]:
        """See `svertka.data.batching.batches.Inputs.take`: ``(n, C, H, W)`` of images of one size."""
        del epoch
        return self.preprocess.normalise(self.images.take(self.positions[indices]))

    def pair(
        self, indices: NDArray[np.int64], epoch: int, targets: NDArray[np.generic]
    ) -> tuple[NDArray[np.float32], NDArray[np.generic]]:
        """See `svertka.data.batching.batches.Paired.pair`; ``targets`` are `numbered`'s tables."""
        masks = self.masks.take(self.positions[indices])[..., 0]
        return self.take(indices, epoch), numbered(masks, targets)


@dataclass(frozen=True)
class Crops:
    """Pieces of whole images and their masks, to learn from: each time another place, augmented.

    Attributes:
        images: All images of the data set.
        masks: Their masks.
        positions: Where the samples of this part stand among them.
        preprocess: Its size is that of a piece; a smaller image is mirrored at its borders.
        augmentations: Names, in order.
        seed: Of the run.
    """

    images: Images
    masks: Images
    positions: NDArray[np.int64]
    preprocess: Preprocess
    augmentations: Sequence[str] = ()
    seed: int = 0

    def __len__(self) -> int:
        return len(self.positions)

    def take(self, indices: NDArray[np.int64], epoch: int) -> NDArray[np.float32]:
        """See `svertka.data.batching.batches.Inputs.take`."""
        return self.pair(indices, epoch, np.zeros((len(indices), 256), np.uint8))[0]

    def pair(
        self, indices: NDArray[np.int64], epoch: int, targets: NDArray[np.generic]
    ) -> tuple[NDArray[np.float32], NDArray[np.generic]]:
        """See `svertka.data.batching.batches.Paired.pair`; ``targets`` are `numbered`'s tables."""
        positions = self.positions[indices]
        size = self.preprocess.height, self.preprocess.width
        chances = [uniform(self.seed, epoch, indices, _PLACE + axis).tolist() for axis in range(2)]
        images, masks = [], []
        for image, mask, *drawn in zip(self.images.each(positions), self.masks.each(positions), *chances, strict=True):
            places = [
                mirrored(_begin(length, side, chance), side, length)
                for length, side, chance in zip(image.shape, size, drawn, strict=False)
            ]
            cut = np.ix_(*places)
            images.append(image[cut])
            masks.append(mask[cut][..., 0])
        moved = augment_together(
            np.stack(images),
            self.augmentations,
            seed=self.seed,
            epoch=epoch,
            indices=indices,
            masks=np.stack(masks),
        )
        assert moved.masks is not None
        return self.preprocess.normalise(moved.images), numbered(moved.masks, targets)


class Pieces:
    """Whole images cut into pieces that cover them, each of one size: what frozen stages are run on.

    Args:
        images: All images of the data set.
        preprocess: Its size is that of a piece; smaller images are mirrored at their borders.
    """

    def __init__(self, images: Images, preprocess: Preprocess) -> None:
        assert images.shapes is not None
        self._images, self.preprocess = images, preprocess
        found = [
            (number, top, left)
            for number, (height, width, *_) in enumerate(images.shapes)
            for top in _begins(height, preprocess.height)
            for left in _begins(width, preprocess.width)
        ]
        self.places = np.array(found, np.int64).reshape(-1, 3)
        self.digests = [f"{images.digests[number]} {top} {left}" for number, top, left in found]

    def of(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Which pieces are of the images at these positions."""
        return np.flatnonzero(np.isin(self.places[:, 0], positions))

    def take(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Pieces ``(n, height, width, channels)`` uint8."""
        return self.cut(self._images, positions)

    def cut(self, images: Images, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        """These pieces of other images over the same, such as masks."""
        size = self.preprocess.height, self.preprocess.width
        cut = []
        for number, *begins in self.places[positions].tolist():
            image = images.each(np.array([number]))[0]
            places = [
                mirrored(begin, side, length) for begin, side, length in zip(begins, size, image.shape, strict=False)
            ]
            cut.append(image[np.ix_(*places)])
        return np.stack(cut)


@dataclass(frozen=True)
class RememberedPieces:
    """What frozen stages made of pieces, and the masks of these, as inputs of what learns behind them.

    Attributes:
        remembered: Of the pieces.
        views: By name, in the order in which they were remembered.
        pieces: All of the data set.
        masks: Of the whole images.
        chosen: Which pieces these are.
        samples: Which sample of its part each is of.
    """

    remembered: Remembered
    views: Sequence[str]
    pieces: Pieces
    masks: Images
    chosen: NDArray[np.int64]
    samples: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.chosen)

    def take(self, indices: NDArray[np.int64], epoch: int) -> NDArray[np.float32]:
        """See `svertka.data.batching.batches.Inputs.take`."""
        return self.remembered.take(indices, epoch)

    def pair(
        self, indices: NDArray[np.int64], epoch: int, targets: NDArray[np.generic]
    ) -> tuple[NDArray[np.float32], NDArray[np.generic]]:
        """See `svertka.data.batching.batches.Paired.pair`; ``targets`` are `numbered`'s tables."""
        masks = self.pieces.cut(self.masks, self.chosen[indices])
        views = self.remembered.views(indices, epoch)
        for number in np.unique(views):
            masks[views == number] = VIEWS[self.views[number]](masks[views == number])
        return self.take(indices, epoch), numbered(masks[..., 0], targets)


def numbered(masks: NDArray[np.uint8], tables: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Masks ``(n, H, W)`` with the numbers that the network's classes have.

    Args:
        masks: As their files number the classes.
        tables: By sample and number in the file, the number of the network, ``(n, 256)``; 255 for void.
    """
    rows = np.arange(len(masks))[:, None, None]
    found: NDArray[np.uint8] = tables[rows, masks].astype(np.uint8)
    return found


def _begins(length: int, side: int) -> list[int]:
    # As few pieces as cover a line, spread evenly; a shorter line stands in the middle of one.
    count = -(-length // side)
    if count == 1:
        return [(length - side) // 2]
    return [round(number * (length - side) / (count - 1)) for number in range(count)]


def _begin(length: int, side: int, chance: float) -> int:
    # Where a piece begins: anywhere within the image, or so that all of a smaller one is in it.
    return int(chance * (length - side + 1)) if length >= side else -int(chance * (side - length + 1))

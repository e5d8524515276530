"""What a network gets of a part of a data set: its pixels, or what frozen stages made of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from svertka.data.batching.batches import Inputs, Pixels
from svertka.data.batching.boxed import Boxed, RememberedBoxed
from svertka.data.batching.laid import Crops, Pieces, RememberedPieces, Whole
from svertka.data.cache.memory import Remembered
from svertka.data.preparing import Prepared
from svertka.runtime.preprocess import Preprocess


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
    positions = prepared.parts[part].positions
    if prepared.boxed:
        return Boxed(prepared.images, positions, preprocess, augmentations if learning else (), seed)
    if prepared.masks is None:
        return Pixels(prepared.images, positions, preprocess, augmentations if learning else (), seed)
    if learning:
        return Crops(prepared.images, prepared.masks, positions, preprocess, augmentations, seed)
    return Whole(prepared.images, prepared.masks, positions, preprocess)


def remembered_inputs(
    prepared: Prepared,
    part: str,
    remembered: Remembered,
    views: Sequence[str],
    size: tuple[int, int],
    cut: tuple[Pieces, NDArray[np.int64]] | None,
) -> Inputs:
    """What is remembered of a part, with what moves as its images do.

    Args:
        prepared: The images, and what is said of them.
        part: Its name.
        remembered: What stages made of every image, or of every piece.
        views: By name, in the order in which they were remembered.
        size: Height and width that the stages saw, in pixels.
        cut: Where whole images were cut into pieces: these, and which of them are of this part.
    """
    if prepared.boxed:
        return RememberedBoxed(remembered, views, size)
    if cut is None or prepared.masks is None:
        return remembered
    pieces, chosen = cut
    place = {position: number for number, position in enumerate(prepared.parts[part].positions.tolist())}
    samples = np.array([place[position] for position in pieces.places[chosen, 0].tolist()], np.int64)
    return RememberedPieces(remembered, views, pieces, prepared.masks, chosen, samples)

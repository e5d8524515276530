"""What is learnt from: samples that are mixed, laid side by side, or known by what frozen stages made of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svertka.data.augmentation.mixing import MIXTURES, Mixing
from svertka.data.augmentation.mosaic import MOSAIC, Mosaic
from svertka.data.batching.batches import Inputs, Part, Pixels
from svertka.data.batching.boxed import Boxed, RememberedBoxed
from svertka.data.batching.laid import Crops
from svertka.errors import UserError


def are_images(inputs: Inputs) -> bool:
    """Whether these are images, and not what stages made of them."""
    return isinstance(inputs, Pixels | Crops | Boxed)


def part_of(inputs: Inputs, targets: NDArray[np.generic], seed: int) -> Part:
    """Samples as they are.

    Args:
        inputs: What the network gets of each.
        targets: Of every sample; of a sample there may be several pieces among the inputs.
        seed: Of the run.
    """
    return Part(inputs, targets[getattr(inputs, "samples", slice(None))], seed)


def learnt_part(
    inputs: Inputs,
    targets: NDArray[np.generic],
    seed: int,
    names: Sequence[str],
    mixed: Callable[[NDArray[Any], NDArray[Any], NDArray[np.float64]], NDArray[Any]],
) -> Part:
    """Samples to learn from, mixed and laid side by side where they are images.

    Args:
        inputs, targets, seed: See `part_of`.
        names: Of all augmentations.
        mixed: Makes targets of those of two samples and the share of the first.

    Raises:
        UserError: There are no boxes, and mosaics are asked for.
    """
    if MOSAIC in names and not isinstance(inputs, Boxed | RememberedBoxed):
        raise UserError("mosaics are of images with boxes", mend="leave mosaic out of --augment")
    part = part_of(inputs, targets, seed)
    if not are_images(inputs):
        return part
    mixtures = [name for name in names if name in MIXTURES]
    mixing = Mixing(mixtures, mixed, seed) if mixtures else None
    return replace(part, mixing=mixing, mosaic=Mosaic(seed) if MOSAIC in names else None)

"""Augmentations that mix two samples, and so their targets: mixup and cutmix.

The other sample is any of the part, not of the batch: what a sample becomes depends on (seed, epoch, index) alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svertka.data.chance import uniform

_MIXING = 555  # tells these random numbers of a sample from others
_ALPHA = 0.2  # of mixup's beta distribution

Inputs = NDArray[np.float32]
Numbers = NDArray[np.float64]


def mixup(
    inputs: NDArray[np.float32], others: NDArray[np.float32], draws: Numbers
) -> tuple[NDArray[np.float32], Numbers]:
    """Lay the other image over this one.

    H. Zhang et al., "mixup: Beyond Empirical Risk Minimization", 2017: shares from Beta(0.2, 0.2).
    """
    from scipy.special import betaincinv

    shares: Numbers = betaincinv(_ALPHA, _ALPHA, draws[0])
    weight = shares.astype(np.float32)[:, None, None, None]
    return weight * inputs + (1 - weight) * others, shares


def cutmix(
    inputs: NDArray[np.float32], others: NDArray[np.float32], draws: Numbers
) -> tuple[NDArray[np.float32], Numbers]:
    """Put a rectangle of the other image in its place; the share is that of the area that is left.

    S. Yun et al., "CutMix", 2019: areas from Beta(1, 1), and the middle anywhere.
    """
    height, width = inputs.shape[2:]
    half = np.sqrt(1 - draws[0]) / 2
    result, shares = inputs.copy(), np.empty(len(inputs))
    for number, (side, x, y) in enumerate(zip(half, draws[1], draws[2], strict=True)):
        left, right = (round(float(np.clip(x + way * side, 0, 1)) * width) for way in (-1, 1))
        top, bottom = (round(float(np.clip(y + way * side, 0, 1)) * height) for way in (-1, 1))
        result[number, :, top:bottom, left:right] = others[number, :, top:bottom, left:right]
        shares[number] = 1 - (bottom - top) * (right - left) / (height * width)
    return result, shares


Mixture = Callable[[Inputs, Inputs, Numbers], tuple[Inputs, Numbers]]

MIXTURES: dict[str, Mixture] = {"mixup": mixup, "cutmix": cutmix}
"""What a recipe can name. Each takes inputs ``(N, C, H, W)``, others of that shape and random numbers ``(3, N)``, and
gives what they become and the share ``(N,)`` of the first in them."""


@dataclass(frozen=True)
class Mixing:
    """How the samples of a part are mixed.

    Attributes:
        names: Keys of `MIXTURES`; of several, each sample takes one.
        targets: Makes targets of those of two samples and the share of the first, ``(N,)``.
        seed: Of the run.
    """

    names: Sequence[str]
    targets: Callable[[NDArray[Any], NDArray[Any], Numbers], NDArray[Any]]
    seed: int = 0

    def partners(self, indices: NDArray[np.int64], epoch: int, count: int) -> NDArray[np.int64]:
        """Which of ``count`` samples each is mixed with in this epoch."""
        return (uniform(self.seed, epoch, indices, _MIXING, 0) * count).astype(np.int64)

    def mix(self, inputs: Inputs, others: Inputs, indices: NDArray[np.int64], epoch: int) -> Numbers:
        """Mix the others into the inputs, in place; the share of the inputs in what they become, ``(N,)``."""
        draws = np.stack([uniform(self.seed, epoch, indices, _MIXING, number) for number in range(1, 5)])
        which = (draws[3] * len(self.names)).astype(int)
        shares = np.ones(len(inputs))
        for number, name in enumerate(self.names):
            mine = which == number
            if mine.any():
                # In place, since kernels give other last bits where memory begins elsewhere.
                inputs[mine], shares[mine] = MIXTURES[name](inputs[mine], others[mine], draws[:3, mine])
        return shares

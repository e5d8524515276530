"""Augmentation of a whole batch at once; what happens to a sample depends on (seed, epoch, index) alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from svertka.data.chance import uniform
from svertka.errors import UserError, nearest

Chance = Callable[[int], NDArray[np.float64]]
"""The k-th random number in [0, 1) of every sample of the batch."""

_SHIFT = 1 / 8  # of the side
_DEGREES, _SCALE, _DRIFT = 10.0, 0.1, 0.06


def flip(batch: NDArray[np.uint8], chance: Chance) -> NDArray[np.uint8]:
    """Mirror every other image, left to right."""
    mirrored = chance(0) < 0.5
    result = batch.copy()
    result[mirrored] = batch[mirrored, :, ::-1]
    return result


def crop(batch: NDArray[np.uint8], chance: Chance) -> NDArray[np.uint8]:
    """Shift by up to an eighth of the side each way: pad with the border's pixels and cut the old size out."""
    height, width = batch.shape[1:3]
    down, right = max(1, round(height * _SHIFT)), max(1, round(width * _SHIFT))
    padded = np.pad(batch, ((0, 0), (down, down), (right, right), (0, 0)), mode="edge")
    tops = (chance(0) * (2 * down + 1)).astype(int).tolist()
    lefts = (chance(1) * (2 * right + 1)).astype(int).tolist()
    result = np.empty_like(batch)
    for number, (top, left) in enumerate(zip(tops, lefts, strict=True)):
        result[number] = padded[number, top : top + height, left : left + width]
    return result


def affine(batch: NDArray[np.uint8], chance: Chance) -> NDArray[np.uint8]:
    """Turn by up to 10 degrees, scale by up to a tenth, shift by up to 6 % of the side; borders are repeated."""
    angle = np.deg2rad(_DEGREES) * (2 * chance(0) - 1)
    scale = 1 + _SCALE * (2 * chance(1) - 1)
    drift = 2 * _DRIFT * (2 * np.stack([chance(2), chance(3)], axis=1) - 1)  # the grid goes from -1 to 1
    aspect = batch.shape[2] / batch.shape[1]
    rows = np.empty((len(batch), 2, 3))
    rows[:, 0, 0] = rows[:, 1, 1] = np.cos(angle) / scale
    rows[:, 0, 1] = -np.sin(angle) / scale / aspect
    rows[:, 1, 0] = np.sin(angle) / scale * aspect
    rows[:, :, 2] = drift
    images = torch.from_numpy(np.ascontiguousarray(batch.transpose(0, 3, 1, 2))).float()
    grid = F.affine_grid(torch.from_numpy(rows).float(), list(images.shape), align_corners=False)
    moved = F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
    result: NDArray[np.uint8] = moved.round_().clamp_(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()
    return result


AUGMENTATIONS: dict[str, Callable[[NDArray[np.uint8], Chance], NDArray[np.uint8]]] = {
    "flip": flip,
    "crop": crop,
    "affine": affine,
}
"""What can be named in a recipe. Each takes and gives ``(N, H, W, C)`` uint8."""


def augment(
    batch: NDArray[np.uint8], names: Sequence[str], *, seed: int, epoch: int, indices: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """Apply the named augmentations in order to images ``(N, H, W, C)`` uint8.

    Args:
        batch: The images.
        names: Keys of `AUGMENTATIONS`.
        seed, epoch: Of the run.
        indices: Which sample of the training set each image is.

    Raises:
        UserError: There is no augmentation of that name.
    """
    for place, name in enumerate(names):
        if name not in AUGMENTATIONS:
            raise UserError(f"unknown augmentation {name!r}", mend=nearest(name, AUGMENTATIONS))

        def chance(number: int, place: int = place) -> NDArray[np.float64]:
            return uniform(seed, epoch, indices, 1000 * place + number)

        batch = AUGMENTATIONS[name](batch, chance)
    return batch

"""Losses of masks, and what pixels count for in them: by class, and between objects that nearly touch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from svertka.annotations import Mask

VOID = 255
"""The target of a pixel of which nothing is learnt and nothing judged."""
_BORDER, _BORDER_WIDTH = 10.0, 5.0  # weight, and pixels, of the border between two objects, as published
_FAR = 1e6


def pixel_weights(masks: Sequence[Mask], classes: Sequence[str]) -> list[float]:
    """What a pixel of each class counts for if all classes are to count alike, by how many pixels there are of each."""
    counts: Counter[str] = Counter()
    for mask in masks:
        found = np.bincount(mask.source.load().ravel(), minlength=256)
        counts.update(dict(zip(mask.names, found[: len(mask.names)].tolist(), strict=True)))
    return [counts.total() / len(classes) / max(counts[name], 1) for name in classes]


def within(targets: Tensor, output: Tensor) -> Tensor:
    """The middle of targets ``(N, H', W')``, as large as the output ``(N, C, H, W)``."""
    height, width = output.shape[-2:]
    top, left = (targets.shape[-2] - height) // 2, (targets.shape[-1] - width) // 2
    return targets[:, top : top + height, left : left + width]


def dice_loss(probabilities: Tensor, targets: Tensor, said: Tensor) -> Tensor:
    """1 − Dice, softly, over the batch: the mean over the classes that occur in it.

    F. Milletari et al., "V-Net", 2016.

    Args:
        probabilities: ``(N, classes, H, W)``.
        targets: Class numbers ``(N, H, W)``.
        said: Where something is known of a pixel, ``(N, H, W)``.
    """
    there = F.one_hot(targets, probabilities.shape[1]).permute(0, 3, 1, 2) * said[:, None]
    axes = (0, 2, 3)
    both = (probabilities * there).sum(axes)
    total = (probabilities * said[:, None]).sum(axes) + there.sum(axes)
    present = there.sum(axes) > 0
    score = 2 * both / total.clamp(min=1e-6)
    return 1 - (score * present).sum() / present.sum().clamp(min=1)


def border_weights(targets: Tensor) -> Tensor:
    """10 · exp(−(d₁ + d₂)² / 2σ²), d₁ and d₂ the distances of a pixel to the nearest two objects, σ = 5 pixels.

    Objects are what hangs together of one class other than the first; their own pixels weigh no more.

    O. Ronneberger et al., "U-Net", 2015.

    Args:
        targets: ``(N, H, W)``.
    """
    from scipy import ndimage

    result = np.zeros(targets.shape, np.float32)
    for weights, target in zip(result, targets.cpu().numpy(), strict=True):
        nearest, second = np.full(target.shape, _FAR), np.full(target.shape, _FAR)
        for number in np.unique(target[(target != 0) & (target != VOID)]):
            labelled, count = ndimage.label(target == number)
            for place in range(1, count + 1):
                distance = ndimage.distance_transform_edt(labelled != place)
                second = np.minimum(second, np.maximum(nearest, distance))
                nearest = np.minimum(nearest, distance)
        outside = (target == 0) & (second < _FAR)
        weights[outside] = _BORDER * np.exp(-((nearest + second)[outside] ** 2) / (2 * _BORDER_WIDTH**2))
    return torch.from_numpy(result).to(targets.device)

"""Parts of an image that show some of its objects, to learn from enlarged; and images made small, for small objects.

W. Liu et al., "SSD: Single Shot MultiBox Detector", 2016, sections 2.2 and 3.6.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from svertka.data.augmentation import geometry
from svertka.data.augmentation.geometry import Moves

Chance = Callable[[int], NDArray[np.float64]]

_OVERLAPS = (0.1, 0.3, 0.5, 0.7, 0.9)  # of which one is asked for; or the whole image, or any part
_TRIALS = 20  # parts that are looked at, at most
_SHARE, _RATIO = (0.3, 1.0), (0.5, 2.0)  # of a part: of the sides' geometric mean, and of its width to its height
_DRAWN = 4  # random numbers a part
_LARGEST = 4.0  # times the side that an image is laid on


def part_moves(height: int, width: int, chance: Chance, boxes: Sequence[NDArray[np.floating]]) -> Moves:
    """Moves that enlarge a part of each image: one that an object overlaps by an IoU of at least so much, if there is.

    Args:
        height, width: Of the images, in pixels.
        chance: Random numbers.
        boxes: Of each sample left, top, right, bottom in pixels, ``(K, 4)``; without any, any part will do.
    """
    choice = (chance(0) * (len(_OVERLAPS) + 2)).astype(int)
    parts = np.stack([_part(height, width, chance, 1 + _DRAWN * trial) for trial in range(_TRIALS)], axis=1)
    moves = geometry.identity(len(choice))
    for number, (which, found) in enumerate(zip(choice.tolist(), boxes, strict=True)):
        if which == 0:
            continue
        least = _OVERLAPS[which - 1] if which <= len(_OVERLAPS) else 0.0
        there = np.asarray(found, np.float64)
        suits = _shows(parts[number], there, least)
        if not suits.any():  # as where all objects are small
            suits = _shows(parts[number], there, 0.0)
        if suits.any():
            left, top, right, bottom = parts[number, suits.argmax()]
            moves[number, 0, 0], moves[number, 0, 2] = (right - left) / width, left
            moves[number, 1, 1], moves[number, 1, 2] = (bottom - top) / height, top
    return moves


def _part(height: int, width: int, chance: Chance, first: int) -> NDArray[np.float64]:
    share = _SHARE[0] + (_SHARE[1] - _SHARE[0]) * chance(first)
    least, most = np.log(_RATIO)
    stretch = np.sqrt(np.exp(least + (most - least) * chance(first + 1)))
    wide, high = np.minimum(share * stretch, 1) * width, np.minimum(share / stretch, 1) * height
    left, top = chance(first + 2) * (width - wide), chance(first + 3) * (height - high)
    return np.stack([left, top, left + wide, top + high], axis=1)


def _shows(parts: NDArray[np.float64], boxes: NDArray[np.float64], least: float) -> NDArray[np.bool_]:
    """Which parts ``(P, 4)`` have the middle of an object in them, and overlap one enough."""
    if not len(boxes):
        return np.ones(len(parts), bool)
    sides = np.minimum(parts[:, None, 2:], boxes[:, 2:]) - np.maximum(parts[:, None, :2], boxes[:, :2])
    shared = sides.clip(min=0).prod(axis=2)
    areas = [(found[:, 2:] - found[:, :2]).prod(axis=1) for found in (parts, boxes)]
    overlaps = shared / (areas[0][:, None] + areas[1] - shared)
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    inside = np.all((middles > parts[:, None, :2]) & (middles < parts[:, None, 2:]), axis=2)
    shown: NDArray[np.bool_] = np.any(overlaps >= least, axis=1) & np.any(inside, axis=1)
    return shown


def zoom_out(batch: NDArray[np.uint8], chance: Chance) -> NDArray[np.uint8]:
    """Lay every other image, made up to four times smaller, anywhere on its mean colour."""
    import torch
    from torchvision.transforms.v2.functional import resize_image

    height, width = batch.shape[1:3]
    result = batch.copy()
    for number, (left, top, wide, high) in enumerate(_place(height, width, chance).tolist()):
        if (wide, high) != (width, height):
            image = torch.from_numpy(batch[number].transpose(2, 0, 1).copy())
            result[number] = batch[number].mean(axis=(0, 1)).round()
            small = resize_image(image, [high, wide], antialias=True).permute(1, 2, 0).numpy()
            result[number, top : top + high, left : left + wide] = small
    return result


def zoom_out_moves(height: int, width: int, chance: Chance) -> Moves:
    """Of `zoom_out`."""
    left, top, wide, high = _place(height, width, chance).T.astype(float)
    scale = width / wide, height / high
    return geometry.scaled(scale, (-left * scale[0], -top * scale[1]))


def _place(height: int, width: int, chance: Chance) -> NDArray[np.int64]:
    """Left, top, width and height of what each image becomes."""
    factor = np.where(chance(0) < 0.5, 1 + (_LARGEST - 1) * chance(1), 1.0)
    wide, high = np.maximum(np.rint(width / factor), 1), np.maximum(np.rint(height / factor), 1)
    left, top = np.floor(chance(2) * (width - wide + 1)), np.floor(chance(3) * (height - high + 1))
    return np.stack([left, top, wide, high], axis=1).astype(np.int64)

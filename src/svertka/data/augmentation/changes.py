"""Ways to change images: each of pixels, and beside it where their points go, by the same chance.

Each takes images ``(N, H, W, C)`` uint8 and gives as many; the moves beside it take height, width and the chance.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from svertka.data.augmentation import geometry
from svertka.data.augmentation.box_crop import part_moves
from svertka.data.augmentation.colour import change
from svertka.data.augmentation.geometry import Moves

Chance = Callable[[int], NDArray[np.float64]]
"""The k-th random number in [0, 1) of every sample of the batch."""
Pixels = NDArray[np.uint8]

_SHIFT = 1 / 8  # of the side
_DEGREES, _SCALE, _DRIFT = 10.0, 0.1, 0.06
_ROTATION = 30.0  # degrees
_BEND, _BENT_MOST = 0.02, 10.0  # of the side, and pixels: the deviation of what each of nine places moves by
_AREA, _RATIO = (0.25, 1.0), (3 / 4, 4 / 3)  # of what a resized crop takes
_JITTER, _HUE = 0.4, 0.1
_ERASED, _ERASED_RATIO = (0.02, 0.33), (0.3, 3.3)


def flip(batch: Pixels, chance: Chance) -> Pixels:
    """Mirror every other image, left to right."""
    mirrored = chance(0) < 0.5
    result = batch.copy()
    result[mirrored] = batch[mirrored, :, ::-1]
    return result


def flip_moves(height: int, width: int, chance: Chance) -> Moves:
    """Of `flip`."""
    del height
    mirrored = chance(0) < 0.5
    one, none = np.ones(len(mirrored)), np.zeros(len(mirrored))
    return geometry.scaled((np.where(mirrored, -1.0, 1.0), one), (np.where(mirrored, float(width), 0.0), none))


def flip_vertical(batch: Pixels, chance: Chance) -> Pixels:
    """Turn every other image upside down, as a mirror below it shows it."""
    mirrored = chance(0) < 0.5
    result = batch.copy()
    result[mirrored] = batch[mirrored, ::-1]
    return result


def flip_vertical_moves(height: int, width: int, chance: Chance) -> Moves:
    """Of `flip_vertical`."""
    del width
    mirrored = chance(0) < 0.5
    one, none = np.ones(len(mirrored)), np.zeros(len(mirrored))
    return geometry.scaled((one, np.where(mirrored, -1.0, 1.0)), (none, np.where(mirrored, float(height), 0.0)))


def crop(batch: Pixels, chance: Chance) -> Pixels:
    """Shift by up to an eighth of the side each way: pad with the border's pixels and cut the old size out."""
    height, width = batch.shape[1:3]
    (down, right), tops, lefts = _offsets(height, width, chance)
    padded = np.pad(batch, ((0, 0), (down, down), (right, right), (0, 0)), mode="edge")
    result = np.empty_like(batch)
    for number, (top, left) in enumerate(zip(tops.tolist(), lefts.tolist(), strict=True)):
        result[number] = padded[number, top : top + height, left : left + width]
    return result


def crop_moves(height: int, width: int, chance: Chance) -> Moves:
    """Of `crop`."""
    (down, right), tops, lefts = _offsets(height, width, chance)
    one = np.ones(len(tops))
    return geometry.scaled((one, one), ((lefts - right).astype(float), (tops - down).astype(float)))


def _offsets(height: int, width: int, chance: Chance) -> tuple[tuple[int, int], NDArray[np.int64], NDArray[np.int64]]:
    down, right = max(1, round(height * _SHIFT)), max(1, round(width * _SHIFT))
    return (down, right), (chance(0) * (2 * down + 1)).astype(int), (chance(1) * (2 * right + 1)).astype(int)


def affine(batch: Pixels, chance: Chance) -> Pixels:
    """Turn by up to 10 degrees, scale by up to a tenth, shift by up to 6 % of the side; borders are repeated."""
    return geometry.warp(batch, _affine_grid(batch.shape[1], batch.shape[2], chance))


def affine_moves(height: int, width: int, chance: Chance) -> Moves:
    """Of `affine`."""
    return geometry.from_grid(_affine_grid(height, width, chance), height, width)


def _affine_grid(height: int, width: int, chance: Chance) -> NDArray[np.float64]:
    angle = np.deg2rad(_DEGREES) * (2 * chance(0) - 1)
    scale = 1 + _SCALE * (2 * chance(1) - 1)
    drift = 2 * _DRIFT * (2 * np.stack([chance(2), chance(3)], axis=1) - 1)  # the grid goes from -1 to 1
    aspect = width / height
    rows = np.empty((len(angle), 2, 3))
    rows[:, 0, 0] = rows[:, 1, 1] = np.cos(angle) / scale
    rows[:, 0, 1] = -np.sin(angle) / scale / aspect
    rows[:, 1, 0] = np.sin(angle) / scale * aspect
    rows[:, :, 2] = drift
    return rows


def rotation(batch: Pixels, chance: Chance) -> Pixels:
    """Turn by up to 30 degrees about the middle; borders are repeated."""
    return warped(batch, rotation_moves(batch.shape[1], batch.shape[2], chance))


def rotation_moves(height: int, width: int, chance: Chance) -> Moves:
    """Of `rotation`."""
    return geometry.about_the_middle(_turn(np.deg2rad(_ROTATION) * (2 * chance(0) - 1)), height, width)


def elastic(batch: Pixels, chance: Chance) -> Pixels:
    """Bend: every point goes its own way, by some 2 % of the side (at most 10 pixels); borders are repeated.

    O. Ronneberger et al., "U-Net", 2015: the ways are drawn at nine places, and bicubic in between.
    """
    return geometry.sample(batch, elastic_points(batch.shape[1], batch.shape[2], chance))


def elastic_points(height: int, width: int, chance: Chance) -> NDArray[np.float64]:
    """Of `elastic`: where every pixel of the result comes from, ``(N, 2, H, W)``."""
    import torch
    import torch.nn.functional as F

    spread = min(_BEND * min(height, width), _BENT_MOST)
    # Normal numbers of two uniform ones each (Box and Muller).
    drawn = [
        np.sqrt(-2 * np.log1p(-chance(2 * number))) * np.cos(2 * np.pi * chance(2 * number + 1)) for number in range(18)
    ]
    coarse = torch.from_numpy(spread * np.stack(drawn, axis=1).reshape(-1, 2, 3, 3)).float()
    ways = F.interpolate(coarse, size=(height, width), mode="bicubic", align_corners=True)
    moved: NDArray[np.float64] = geometry.middles(height, width) + ways.double().numpy()
    return moved


def resized_crop(batch: Pixels, chance: Chance) -> Pixels:
    """Cut out a part of 25 to 100 % of the area, its proportions changed by up to a third, and enlarge it."""
    import torch
    from torchvision.transforms.v2.functional import resized_crop_image

    height, width = batch.shape[1:3]
    result = np.empty_like(batch)
    for number, (left, top, wide, high) in enumerate(_cut(height, width, _AREA, _RATIO, chance).tolist()):
        image = torch.from_numpy(batch[number].transpose(2, 0, 1).copy())
        resized = resized_crop_image(image, top, left, high, wide, [height, width], antialias=True)
        result[number] = resized.permute(1, 2, 0).numpy()
    return result


def resized_crop_moves(height: int, width: int, chance: Chance) -> Moves:
    """Of `resized_crop`."""
    left, top, wide, high = _cut(height, width, _AREA, _RATIO, chance).T.astype(float)
    return geometry.scaled((wide / width, high / height), (left, top))


def box_crop(batch: Pixels, chance: Chance) -> Pixels:
    """Enlarge a part of each image, which shows some of its objects where they are known; or none, of one in seven."""
    return warped(batch, part_moves(batch.shape[1], batch.shape[2], chance, [np.empty((0, 4))] * len(batch)))


def colour(batch: Pixels, chance: Chance) -> Pixels:
    """Change brightness, contrast and saturation by up to 40 % each way, and turn the hue by up to a tenth."""
    names = ("brightness", "contrast", "saturation")
    steps = [(name, 1 + _JITTER * (2 * chance(number) - 1)) for number, name in enumerate(names)]
    return change(batch, [*steps, ("hue", _HUE * (2 * chance(3) - 1))])


def erasing(batch: Pixels, chance: Chance) -> Pixels:
    """In every other image, cover a rectangle of 2 to 33 % of the area with the mean colour.

    Z. Zhong et al., "Random Erasing Data Augmentation", 2017.
    """
    result = batch.copy()
    places = _cut(batch.shape[1], batch.shape[2], _ERASED, _ERASED_RATIO, chance)
    for number in np.flatnonzero(chance(4) < 0.5):
        left, top, wide, high = places[number]
        result[number, top : top + high, left : left + wide] = batch[number].mean(axis=(0, 1)).round()
    return result


def _cut(
    height: int, width: int, area: tuple[float, float], ratio: tuple[float, float], chance: Chance
) -> NDArray[np.int64]:
    # Left, top, width and height of a rectangle within the image; one that is too long for it is shortened.
    share = area[0] + (area[1] - area[0]) * chance(0)
    stretch = np.sqrt(np.exp(np.log(ratio[0]) + (np.log(ratio[1]) - np.log(ratio[0])) * chance(1)))
    wide = np.clip(np.rint(width * np.sqrt(share) * stretch), 1, width)
    high = np.clip(np.rint(height * np.sqrt(share) / stretch), 1, height)
    left, top = np.floor(chance(2) * (width - wide + 1)), np.floor(chance(3) * (height - high + 1))
    return np.stack([left, top, wide, high], axis=1).astype(np.int64)


# What RandAugment draws from, with magnitude 9 of 30 as torchvision scales them; ± where both ways are drawn.
_RAND_COLOURS = {
    "brightness": (0.27, 1.0),
    "saturation": (0.27, 1.0),
    "contrast": (0.27, 1.0),
    "sharpness": (0.27, 1.0),
    "posterize": (0.0, 7.0),
    "solarize": (0.0, 255 * 0.7),
    "autocontrast": (0.0, 1.0),
    "equalize": (0.0, 1.0),
}
_RAND_MOVES = ("shear_x", "shear_y", "translate_x", "translate_y", "rotate")
_RAND_OPERATIONS = ("identity", *_RAND_MOVES, *_RAND_COLOURS)
_RAND_STEPS = 2
_RAND_SHEAR, _RAND_TRANSLATE, _RAND_DEGREES = 0.09, 150 / 331 * 0.3, 9.0


def randaugment(batch: Pixels, chance: Chance) -> Pixels:
    """Two operations drawn from fourteen: moves of the image, brightness, contrast, colours, sharpness.

    E. Cubuk et al., "RandAugment", 2019. Colours change first, and the moves are made as one.
    """
    steps = []
    for step in range(_RAND_STEPS):
        drawn, sign = _rand_drawn(step, chance)
        for name, (spread, middle) in _RAND_COLOURS.items():
            steps.append((name, np.where(drawn == _RAND_OPERATIONS.index(name), middle + sign * spread, np.nan)))
    changed = change(batch, steps)
    moves = randaugment_moves(batch.shape[1], batch.shape[2], chance)
    moved = (moves != np.eye(3)).any(axis=(1, 2))
    if moved.any():
        changed[moved] = warped(changed[moved], moves[moved])
    return changed


def randaugment_moves(height: int, width: int, chance: Chance) -> Moves:
    """Of `randaugment`."""
    total = None
    for step in range(_RAND_STEPS):
        drawn, sign = _rand_drawn(step, chance)

        def amount(name: str, most: float, drawn: NDArray[np.int64] = drawn, sign: Moves = sign) -> NDArray[np.float64]:
            return np.where(drawn == _RAND_OPERATIONS.index(name), sign * most, 0.0)

        linear = _turn(np.deg2rad(amount("rotate", _RAND_DEGREES)))
        linear[:, 0, 1] += amount("shear_x", _RAND_SHEAR)
        linear[:, 1, 0] += amount("shear_y", _RAND_SHEAR)
        moves = geometry.about_the_middle(linear, height, width)
        moves[:, 0, 2] += amount("translate_x", _RAND_TRANSLATE * width)
        moves[:, 1, 2] += amount("translate_y", _RAND_TRANSLATE * height)
        total = moves if total is None else total @ moves
    assert total is not None
    return total


def _rand_drawn(step: int, chance: Chance) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    drawn = (chance(2 * step) * len(_RAND_OPERATIONS)).astype(int)
    return drawn, np.where(chance(2 * step + 1) < 0.5, -1.0, 1.0)


def _turn(angle: NDArray[np.float64]) -> NDArray[np.float64]:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([np.stack([cos, -sin], axis=1), np.stack([sin, cos], axis=1)], axis=1)


def warped(batch: Pixels, moves: Moves) -> Pixels:
    """Images ``(N, H, W, C)`` with their points moved."""
    return geometry.warp(batch, geometry.to_grid(moves, batch.shape[1], batch.shape[2]))

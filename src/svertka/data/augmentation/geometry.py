"""Where points of an image go: one matrix moves its pixels, its mask and its boxes together."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

Moves = NDArray[np.float64]
"""Of every sample a matrix ``(3, 3)``, in pixels and edge coordinates: from a point (x, y, 1) of the result to the
point of the source that comes to stand there."""

OUTSIDE = 255
"""What a mask says of a pixel that the source has not."""


def identity(count: int) -> Moves:
    """No move, ``(count, 3, 3)``."""
    return np.broadcast_to(np.eye(3), (count, 3, 3)).copy()


def scaled(scale: tuple[NDArray[np.float64], NDArray[np.float64]], shift: tuple[NDArray[np.float64], ...]) -> Moves:
    """Moves by ``x ↦ scale · x + shift`` along the width and the height, each ``(N,)``."""
    moves = identity(len(scale[0]))
    for axis in range(2):
        moves[:, axis, axis] = scale[axis]
        moves[:, axis, 2] = shift[axis]
    return moves


def about_the_middle(linear: NDArray[np.float64], height: int, width: int) -> Moves:
    """Moves by a linear map ``(N, 2, 2)`` that leave the middle of the image where it is."""
    moves = identity(len(linear))
    middle = np.array([width / 2, height / 2])
    moves[:, :2, :2] = linear
    moves[:, :2, 2] = middle - linear @ middle
    return moves


def from_grid(rows: NDArray[np.float64], height: int, width: int) -> Moves:
    """Moves from what `torch.nn.functional.affine_grid` takes, ``(N, 2, 3)``, which counts from -1 to 1."""
    moves = identity(len(rows))
    moves[:, :2] = rows
    inward = np.array([[2 / width, 0, -1], [0, 2 / height, -1], [0, 0, 1]])
    return np.asarray(np.linalg.inv(inward) @ moves @ inward)


def to_grid(moves: Moves, height: int, width: int) -> NDArray[np.float64]:
    """The opposite of `from_grid`."""
    inward = np.array([[2 / width, 0, -1], [0, 2 / height, -1], [0, 0, 1]])
    return np.asarray((inward @ moves @ np.linalg.inv(inward))[:, :2])


def warp(batch: NDArray[np.uint8], rows: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Images ``(N, H, W, C)`` moved, bilinearly, by ``rows`` as in `from_grid`; the border's pixels are repeated."""
    count, height, width, channels = batch.shape
    grid = F.affine_grid(torch.from_numpy(rows).float(), [count, channels, height, width], align_corners=False)
    return _sampled(batch, grid)


def move_masks(masks: NDArray[np.uint8], moves: Moves) -> NDArray[np.uint8]:
    """Masks ``(N, H, W)`` moved: each pixel is that of the source in which its middle falls, or `OUTSIDE`."""
    points = np.concatenate([middles(*masks.shape[1:]), np.ones((1, *masks.shape[1:]))])
    return sample_masks(masks, np.einsum("nij,jhw->nihw", moves[:, :2], points))


def middles(height: int, width: int) -> NDArray[np.float64]:
    """The points x, y in the middle of every pixel, ``(2, H, W)``."""
    return np.stack(np.broadcast_arrays(np.arange(width) + 0.5, np.arange(height)[:, None] + 0.5))


def sample_masks(masks: NDArray[np.uint8], found: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Masks ``(N, H, W)`` as they are at the points ``found`` ``(N, 2, H, W)``, x and y in pixels, or `OUTSIDE`."""
    height, width = masks.shape[1:]
    columns, rows = np.floor(found[:, 0]).astype(np.int64), np.floor(found[:, 1]).astype(np.int64)
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    numbers = np.arange(len(masks))[:, None, None]
    taken = masks[numbers, rows.clip(0, height - 1), columns.clip(0, width - 1)]
    return np.where(inside, taken, np.uint8(OUTSIDE))


def sample(batch: NDArray[np.uint8], found: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Images ``(N, H, W, C)`` as they are, bilinearly, at these points; see `sample_masks`. Borders are repeated."""
    grid = found.transpose(0, 2, 3, 1) / [batch.shape[2] / 2, batch.shape[1] / 2] - 1
    return _sampled(batch, torch.from_numpy(grid).float())


def sample_boxes(boxes: NDArray[np.floating], found: NDArray[np.float64]) -> NDArray[np.float32]:
    """Boxes ``(K, 4)`` of one sample: the least around the pixels that show something of each; see `sample_masks`.

    Args:
        boxes: Left, top, right, bottom.
        found: Where the pixels of the result come from, ``(2, H, W)``.
    """
    result = np.zeros((len(boxes), 4), np.float32)
    if (found[0] == found[0, :1]).all() and (found[1] == found[1, :, :1]).all():
        # Columns come from columns and rows from rows, so that many boxes are found at once.
        for axis, places in enumerate((found[0, 0], found[1, :, 0])):
            sides = np.asarray(boxes)[:, axis::2]
            inside = (places >= sides[:, :1]) & (places < sides[:, 1:])
            result[:, axis] = inside.argmax(axis=1)
            result[:, axis + 2] = (len(places) - inside[:, ::-1].argmax(axis=1)) * inside.any(axis=1)
        result[(result[:, 2:] == 0).any(axis=1)] = 0
        return result
    for number, (left, top, right, bottom) in enumerate(boxes.tolist()):
        inside = (found[0] >= left) & (found[0] < right) & (found[1] >= top) & (found[1] < bottom)
        rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        if len(rows):
            result[number] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return result


def _sampled(batch: NDArray[np.uint8], grid: torch.Tensor) -> NDArray[np.uint8]:
    images = torch.from_numpy(np.ascontiguousarray(batch.transpose(0, 3, 1, 2))).float()
    moved = F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
    result: NDArray[np.uint8] = moved.round_().clamp_(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()
    return result


def move_boxes(
    boxes: NDArray[np.floating], move: NDArray[np.float64], height: int, width: int
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Boxes ``(K, 4)``, left, top, right, bottom, of one sample moved and clipped to the image.

    Returns:
        The least upright boxes around the moved ones, and what share of each, by area, lies in the image: ``(K,)``.
    """
    forth = np.linalg.inv(move)
    corners = np.asarray(boxes, np.float64)[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
    moved = corners @ forth[:2, :2].T + forth[:2, 2]
    whole = np.concatenate([moved.min(axis=1), moved.max(axis=1)], axis=1)
    clipped = whole.clip(0, [width, height, width, height])
    areas = [(found[:, 2] - found[:, 0]) * (found[:, 3] - found[:, 1]) for found in (clipped, whole)]
    share = np.divide(areas[0], areas[1], out=np.zeros(len(boxes)), where=areas[1] > 0)
    return clipped.astype(np.float32), share

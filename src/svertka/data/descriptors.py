"""What images were described by before networks learnt it: the colours they have, and which way their edges run."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_CELL = 8  # pixels
_BLOCK = 2  # cells
_ORIENTATIONS = 9
_CLIP = 0.2
_LEVELS = 4  # of each colour
_BATCH = 64


def describe(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Gradients and colours of images, one after the other.

    Args:
        images: ``(N, H, W, 3)`` uint8 RGB; H and W are multiples of 8, and at least 16.

    Returns:
        ``(N, D)``: 36 (H/8 − 1)(W/8 − 1) numbers of `gradients`, 64 of `colours`.
    """
    parts = [images[start : start + _BATCH] for start in range(0, len(images), _BATCH)]
    return np.concatenate([np.concatenate([gradients(part), colours(part)], axis=1) for part in parts])


def gradients(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Histograms of oriented gradients: cells of 8 × 8 pixels, nine orientations, blocks of 2 × 2 cells, L2-Hys.

    A pixel votes for its own cell only, where the paper shares the vote among neighbouring cells; between
    neighbouring orientations it is shared.

    N. Dalal, B. Triggs, "Histograms of Oriented Gradients for Human Detection", 2005.

    Args:
        images: ``(N, H, W, 3)`` uint8 RGB; H and W are multiples of 8, and at least 16.

    Returns:
        ``(N, D)``: by block, nine orientations in four cells each. A block has the length 1, or 0 without an edge.
    """
    count, height, width = images.shape[:3]
    values = np.sqrt(images.astype(np.float32) / 255)
    edged = np.pad(values, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    down, right = edged[:, 2:, 1:-1] - edged[:, :-2, 1:-1], edged[:, 1:-1, 2:] - edged[:, 1:-1, :-2]
    # Of the three colours the one that changes most.
    strongest = (down**2 + right**2).argmax(axis=3)[..., None]
    down = np.take_along_axis(down, strongest, axis=3)[..., 0]
    right = np.take_along_axis(right, strongest, axis=3)[..., 0]
    size = np.hypot(down, right)
    place = np.arctan2(down, right) / np.pi % 1 * _ORIENTATIONS - 0.5
    lower = np.floor(place)
    share = (place - lower).astype(np.float32)
    rows, columns = height // _CELL, width // _CELL
    image, row, column = np.ogrid[:count, :height, :width]
    cell = (image * rows + row // _CELL) * columns + column // _CELL
    votes = np.zeros(count * rows * columns * _ORIENTATIONS)
    for orientation, weight in ((lower, size * (1 - share)), (lower + 1, size * share)):
        slot = cell * _ORIENTATIONS + orientation.astype(np.int64) % _ORIENTATIONS
        votes += np.bincount(slot.ravel(), weight.ravel(), minlength=len(votes))
    cells = votes.reshape(count, rows, columns, _ORIENTATIONS)
    windows = np.lib.stride_tricks.sliding_window_view(cells, (_BLOCK, _BLOCK), axis=(1, 2))
    blocks = windows.reshape(count, -1, _BLOCK * _BLOCK * _ORIENTATIONS)
    blocks = np.minimum(_unit(blocks), _CLIP)
    return np.asarray(_unit(blocks).reshape(count, -1), np.float32)


def colours(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Square roots of the shares of 64 colours, four levels of each of red, green and blue.

    Of the square roots, the straight distance is Hellinger's between the histograms.

    M. Swain, D. Ballard, "Color Indexing", 1991.

    Args:
        images: ``(N, H, W, 3)`` uint8 RGB.

    Returns:
        ``(N, 64)``, each of length 1.
    """
    count, bins = len(images), _LEVELS**3
    levels = images.astype(np.int64) * _LEVELS // 256
    colour = (levels @ np.array([_LEVELS**2, _LEVELS, 1])).reshape(count, -1)
    slot = np.arange(count)[:, None] * bins + colour
    shares = np.bincount(slot.ravel(), minlength=count * bins).reshape(count, bins) / max(1, colour.shape[1])
    return np.asarray(np.sqrt(shares), np.float32)


def _unit(blocks: NDArray[np.float64]) -> NDArray[np.float64]:
    length = np.linalg.norm(blocks, axis=-1, keepdims=True)
    return np.asarray(blocks / np.where(length > 1e-6, length, 1.0))

"""Grids of boxes that a network looks for objects from."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from svertka.layers.boxes import cornered


def middles(extent: tuple[int, int], steps: tuple[float, float], *, device: torch.device, at: float = 0.5) -> Tensor:
    """The middles x, y of the cells of a map of height and width ``extent``, row by row: ``(H · W, 2)``.

    Args:
        extent: Of the map.
        steps: From one cell to the next, downwards and to the right, as fractions of the image.
        device: Where they are needed.
        at: Where in the cells they are: 0 for their upper left corners instead.
    """
    down, right = (
        (torch.arange(count, dtype=torch.float32, device=device) + at) * step
        for count, step in zip(extent, steps, strict=True)
    )
    rows, columns = torch.meshgrid(down, right, indexing="ij")
    return torch.stack([columns.reshape(-1), rows.reshape(-1)], dim=1)


def grid(
    extent: tuple[int, int],
    steps: tuple[float, float],
    shapes: Sequence[tuple[float, float]],
    *,
    device: torch.device,
    at: float = 0.5,
) -> Tensor:
    """Anchors of several shapes at the middle of each cell of a map, cell by cell: ``(H · W · shapes, 4)``.

    Args:
        extent, steps, device, at: See `middles`.
        shapes: Width and height of each, as fractions of the image.
    """
    places = middles(extent, steps, device=device, at=at)[:, None].expand(-1, len(shapes), -1)
    sides = torch.tensor(shapes, dtype=torch.float32, device=device).expand(len(places), -1, -1)
    return cornered(torch.cat([places, sides], dim=-1).reshape(-1, 4))


def spread(extent: int, stride: int, side: int) -> float:
    """The step from one cell of a map to the next, as a fraction of an image of ``side`` pixels.

    It is the stride; but a map that unpadded convolutions have made too small to reach over the image at its stride is
    spread over it evenly.
    """
    return stride / side if extent * stride >= side else 1 / extent


def flat(maps: Tensor, values: int) -> Tensor:
    """Maps ``(N, anchors · values, H, W)`` as ``(N, H · W · anchors, values)``, in the order of `grid`."""
    count, channels, height, width = maps.shape
    x = maps.reshape(count, channels // values, values, height, width)
    return x.permute(0, 3, 4, 1, 2).reshape(count, -1, values)

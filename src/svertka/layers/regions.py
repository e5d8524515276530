"""Regions of images, as what cuts them out of maps takes them."""

from __future__ import annotations

import torch
from torch import Tensor


def in_pixels(regions: Tensor, size: tuple[int, int]) -> Tensor:
    """Regions ``(N, R, 4)`` as shares of images of this size: ``(N · R, 5)``, the image's number and sides in pixels.

    Args:
        regions: Left, top, right, bottom.
        size: Height and width of the images, in pixels.
    """
    images, count = regions.shape[:2]
    sides = torch.tensor([size[1], size[0]] * 2, dtype=torch.float32, device=regions.device)
    which = torch.arange(images, device=regions.device, dtype=torch.float32).repeat_interleave(count)
    return torch.cat([which[:, None], (regions * sides).reshape(-1, 4)], dim=1)


def whole(maps: Tensor) -> Tensor:
    """One region an image of maps ``(N, C, H, W)``: all of it, ``(N, 1, 4)``."""
    return maps.new_tensor([0.0, 0.0, 1.0, 1.0], dtype=torch.float32).expand(maps.shape[0], 1, 4)

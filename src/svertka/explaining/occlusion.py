"""Which pixels a score goes by, by covering them.

M. Zeiler, R. Fergus, "Visualizing and Understanding Convolutional Networks", 2014, section 4.2.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn

from svertka.explaining.running import Target, at_rest, score_of, usable


def occlusion(
    module: nn.Module,
    layer: nn.Module,
    target: Target,
    images: Tensor,
    *,
    window: tuple[int, int] | None = None,
    stride: tuple[int, int] | None = None,
    fill: float = 0.0,
) -> Tensor:
    """How much the target sinks, on average, when a window over the pixel is covered: ``(N, H, W)``.

    Args:
        module: The network.
        layer: What the target reads; the module itself for its logits.
        target: The score.
        images: ``(N, C, H, W)``.
        window: Height and width of the window in pixels; a fifth of the images if not given.
        stride: How far it moves at a time; half of it if not given. The last ones are cut off by the border.
        fill: What it covers with; 0 is the mean colour where images are normalised.
    """
    images = usable(images)
    height, width = images.shape[-2:]
    tall, wide = window or (-(-height // 5), -(-width // 5))
    down, across = stride or (-(-tall // 2), -(-wide // 2))
    total, times = images.new_zeros(len(images), height, width), images.new_zeros(height, width)
    with at_rest(module) as forward:
        before = score_of(forward, layer, target, images)
        for top, left in itertools.product(_places(height, tall, down), _places(width, wide, across)):
            rows, columns = slice(top, top + tall), slice(left, left + wide)
            covered = images.clone()
            covered[..., rows, columns] = fill
            lost = before - score_of(forward, layer, target, covered)
            total[:, rows, columns] += lost[:, None, None]
            times[rows, columns] += 1
    return total / torch.clamp(times, min=1)


def _places(length: int, window: int, stride: int) -> range:
    return range(0, (math.ceil(max(length - window, 0) / stride) + 1) * stride, stride)

"""SSD.

W. Liu et al., "SSD: Single Shot MultiBox Detector", ECCV 2016.

New then: objects of all sizes are found in one pass, from maps of several resolutions. At every cell of each map stand
default boxes of several proportions, larger ones on coarser maps; 3 × 3 convolutions say of each what is in it and
how far off it lies.

The maps are those of the trunk at strides of 8 and more, and those of extra layers behind it, down to a single cell.
The paper's trunk is VGG16 whose fully connected layers have become atrous convolutions (`svertka.layers.atrous`).

Departures:
- the trunk can be that of any classifier; where it has batch normalisation, the maps that are read of it and those of
  extra layers are normalised too (by groups of channels, since batches are small), instead of rescaling the finest;
- the scales of default boxes are those of the paper's code for COCO, which are a little smaller than for VOC.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from svertka.layers.anchors import flat, grid, spread
from svertka.layers.dense import Decoder, resolutions
from svertka.layers.detector import Detector, MultiBox
from svertka.layers.trunk import Trunk

_FINEST = 8  # stride of the finest maps, in pixels
_SCALE = 20.0  # what the rescaled maps begin with
_GROUPS = 32  # of channels that are normalised together, at most


class SSD(Detector):
    """Default boxes on the maps of a trunk and of extra layers.

    Args:
        trunk: The stages.
        classes: Number of classes, without the background.
        image_size: Side of the images, in pixels: says how many extra layers there are.
        smallest: Side of the default boxes on the finest maps, as a share of the image's.
        small: The same on the next maps; from there it rises evenly to some 90 % on the coarsest.
    """

    def __init__(
        self, *, trunk: Trunk, classes: int = 20, image_size: int = 300, smallest: float = 0.07, small: float = 0.15
    ) -> None:
        super().__init__(trunk, DefaultBoxes(trunk, classes, image_size, smallest, small), classes=classes)


class DefaultBoxes(Decoder):
    """Extra layers behind a trunk, and what is said of the default boxes on all maps."""

    def __init__(self, trunk: Trunk, classes: int, image_size: int, smallest: float, small: float) -> None:
        every = resolutions(trunk)
        found = [resolution for resolution in every if resolution.stride >= _FINEST] or every[-1:]
        super().__init__([resolution.last for resolution in found])
        channels = [resolution.last_channels for resolution in found]
        self.strides = [resolution.stride for resolution in found]
        normalised = any(isinstance(layer, nn.BatchNorm2d) for layer in trunk.modules())
        self.norms = nn.ModuleList(
            _norm(inputs) if normalised else nn.Identity() if number else Rescaling(inputs)
            for number, inputs in enumerate(channels)
        )
        self.extra = nn.ModuleList()
        side = trunk.shapes(image_size, image_size)[self.taps[-1]][-1]
        while side > 1:
            width = 512 if not self.extra else 256
            layers, side, factor = _extra(channels[-1], width, side, normalised=normalised)
            self.extra.append(layers)
            channels.append(width)
            self.strides.append(self.strides[-1] * factor)
        self.shapes = default_shapes(len(channels), smallest, small)
        self.classes = nn.ModuleList(
            nn.Conv2d(inputs, len(shapes) * (1 + classes), 3, padding=1)
            for inputs, shapes in zip(channels, self.shapes, strict=True)
        )
        self.offsets = nn.ModuleList(
            nn.Conv2d(inputs, len(shapes) * 4, 3, padding=1)
            for inputs, shapes in zip(channels, self.shapes, strict=True)
        )
        self.values = 1 + classes
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                assert layer.bias is not None
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)

    def forward(self, maps: Sequence[Tensor], size: tuple[int, int]) -> MultiBox:
        levels = [norm(x) for norm, x in zip(self.norms, maps, strict=True)]
        x = levels[-1]
        for layer in self.extra:
            x = layer(x)
            levels.append(x)
        logits, offsets, anchors = [], [], []
        for number, x in enumerate(levels):
            logits.append(flat(self.classes[number](x), self.values))
            offsets.append(flat(self.offsets[number](x), 4))
            extent = (x.shape[2], x.shape[3])
            down, right = (spread(cells, self.strides[number], side) for cells, side in zip(extent, size, strict=True))
            anchors.append(grid(extent, (down, right), self.shapes[number], device=x.device))
        return MultiBox(torch.cat(logits, dim=1), torch.cat(offsets, dim=1), torch.cat(anchors))


class Rescaling(nn.Module):
    """Every pixel of maps ``(N, C, H, W)`` brought to length one over its channels, times a scale a channel.

    W. Liu, A. Rabinovich, A. Berg, "ParseNet: Looking Wider to See Better", 2015.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels,), _SCALE))

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(x) * self.weight[:, None, None]


def default_shapes(maps: int, smallest: float, small: float) -> list[list[tuple[float, float]]]:
    """Width and height of the default boxes at a cell of each map, as shares of the image.

    There are squares of the map's scale and of one halfway to the next map's, and boxes twice, on maps in the middle
    also three times, as wide as high, and as high as wide.
    """
    step = math.floor((90 - 100 * small) / max(1, maps - 2)) / 100
    scales = [smallest, *(small + step * number for number in range(maps))]
    found = []
    for number, (scale, following) in enumerate(pairwise(scales)):
        between = math.sqrt(scale * following)
        sides = [(scale, scale), (between, between)]
        for ratio in (2, 3) if 0 < number < maps - 2 else (2,):
            long, short = scale * math.sqrt(ratio), scale / math.sqrt(ratio)
            sides += [(long, short), (short, long)]
        found.append([(min(width, 1.0), min(height, 1.0)) for width, height in sides])
    return found


def _extra(inputs: int, outputs: int, side: int, *, normalised: bool) -> tuple[nn.Sequential, int, int]:
    """Two convolutions that make maps of ``side`` smaller, the side that they then have, and by which stride."""
    # As the paper's 5 × 5 maps become 3 × 3 and these 1 × 1; SSD512's last ones of 2 × 2 become 1 × 1.
    kernel, stride, padding = {2: (4, 1, 1), 3: (3, 1, 0), 5: (3, 1, 0)}.get(side, (3, 2, 1))
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=nn.Conv2d(inputs, outputs // 2, 1),
        norm1=_norm(outputs // 2) if normalised else nn.Identity(),
        relu1=nn.ReLU(),
        conv2=nn.Conv2d(outputs // 2, outputs, kernel, stride, padding),
        norm2=_norm(outputs) if normalised else nn.Identity(),
        relu2=nn.ReLU(),
    )
    return nn.Sequential(layers), (side + 2 * padding - kernel) // stride + 1, stride


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(math.gcd(_GROUPS, channels), channels)

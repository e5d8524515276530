"""YOLOv2.

J. Redmon, A. Farhadi, "YOLO9000: Better, Faster, Stronger", CVPR 2017.

New then, over YOLO: the cell in which an object's middle lies says how it differs from one of five priors, whose shapes
are clusters of the shapes of the training boxes; batch normalisation throughout; a pass-through layer that puts the
pixels of finer maps beside the coarse ones, as channels; and images of many sizes to learn from.

Departures:
- the trunk can be that of any classifier; the paper's is Darknet-19;
- ``multi_scale`` draws another side at every step, where the paper does at every tenth.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from svertka.layers.activation import Leaky
from svertka.layers.anchors import flat, middles
from svertka.layers.convolution import ConvNorm
from svertka.layers.dense import Decoder, fitted, resolutions
from svertka.layers.detector import Cells, Detector
from svertka.layers.initialisation import he_normal
from svertka.layers.trunk import Trunk

PRIORS = ((0.1017, 0.1332), (0.2456, 0.3084), (0.3889, 0.623), (0.7285, 0.3723), (0.8643, 0.7698))
"""Width and height of the paper's priors for VOC, as shares of the image."""

_VALUES = 5  # of a prior, beside the classes: the box, and whether there is one
_PASSED = 64  # channels that the pass-through layer takes of the finer maps


_Conv = partial(ConvNorm, activation=Leaky)


class YOLOv2(Detector):
    """Priors at the cells of a trunk's coarsest maps, which see its finer ones too.

    Args:
        trunk: The stages.
        classes: Number of classes.
        priors: Width and height of each, as shares of the image.
        width: Number of channels of the three 3 × 3 convolutions behind the trunk; 1,024 in the paper.
        multi_scale: Learn from images of 320 to 608 pixels a side, in steps of 32.
    """

    def __init__(
        self,
        *,
        trunk: Trunk,
        classes: int = 20,
        priors: Sequence[tuple[float, float]] = PRIORS,
        width: int = 256,
        multi_scale: bool = False,
    ) -> None:
        super().__init__(trunk, PriorsAtCells(trunk, classes, priors, width), classes=classes)
        self.sides = tuple(range(320, 609, 32)) if multi_scale else ()


class PriorsAtCells(Decoder):
    """Three convolutions, of which the last sees the finer maps too, and what is said of the priors."""

    def __init__(self, trunk: Trunk, classes: int, priors: Sequence[tuple[float, float]], width: int) -> None:
        *finer, coarsest = resolutions(trunk)
        super().__init__([*(resolution.last for resolution in finer[-1:]), coarsest.last])
        self.factor = coarsest.stride // finer[-1].stride if finer else 1
        self.layers = nn.Sequential(
            OrderedDict(conv1=_Conv(coarsest.last_channels, width, 3), conv2=_Conv(width, width, 3))
        )
        self.passed = _Conv(finer[-1].last_channels, _PASSED, 1) if finer else None
        inputs = width + (_PASSED * self.factor**2 if finer else 0)
        self.conv3 = _Conv(inputs, width, 3)
        he_normal(self, "fan_in")
        self.values = _VALUES + classes
        self.score = nn.Conv2d(width, len(priors) * self.values, 1)
        nn.init.normal_(self.score.weight, std=0.01)
        assert self.score.bias is not None
        nn.init.zeros_(self.score.bias)
        self.priors = tuple((float(wide), float(high)) for wide, high in priors)

    def forward(self, maps: Sequence[Tensor], size: tuple[int, int]) -> Cells:
        del size  # boxes are told in cells
        *finer, coarse = maps
        x = self.layers(coarse)
        height, width = x.shape[2], x.shape[3]
        if self.passed is not None:
            # The pixels of the finer maps that lie in a cell, side by side as its channels.
            fine = fitted(self.passed(finer[-1]), (height * self.factor, width * self.factor))
            x = torch.cat([F.pixel_unshuffle(fine, self.factor), x], dim=1)
        said = flat(self.score(self.conv3(x)), self.values)
        cell = torch.tensor([1 / width, 1 / height], device=x.device)
        corners = middles((height, width), (1 / height, 1 / width), device=x.device) - cell / 2
        priors = torch.tensor(self.priors, device=x.device).repeat(height * width, 1)
        corners = corners.repeat_interleave(len(self.priors), dim=0)
        return Cells(said[..., 4], said[..., _VALUES:], said[..., :4], corners, cell, priors)

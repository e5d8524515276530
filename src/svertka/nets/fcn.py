"""Fully convolutional networks: FCN-32s, FCN-16s, FCN-8s, and torchvision's dilated one.

J. Long, E. Shelhamer, T. Darrell, "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015.

New then: a classifier becomes a network for every pixel and of any size, for its fully connected layers are
convolutions that see all of a map (``layers.dense.convolutional``). Its coarse scores are brought to the size of the
image by a transposed convolution, and sharpened by those of finer stages: "what" from deep layers, "where" from shallow
ones.

The trunk is that of any classifier; the paper's is VGG16 with fc6 and fc7. Strides are those the trunk has.

Departures:
- fc6 is padded to keep its maps' size, where the paper puts 100 pixels around the image;
- finer scores are added to the coarse ones where they lie, without the paper's offsets of cropping;
- the three networks learn at once, each from the trunk, where the paper trained one after another.

``DilatedFCN`` is the network that torchvision calls FCN: a trunk that keeps its stride at 8 by dilation (F. Yu,
V. Koltun, "Multi-Scale Context Aggregation by Dilated Convolutions", 2016), one 3 × 3 layer and bilinear interpolation.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from svertka.layers.convolution import ConvNorm
from svertka.layers.dense import Decoder, Segmenter, fitted, resolutions, stages
from svertka.layers.initialisation import he_normal
from svertka.layers.trunk import Trunk


class FCN(Segmenter):
    """Scores of the coarsest stage, with those of finer stages down to a stride.

    Args:
        trunk: The stages.
        classes: Number of classes.
        finest: Stride of the finest stages whose scores are added, in pixels: 32, 16 and 8 in the paper.
    """

    def __init__(self, *, trunk: Trunk, classes: int = 21, finest: int = 8) -> None:
        super().__init__(trunk, Fusion(trunk, classes, finest), classes=classes)


class Fusion(Decoder):
    """Section 4.2: the scores of every stage by a 1 × 1 convolution, added from coarse to fine.

    A finer stage is the first of its stride (VGG's ``pool4`` and ``pool3``), the coarsest is the last.
    """

    def __init__(self, trunk: Trunk, classes: int, finest: int) -> None:
        *finer, coarsest = resolutions(trunk)
        finer = [resolution for resolution in finer if resolution.stride >= finest]
        super().__init__([*(resolution.first for resolution in finer), coarsest.last])
        widths = [*(resolution.first_channels for resolution in finer), coarsest.last_channels]
        strides = [resolution.stride for resolution in (*finer, coarsest)]
        self.score = nn.ModuleDict(
            {tap: nn.Conv2d(width, classes, 1) for tap, width in zip(self.taps, widths, strict=True)}
        )
        for parameter in self.score.parameters():  # "random initialization yielding neither better performance nor
            nn.init.zeros_(parameter)  # faster convergence", section 4.3
        self.upsampling = nn.ModuleDict(
            {
                tap: _learnt_upsampling(classes, coarse // fine)
                for tap, fine, coarse in zip(self.taps, strides, strides[1:], strict=False)
            }
        )
        self.final = Upsampling(strides[0])

    def forward(self, maps: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        *finer, coarsest = maps
        *names, last = self.taps
        x: Tensor = self.score[last](coarsest)
        for name, skip in zip(reversed(names), reversed(finer), strict=True):
            x = fitted(self.upsampling[name](x), skip.shape[2:]) + self.score[name](skip)
        return fitted(self.final(x), size)


class Upsampling(nn.Module):
    """Bilinear, by a transposed convolution that does not learn: ``(N, C, H, W)`` to ``factor`` times height and width.

    "Final layer deconvolutional filters are fixed to bilinear interpolation", section 4.3.
    """

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor

    def extra_repr(self) -> str:
        return f"factor={self.factor}"

    def forward(self, x: Tensor) -> Tensor:
        channels, kernel = x.shape[1], bilinear(self.factor).to(x)
        border = (len(kernel) - self.factor) // 2
        weight = kernel.expand(channels, 1, -1, -1)
        return F.conv_transpose2d(x, weight, stride=self.factor, padding=border, groups=channels)


def _learnt_upsampling(channels: int, factor: int) -> nn.ConvTranspose2d:
    # "Intermediate upsampling layers are initialized to bilinear upsampling, and then learned", section 4.3.
    kernel = bilinear(factor)
    side = len(kernel)
    layer = nn.ConvTranspose2d(channels, channels, side, factor, padding=(side - factor) // 2, bias=False)
    with torch.no_grad():
        layer.weight.zero_()
        for channel in range(channels):
            layer.weight[channel, channel] = kernel
    return layer


def bilinear(factor: int) -> Tensor:
    """The kernel, ``(side, side)``, of a transposed convolution of stride ``factor`` that interpolates bilinearly."""
    side = 2 * factor - factor % 2
    ramp = 1 - (torch.arange(side) - (side - 1) / 2).abs() / factor
    return ramp[:, None] * ramp


class DilatedFCN(Segmenter):
    """Scores of the last stage, interpolated bilinearly to the size of the images.

    Args:
        trunk: The stages; a ResNet's is to have an ``output_stride`` of 8.
        classes: Number of classes.
        auxiliary: With scores of the last stage but one, for training.
        dropout: Share of the maps that are dropped before the scores in training.
    """

    def __init__(self, *, trunk: Trunk, classes: int = 21, auxiliary: bool = False, dropout: float = 0.1) -> None:
        *_, before, last = trunk.names
        super().__init__(trunk, Interpolated(trunk, last, classes, dropout), classes=classes)
        self.auxiliary = Interpolated(trunk, before, classes, dropout) if auxiliary else None

    def forward_with_auxiliary(self, x: Tensor) -> tuple[Tensor, ...]:
        """Logits ``(N, classes, H, W)``, then those of the last stage but one, if there are any."""
        pyramid, size = self.trunk.pyramid(x), (x.shape[2], x.shape[3])
        logits = self.decode(pyramid, size)
        if self.auxiliary is None:
            return (logits,)
        return logits, self.auxiliary([pyramid[name] for name in self.auxiliary.taps], size)


class Interpolated(Decoder):
    """A 3 × 3 convolution to a quarter of the channels, the scores, and bilinear interpolation."""

    def __init__(self, trunk: Trunk, tap: str, classes: int, dropout: float) -> None:
        super().__init__([tap])
        inputs = stages(trunk)[tap].channels
        self.layers = nn.Sequential(
            OrderedDict(
                hidden=ConvNorm(inputs, inputs // 4, 3),
                dropout=nn.Dropout(dropout),
                score=nn.Conv2d(inputs // 4, classes, 1),
            )
        )
        he_normal(self, "fan_out")

    def forward(self, maps: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        return F.interpolate(self.layers(maps[0]), size=size, mode="bilinear", align_corners=False)

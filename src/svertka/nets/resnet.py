"""ResNet, for ImageNet and for CIFAR.

K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image Recognition", CVPR 2016 (arXiv 2015).

New then: a block learns what to add to its input, so that depth no longer makes training harder; 152 layers won
ILSVRC 2015 with 3.57 % top-5 error.

Departures:
- of the bottleneck, the 3 × 3 convolution takes the stride ("v1.5", as torchvision); see ``layers.residual``;
- CIFAR: as in the widely used PyTorch form, option A adds half of its zero channels before and half after.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from svertka.layers.convolution import ConvNorm
from svertka.layers.head import LinearHead
from svertka.layers.initialisation import he_normal
from svertka.layers.residual import Residual, bottleneck, dilate, projection, residual_blocks, residual_trunk
from svertka.layers.trunk import Classifier, Trunk

_DILATED_STAGES = {32: 0, 16: 1, 8: 2}


def basic(
    inputs: int, outputs: int, stride: int, shortcut: nn.Module | None = None, *, same_padding: bool = False
) -> Residual:
    """Figure 5, left: two 3 × 3 convolutions; the shortcut is a projection where none is given."""
    residual = nn.Sequential(
        OrderedDict(
            conv1=ConvNorm(inputs, outputs, 3, stride=stride, padding="same" if same_padding else None),
            conv2=ConvNorm(outputs, outputs, 3, activation=None),
        )
    )
    return Residual(residual, projection(inputs, outputs, stride) if shortcut is None else shortcut)


class ResNet(Classifier):
    """ResNet for ImageNet, table 1.

    Args:
        depths: Number of blocks of ``conv2`` … ``conv5``.
        bottlenecks: Blocks of three layers (ResNet-50 and deeper) instead of two.
        output_stride: Of the last stage, in pixels: 32, or 16 or 8 by dilation, for a network that says something of
            every pixel. The weights are the same.
        classes: Number of classes.
        in_channels: Number of channels of the images.
    """

    def __init__(
        self,
        *,
        depths: Sequence[int] = (3, 4, 6, 3),
        bottlenecks: bool = True,
        output_stride: int = 32,
        classes: int = 1000,
        in_channels: int = 3,
    ) -> None:
        if output_stride not in _DILATED_STAGES:
            raise ValueError(f"an output stride of {output_stride}; it can be 32, 16 or 8")

        def narrowed(inputs: int, outputs: int, stride: int) -> Residual:
            return bottleneck(inputs, outputs, stride, width=outputs // 4)

        block, outputs = (narrowed, 256) if bottlenecks else (basic, 64)
        trunk = residual_trunk(block, depths, outputs, in_channels=in_channels)
        dilate(list(trunk.children())[len(trunk) - _DILATED_STAGES[output_stride] :])
        super().__init__(trunk, LinearHead(outputs * 2 ** (len(depths) - 1), classes), classes=classes)
        he_normal(self, "fan_out")


class PaddedShortcut(nn.Module):
    """Shortcut of option A, without parameters: every second pixel, and zeros for the channels that are new.

    Args:
        channels: Number of channels to add; half before the input's, half after.
        stride: In pixels.
    """

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.channels = channels
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        before = self.channels // 2
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, before, self.channels - before))


class CifarResNet(Classifier):
    """ResNet for images of 32 × 32, section 4.2: 6n + 2 layers on maps of 32, 16 and 8 pixels.

    Args:
        depth: n, the number of blocks on maps of each size: 3 for ResNet-20, 18 for ResNet-110.
        projected: Shortcuts of option B, projections where the shape changes, instead of the paper's option A.
        same_padding: Pad as TensorFlow does, instead of alike on all sides.
        classes: Number of classes.
        in_channels: Number of channels of the images.
    """

    def __init__(
        self,
        *,
        depth: int = 3,
        projected: bool = False,
        same_padding: bool = False,
        classes: int = 10,
        in_channels: int = 3,
    ) -> None:
        def block(inputs: int, outputs: int, stride: int) -> Residual:
            shortcut = PaddedShortcut(outputs - inputs, stride) if stride > 1 and not projected else None
            return basic(inputs, outputs, stride, shortcut, same_padding=same_padding)

        trunk = Trunk(
            {
                "conv1": ConvNorm(in_channels, 16, 3),
                "conv2": nn.Sequential(residual_blocks(block, depth, 16, 16, 1)),
                "conv3": nn.Sequential(residual_blocks(block, depth, 16, 32, 2)),
                "conv4": nn.Sequential(residual_blocks(block, depth, 32, 64, 2)),
            },
            in_channels=in_channels,
        )
        super().__init__(trunk, LinearHead(64, classes), classes=classes)
        he_normal(self, "fan_in")

"""Residual learning: layers learn what to add to their input.

K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image Recognition", 2015.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

from torch import Tensor, nn

from svertka.layers.convolution import ConvNorm
from svertka.layers.trunk import Trunk

Block = Callable[[int, int, int], nn.Module]
"""Makes a block from its number of channels in, of channels out, and its stride."""


class Residual(nn.Module):
    """``relu(residual(x) + shortcut(x))``, equations (1) and (2) of the paper.

    Args:
        residual: F, what is learnt; no nonlinearity at its end.
        shortcut: The identity, or what brings ``x`` to the shape that ``residual`` gives.
    """

    def __init__(self, residual: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.residual = residual
        self.shortcut = shortcut
        self.activation = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.activation(self.residual(x) + self.shortcut(x))
        return y


def projection(inputs: int, outputs: int, stride: int) -> nn.Module:
    """Shortcut of option B: the identity, or a 1 × 1 convolution where the shape changes."""
    if inputs == outputs and stride == 1:
        return nn.Identity()
    return ConvNorm(inputs, outputs, 1, stride=stride, activation=None)


def bottleneck(inputs: int, outputs: int, stride: int, *, width: int, groups: int = 1) -> Residual:
    """Figure 5, right: 1 × 1 to few channels, 3 × 3 on those, 1 × 1 to many.

    The 3 × 3 convolution takes the stride. The paper gives it to the first 1 × 1, which then looks at one position
    in four; torchvision and everybody since moved it ("ResNet v1.5"), to the good of the accuracy.

    Args:
        inputs: Number of channels that come in.
        outputs: Number of channels that go out.
        stride: In pixels.
        width: Number of channels between.
        groups: Groups of the 3 × 3 convolution, ResNeXt's cardinality.
    """
    residual = nn.Sequential(
        OrderedDict(
            conv1=ConvNorm(inputs, width, 1),
            conv2=ConvNorm(width, width, 3, stride=stride, groups=groups),
            conv3=ConvNorm(width, outputs, 1, activation=None),
        )
    )
    return Residual(residual, projection(inputs, outputs, stride))


def residual_blocks(block: Block, depth: int, inputs: int, outputs: int, stride: int) -> OrderedDict[str, nn.Module]:
    """``depth`` blocks by name, ``block1``, ``block2``, …; the first has the stride and changes the channels."""
    blocks = OrderedDict(block1=block(inputs, outputs, stride))
    for number in range(2, depth + 1):
        blocks[f"block{number}"] = block(outputs, outputs, 1)
    return blocks


def residual_trunk(block: Block, depths: Sequence[int], outputs: int, *, in_channels: int) -> Trunk:
    """The trunk of table 1: ``conv1`` … ``conv5``, strides 2, 4, 8, 16, 32.

    Args:
        block: Makes a block.
        depths: Number of blocks of ``conv2`` and each stage after it.
        outputs: Channels of ``conv2``; every later stage has twice as many as the one before.
        in_channels: Number of channels of the images.
    """
    pool = nn.MaxPool2d(3, stride=2, padding=1)
    stages: dict[str, nn.Module] = {
        "conv1": ConvNorm(in_channels, 64, 7, stride=2),
        "conv2": nn.Sequential(OrderedDict(pool=pool, **residual_blocks(block, depths[0], 64, outputs, 1))),
    }
    for number, depth in enumerate(depths[1:], start=3):
        stages[f"conv{number}"] = nn.Sequential(residual_blocks(block, depth, outputs, 2 * outputs, 2))
        outputs *= 2
    return Trunk(stages, in_channels=in_channels)


def dilate(stages: Sequence[nn.Module]) -> None:
    """Let stages, each of which halves the size of its maps, keep it; in place.

    The 3 × 3 convolutions behind a stride that was taken out look at pixels twice as far apart, so that the weights
    still fit. As in torchvision, the first block of a stage reaches as far as the stage before it.

    F. Yu, V. Koltun, T. Funkhouser, "Dilated Residual Networks", 2017.
    """
    distance = 1
    for stage in stages:
        for number, block in enumerate(stage.children()):
            if number == 1:
                distance *= 2
            for layer in block.modules():
                if isinstance(layer, nn.Conv2d):
                    layer.stride = (1, 1)
                    if layer.kernel_size == (3, 3):
                        layer.dilation = layer.padding = (distance, distance)

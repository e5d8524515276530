"""ResNet v2, pre-activation ResNet.

K. He, X. Zhang, S. Ren, J. Sun, "Identity Mappings in Deep Residual Networks", ECCV 2016.

New then: normalisation and ReLU come before the convolutions of a block, so that nothing stands on the way of the
shortcuts and the signal passes from any block to any other unchanged; 1001 layers became trainable.

Departures, all of them Keras's, whose published weights these networks are to take:
- the last block of a stage has the stride, not the first of the next; its shortcut is a subsampling without weights;
- 1 × 1 convolutions that end a branch, and ``conv1``, have a bias; ``conv1`` is neither normalised nor rectified;
- the border around the first pooling is zero, where a maximum usually ignores it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, nn

from svertka.layers.convolution import ConvNorm
from svertka.layers.head import LinearHead
from svertka.layers.initialisation import he_normal
from svertka.layers.padding import AS_GOOD_AS_ZERO
from svertka.layers.trunk import Classifier, Trunk

_EPSILON = 1.001e-5


class ResNetV2(Classifier):
    """ResNet v2 for ImageNet.

    Args:
        depths: Number of blocks of ``conv2`` … ``conv5``.
        classes: Number of classes.
        in_channels: Number of channels of the images.
    """

    def __init__(self, *, depths: Sequence[int] = (3, 4, 6, 3), classes: int = 1000, in_channels: int = 3) -> None:
        channels, width = 64, 64
        stages: dict[str, nn.Module] = {
            "conv1": nn.Conv2d(in_channels, channels, 7, stride=2, padding=3),
            "pool1": nn.Sequential(nn.ConstantPad2d(1, AS_GOOD_AS_ZERO), nn.MaxPool2d(3, stride=2)),
        }
        for number, depth in enumerate(depths, start=2):
            last = number == len(depths) + 1
            blocks = OrderedDict[str, nn.Module](block1=PreActivationBlock(channels, width, projected=True))
            channels = 4 * width
            for block in range(2, depth + 1):
                stride = 2 if block == depth and not last else 1
                blocks[f"block{block}"] = PreActivationBlock(channels, width, stride=stride)
            if last:
                blocks.update(norm=nn.BatchNorm2d(channels, eps=_EPSILON), activation=nn.ReLU())
            stages[f"conv{number}"] = nn.Sequential(blocks)
            width *= 2
        super().__init__(Trunk(stages, in_channels=in_channels), LinearHead(channels, classes), classes=classes)
        he_normal(self, "fan_in")


class PreActivationBlock(nn.Module):
    """Figure 4 (e) of the paper with a bottleneck: ``residual(preactivation(x)) + x``.

    Args:
        inputs: Number of channels that come in; four times ``width`` go out.
        width: Number of channels of the 3 × 3 convolution.
        stride: Of the 3 × 3 convolution.
        projected: The shortcut is a 1 × 1 convolution of the pre-activated input, to change the channels.
    """

    def __init__(self, inputs: int, width: int, *, stride: int = 1, projected: bool = False) -> None:
        super().__init__()
        self.preactivation = nn.Sequential(OrderedDict(norm=nn.BatchNorm2d(inputs, eps=_EPSILON), activation=nn.ReLU()))
        self.residual = nn.Sequential(
            OrderedDict(
                conv1=ConvNorm(inputs, width, 1, epsilon=_EPSILON),
                conv2=ConvNorm(width, width, 3, stride=stride, epsilon=_EPSILON),
                conv3=nn.Conv2d(width, 4 * width, 1),
            )
        )
        self.projection = nn.Conv2d(inputs, 4 * width, 1) if projected else None
        self.subsampling = nn.MaxPool2d(1, stride=stride) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        preactivated = self.preactivation(x)
        shortcut = self.subsampling(x) if self.projection is None else self.projection(preactivated)
        y: Tensor = self.residual(preactivated) + shortcut
        return y

"""MobileNetV2.

M. Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", 2018.

New then: the shortcut joins the narrow layers, the depthwise convolution works on a wide one between them, and the
narrow layers have no nonlinearity.

Departures: as in torchvision, convolutions of stride 2 are padded alike on all sides, where the authors' TensorFlow
code pads the right and the bottom only.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from svertka.layers.convolution import ConvNorm
from svertka.layers.head import LinearHead
from svertka.layers.initialisation import he_normal, normal_linear
from svertka.layers.inverted_residual import InvertedResidual, scaled
from svertka.layers.trunk import Classifier, Trunk

_BOTTLENECKS = (
    # expansion, channels, depth, stride of the first block
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Table 2 between its first and its last convolution."""


class MobileNetV2(Classifier):
    """Stages are the rows of table 2: ``conv1``, ``bottleneck1`` … ``bottleneck7``, ``conv2``.

    Args:
        classes: Number of classes.
        in_channels: Number of channels of the images.
        width: Multiplier of all channels; those of ``conv2`` do not become fewer.
        dropout: Share of the pooled features that are dropped in training.
    """

    def __init__(self, *, classes: int = 1000, in_channels: int = 3, width: float = 1.0, dropout: float = 0.2) -> None:
        inputs, features = scaled(32, width), scaled(1280, max(1.0, width))
        stages: dict[str, nn.Module] = {"conv1": ConvNorm(in_channels, inputs, 3, stride=2, activation=nn.ReLU6)}
        for row, (expansion, channels, depth, stride) in enumerate(_BOTTLENECKS, 1):
            outputs = scaled(channels, width)
            blocks: OrderedDict[str, nn.Module] = OrderedDict()
            for number in range(1, depth + 1):
                blocks[f"block{number}"] = InvertedResidual(
                    inputs, outputs, expansion=expansion, stride=stride if number == 1 else 1
                )
                inputs = outputs
            stages[f"bottleneck{row}"] = nn.Sequential(blocks)
        stages["conv2"] = ConvNorm(inputs, features, 1, activation=nn.ReLU6)
        head = LinearHead(features, classes, dropout=dropout)
        super().__init__(Trunk(stages, in_channels=in_channels), head, classes=classes)
        he_normal(self, "fan_out")
        normal_linear(self)

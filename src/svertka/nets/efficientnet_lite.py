"""EfficientNet-Lite.

M. Tan, Q. Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", 2019; the Lite form:
R. Liu, "Higher accuracy on vision models with EfficientNet-Lite", TensorFlow blog, 2020.

New then: a small network found by search is made larger in depth, width and image size together, by a fixed ratio.
The Lite form is for devices that calculate in 8 bits: ReLU6 in place of swish, no squeeze-and-excitation, and
neither the first convolution nor the first and the last group of blocks grow with the rest.

Padding is TensorFlow's and the normalisation's epsilon 1e-3, since that is what the published weights were trained
with. Departure: no stochastic depth in training.
"""

from __future__ import annotations

import math
from collections import OrderedDict

from torch import nn

from svertka.layers.convolution import ConvNorm
from svertka.layers.head import LinearHead
from svertka.layers.initialisation import he_normal, normal_linear
from svertka.layers.inverted_residual import InvertedResidual, scaled
from svertka.layers.padding import SamePadding
from svertka.layers.trunk import Classifier, Trunk

_EPSILON = 1e-3

_BLOCKS = (
    # expansion, kernel, stride of the first block, channels, depth
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
"""Table 1, stages 2 to 8."""


class EfficientNetLite(Classifier):
    """The stages of table 1, ``stage1`` … ``stage9``, without the pooling and what follows it.

    Args:
        classes: Number of classes.
        in_channels: Number of channels of the images.
        width: Multiplier of the channels of stages 2 to 8.
        depth: Multiplier of the number of blocks in stages 3 to 7.
        dropout: Share of the pooled features that are dropped in training.
    """

    def __init__(
        self,
        *,
        classes: int = 1000,
        in_channels: int = 3,
        width: float = 1.0,
        depth: float = 1.0,
        dropout: float = 0.2,
    ) -> None:
        inputs, features = 32, 1280
        first = ConvNorm(in_channels, inputs, 3, stride=2, padding=0, epsilon=_EPSILON, activation=nn.ReLU6)
        stages: dict[str, nn.Module] = {"stage1": nn.Sequential(OrderedDict(pad=SamePadding(3, 2), conv=first))}
        for stage, (expansion, kernel, stride, channels, repeats) in enumerate(_BLOCKS, 2):
            outputs = scaled(channels, width)
            blocks: OrderedDict[str, nn.Module] = OrderedDict()
            for number in range(1, (math.ceil(depth * repeats) if 3 <= stage <= 7 else repeats) + 1):
                blocks[f"block{number}"] = InvertedResidual(
                    inputs,
                    outputs,
                    expansion=expansion,
                    kernel=kernel,
                    stride=stride if number == 1 else 1,
                    epsilon=_EPSILON,
                    same_padding=True,
                )
                inputs = outputs
            stages[f"stage{stage}"] = nn.Sequential(blocks)
        stages["stage9"] = ConvNorm(inputs, features, 1, epsilon=_EPSILON, activation=nn.ReLU6)
        head = LinearHead(features, classes, dropout=dropout)
        super().__init__(Trunk(stages, in_channels=in_channels), head, classes=classes)
        he_normal(self, "fan_out")
        normal_linear(self)

"""MobileNet.

A. Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications", 2017.

New then: every convolution but the first is taken apart into a depthwise one, which looks at each channel by itself,
and a 1 × 1 one, which mixes the channels, for an eighth of the computation; and one number, the width multiplier,
makes the network as thin as the device needs.

Departures, as in timm: ReLU6 in place of ReLU, since it survives low precision (the authors' TensorFlow code has it
too); convolutions of stride 2 are padded alike on all sides, where that code pads the right and the bottom only.
Published weights come from networks with and without either, hence ``relu6`` and ``same_padding``.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial

from torch import nn

from svertka.layers.convolution import ConvNorm
from svertka.layers.head import LinearHead
from svertka.layers.initialisation import he_normal, normal_linear
from svertka.layers.inverted_residual import scaled
from svertka.layers.trunk import Classifier, Trunk

_STAGES = (
    # channels, depth, stride of the first block
    (64, 1, 1),
    (128, 2, 2),
    (256, 2, 2),
    (512, 6, 2),
    (1024, 2, 2),
)
"""Table 1 between the first convolution and the pooling."""


class MobileNet(Classifier):
    """One convolution and thirteen depthwise separable ones. Stages: ``conv1``, ``separable1`` … ``separable5``.

    Args:
        classes: Number of classes.
        in_channels: Number of channels of the images.
        width: The multiplier α of all channels, as in table 6.
        relu6: ReLU6 in place of the paper's ReLU.
        same_padding: Pad as TensorFlow does, instead of alike on all sides.
    """

    def __init__(
        self,
        *,
        classes: int = 1000,
        in_channels: int = 3,
        width: float = 1.0,
        relu6: bool = True,
        same_padding: bool = False,
    ) -> None:
        convolution = partial(
            ConvNorm, padding="same" if same_padding else None, activation=nn.ReLU6 if relu6 else nn.ReLU
        )
        inputs = scaled(32, width)
        stages: dict[str, nn.Module] = {"conv1": convolution(in_channels, inputs, 3, stride=2)}
        for stage, (channels, depth, stride) in enumerate(_STAGES, 1):
            outputs = scaled(channels, width)
            blocks: OrderedDict[str, nn.Module] = OrderedDict()
            for number in range(1, depth + 1):
                blocks[f"block{number}"] = separable(convolution, inputs, outputs, stride if number == 1 else 1)
                inputs = outputs
            stages[f"separable{stage}"] = nn.Sequential(blocks)
        super().__init__(Trunk(stages, in_channels=in_channels), LinearHead(inputs, classes), classes=classes)
        he_normal(self, "fan_out")
        normal_linear(self)


def separable(convolution: partial[ConvNorm], inputs: int, outputs: int, stride: int) -> nn.Module:
    """Figure 3, right: ``depthwise`` 3 × 3, then ``pointwise`` 1 × 1, each normalised and rectified."""
    return nn.Sequential(
        OrderedDict(
            depthwise=convolution(inputs, inputs, 3, stride=stride, groups=inputs),
            pointwise=convolution(inputs, outputs, 1),
        )
    )

"""Inception-ResNet-v1 and Inception-ResNet-v2.

C. Szegedy, S. Ioffe, V. Vanhoucke, A. Alemi, "Inception-v4, Inception-ResNet and the Impact of Residual Connections on
Learning", 2016.

New then: what an Inception module gives is added to its input, as in a residual network, after a 1 × 1 convolution
that widens it; without normalisation there, and scaled down by 0.1 to 0.3, because the wide networks otherwise "die"
early in training. They learn faster than Inception networks of the same cost.

``InceptionResNetV1`` is the network of the paper (figures 10 to 15), about as large as Inception-v3.

``InceptionResNetV2`` is the one that the authors published, as timm has it, and not the one of the paper:
- 10, 20 and 10 residual modules instead of 5, 10 and 5;
- the stem of v1 up to 71 × 71, then an Inception module, instead of Inception-v4's stem: 320 channels instead of 384
  and from there on 1088 and 2080 instead of 1152 and 2048;
- the last residual module is neither scaled nor followed by a nonlinearity, and a 1 × 1 convolution to 1536 channels
  comes after it.

Both scale by the published 0.17, 0.1 and 0.2 on the three grids; the paper gives only the range.
"""

from __future__ import annotations

from torch import Tensor, nn

from svertka.layers.branches import Branches, chain
from svertka.layers.head import LinearHead
from svertka.layers.initialisation import he_normal
from svertka.layers.trunk import Classifier, Trunk


class InceptionResNetV1(Classifier):
    """Inception-ResNet-v1 for images of 299 × 299, or of any size from 75 × 75 on.

    Args:
        classes: Number of classes.
        in_channels: Number of channels of the images.
        dropout: Share of the last features that are dropped in training.
    """

    def __init__(self, *, classes: int = 1000, in_channels: int = 3, dropout: float = 0.2) -> None:
        trunk = Trunk(
            {
                **_stem(in_channels),
                "stem4": chain(192, (256, 3, 2)),  # 35
                "inception_resnet_a": nn.Sequential(*(_block35(256, 32, 32) for _ in range(5))),
                "reduction_a": _reduction_a(256, 384, (192, 192, 256)),  # 17
                "inception_resnet_b": nn.Sequential(*(_block17(896, 128, 128, 128) for _ in range(10))),
                "reduction_b": _reduction_b(896, (256, 256, 256)),  # 8
                "inception_resnet_c": nn.Sequential(*(_block8(1792, 192, 192) for _ in range(5))),
            },
            in_channels=in_channels,
        )
        super().__init__(trunk, LinearHead(1792, classes, dropout=dropout), classes=classes)
        he_normal(self, "fan_in")  # as the authors' code


class InceptionResNetV2(Classifier):
    """Inception-ResNet-v2 for images of 299 × 299, or of any size from 75 × 75 on.

    Args:
        classes: Number of classes.
        in_channels: Number of channels of the images.
        dropout: Share of the last features that are dropped in training.
    """

    def __init__(self, *, classes: int = 1000, in_channels: int = 3, dropout: float = 0.2) -> None:
        trunk = Trunk(
            {
                **_stem(in_channels),
                "stem4": nn.Sequential(nn.MaxPool2d(3, 2), _inception(192)),  # 35
                "inception_resnet_a": nn.Sequential(*(_block35(320, 48, 64) for _ in range(10))),
                "reduction_a": _reduction_a(320, 384, (256, 256, 384)),  # 17
                "inception_resnet_b": nn.Sequential(*(_block17(1088, 192, 160, 192) for _ in range(20))),
                "reduction_b": _reduction_b(1088, (288, 288, 320)),  # 8
                "inception_resnet_c": nn.Sequential(
                    *(_block8(2080, 224, 256) for _ in range(9)),
                    _block8(2080, 224, 256, last=True),
                ),
                "conv": chain(2080, (1536, 1)),
            },
            in_channels=in_channels,
        )
        super().__init__(trunk, LinearHead(1536, classes, dropout=dropout), classes=classes)
        he_normal(self, "fan_in")  # as the authors' code


class ScaledResidual(nn.Module):
    """``relu(x + scale * linear(branches(x)))``, of the shape of ``x``: section 3.3 and figure 20 of the paper.

    Args:
        inputs: Number of channels of ``x``.
        width: Number of channels that the branches give together.
        branches: What is learnt, before the widening.
        scale: Factor of what is added.
        last: Leave out the nonlinearity at the end.
    """

    def __init__(self, inputs: int, width: int, branches: Branches, *, scale: float, last: bool = False) -> None:
        super().__init__()
        self.branches = branches
        self.linear = nn.Conv2d(width, inputs, 1)
        self.scale = scale
        self.activation = nn.Identity() if last else nn.ReLU()

    def extra_repr(self) -> str:
        return f"scale={self.scale}"

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.activation(x + self.scale * self.linear(self.branches(x)))
        return y


def _stem(in_channels: int) -> dict[str, nn.Module]:
    # Figure 14, as far as both networks have it.
    return {
        "stem1": chain(in_channels, (32, 3, 2), (32, 3, 1), (64, 3)),  # 299 → 149 → 147
        "stem2": nn.Sequential(nn.MaxPool2d(3, 2), *chain(64, (80, 1))),  # 73
        "stem3": chain(80, (192, 3, 1)),  # 71
    }


def _inception(inputs: int) -> Branches:
    mean = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    return Branches(
        {
            "1x1": chain(inputs, (96, 1)),
            "5x5": chain(inputs, (48, 1), (64, 5)),
            "3x3dbl": chain(inputs, (64, 1), (96, 3), (96, 3)),
            "pool": nn.Sequential(mean, *chain(inputs, (64, 1))),
        }
    )


def _block35(inputs: int, middle: int, outputs: int) -> ScaledResidual:
    # Figures 10 and 16.
    branches = Branches(
        {
            "1x1": chain(inputs, (32, 1)),
            "3x3": chain(inputs, (32, 1), (32, 3)),
            "3x3dbl": chain(inputs, (32, 1), (middle, 3), (outputs, 3)),
        }
    )
    return ScaledResidual(inputs, 32 + 32 + outputs, branches, scale=0.17)


def _reduction_a(inputs: int, single: int, double: tuple[int, int, int]) -> Branches:
    # Figure 7; single is n of table 1, double is k, l, m.
    one, two, three = double
    return Branches(
        {
            "3x3": chain(inputs, (single, 3, 2)),
            "3x3dbl": chain(inputs, (one, 1), (two, 3), (three, 3, 2)),
            "pool": nn.MaxPool2d(3, 2),
        }
    )


def _block17(inputs: int, one: int, middle: int, outputs: int) -> ScaledResidual:
    # Figures 11 and 17.
    branches = Branches(
        {
            "1x1": chain(inputs, (one, 1)),
            "7x7": chain(inputs, (128, 1), (middle, (1, 7)), (outputs, (7, 1))),
        }
    )
    return ScaledResidual(inputs, one + outputs, branches, scale=0.1)


def _reduction_b(inputs: int, widths: tuple[int, int, int]) -> Branches:
    # Figures 12 and 18.
    one, two, three = widths
    return Branches(
        {
            "3x3wide": chain(inputs, (256, 1), (384, 3, 2)),
            "3x3": chain(inputs, (256, 1), (one, 3, 2)),
            "3x3dbl": chain(inputs, (256, 1), (two, 3), (three, 3, 2)),
            "pool": nn.MaxPool2d(3, 2),
        }
    )


def _block8(inputs: int, middle: int, outputs: int, *, last: bool = False) -> ScaledResidual:
    # Figures 13 and 19.
    branches = Branches(
        {
            "1x1": chain(inputs, (192, 1)),
            "3x3": chain(inputs, (192, 1), (middle, (1, 3)), (outputs, (3, 1))),
        }
    )
    return ScaledResidual(inputs, 192 + outputs, branches, scale=1.0 if last else 0.2, last=last)

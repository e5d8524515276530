"""Inception-v4.

C. Szegedy, S. Ioffe, V. Vanhoucke, A. Alemi, "Inception-v4, Inception-ResNet and the Impact of Residual Connections on
Learning", 2016.

New then: the Inception network drawn anew, deeper and more uniform (4, 7 and 3 modules of one kind on each grid),
without regard to how it must be split over machines to be trained. The stem too has branches. What goes by the figures
below are the paper's; where the paper leaves the order of a 1 × 7 and a 7 × 1 open, it is as in the authors' code.
"""

from __future__ import annotations

from torch import nn

from svertka.layers.branches import Branches, chain
from svertka.layers.head import LinearHead
from svertka.layers.initialisation import he_normal
from svertka.layers.trunk import Classifier, Trunk


class InceptionV4(Classifier):
    """Inception-v4 for images of 299 × 299, or of any size from 75 × 75 on.

    Args:
        classes: Number of classes.
        in_channels: Number of channels of the images.
        dropout: Share of the last features that are dropped in training.
    """

    def __init__(self, *, classes: int = 1000, in_channels: int = 3, dropout: float = 0.2) -> None:
        trunk = Trunk(
            {
                # The stem, figure 3.
                "stem1": chain(in_channels, (32, 3, 2), (32, 3, 1), (64, 3)),  # 299 → 149 → 147
                "stem2": Branches({"pool": nn.MaxPool2d(3, 2), "3x3": chain(64, (96, 3, 2))}),  # 73
                "stem3": Branches(  # 71
                    {
                        "3x3": chain(160, (64, 1), (96, 3, 1)),
                        "7x7": chain(160, (64, 1), (64, (1, 7)), (64, (7, 1)), (96, 3, 1)),
                    }
                ),
                "stem4": Branches({"3x3": chain(192, (192, 3, 2)), "pool": nn.MaxPool2d(3, 2)}),  # 35
                "inception_a": nn.Sequential(*(_inception_a() for _ in range(4))),
                "reduction_a": _reduction_a(),  # 17
                "inception_b": nn.Sequential(*(_inception_b() for _ in range(7))),
                "reduction_b": _reduction_b(),  # 8
                "inception_c": nn.Sequential(*(_inception_c() for _ in range(3))),
            },
            in_channels=in_channels,
        )
        super().__init__(trunk, LinearHead(1536, classes, dropout=dropout), classes=classes)
        he_normal(self, "fan_in")  # as the authors' code


def _inception_a() -> Branches:
    # Figure 4.
    return Branches(
        {
            "1x1": chain(384, (96, 1)),
            "3x3": chain(384, (64, 1), (96, 3)),
            "3x3dbl": chain(384, (64, 1), (96, 3), (96, 3)),
            "pool": _pooled(384, 96),
        }
    )


def _reduction_a() -> Branches:
    # Figure 7 with k = 192, l = 224, m = 256, n = 384.
    return Branches(
        {
            "3x3": chain(384, (384, 3, 2)),
            "3x3dbl": chain(384, (192, 1), (224, 3), (256, 3, 2)),
            "pool": nn.MaxPool2d(3, 2),
        }
    )


def _inception_b() -> Branches:
    # Figure 5.
    return Branches(
        {
            "1x1": chain(1024, (384, 1)),
            "7x7": chain(1024, (192, 1), (224, (1, 7)), (256, (7, 1))),
            "7x7dbl": chain(1024, (192, 1), (192, (7, 1)), (224, (1, 7)), (224, (7, 1)), (256, (1, 7))),
            "pool": _pooled(1024, 128),
        }
    )


def _reduction_b() -> Branches:
    # Figure 8.
    return Branches(
        {
            "3x3": chain(1024, (192, 1), (192, 3, 2)),
            "7x7x3": chain(1024, (256, 1), (256, (1, 7)), (320, (7, 1)), (320, 3, 2)),
            "pool": nn.MaxPool2d(3, 2),
        }
    )


def _inception_c() -> Branches:
    # Figure 6.
    return Branches(
        {
            "1x1": chain(1536, (256, 1)),
            "3x3": nn.Sequential(*chain(1536, (384, 1)), _split(384)),
            "3x3dbl": nn.Sequential(*chain(1536, (384, 1), (448, (3, 1)), (512, (1, 3))), _split(512)),
            "pool": _pooled(1536, 256),
        }
    )


def _split(inputs: int) -> Branches:
    return Branches({"1x3": chain(inputs, (256, (1, 3))), "3x1": chain(inputs, (256, (3, 1)))})


def _pooled(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False), *chain(inputs, (outputs, 1)))

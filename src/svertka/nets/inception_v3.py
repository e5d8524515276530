"""Inception-v2 and Inception-v3.

C. Szegedy, V. Vanhoucke, S. Ioffe, J. Shlens, Z. Wojna, "Rethinking the Inception Architecture for Computer Vision",
2015.

New then: wide convolutions factorised, 5 × 5 into two of 3 × 3 and 7 × 7 into 1 × 7 and 7 × 1; pooling and strided
convolution side by side where the grid shrinks, so that no layer is a bottleneck; batch normalisation in the auxiliary
classifier; label smoothing. Stages and modules are named as in the authors' TensorFlow code (Mixed_6e is
``mixed6.e``).

``InceptionV3`` is the network of that code, as torchvision has it: its modules on the 35 × 35 grid keep a 5 × 5
convolution (figure 4 with two 3 × 3 in the other branch), and its second reduction has a 7 × 7 before the stride.
Departure: means over 3 × 3 count the padding, as in torchvision and unlike in TensorFlow.

``InceptionV2`` is the network of the paper's table 1 and section 6, line by line: a stem of six 3 × 3 convolutions,
then 3, 5 and 2 modules of figures 5, 6 and 7 with a reduction between each; 25,954,248 parameters. (TensorFlow's
"inception_v2" is another network, that of the paper on batch normalisation.) Where the paper is silent or disagrees
with itself:
- it refers for the widths inside the modules to a file model.txt, which is not to be found: they are Inception-v3's,
  as are the reductions ("variations of" figure 10 in the paper), and add up to every width in the table;
- the fifth module of figure 6 repeats the width in the middle. Inception-v3 has four, with which this network would
  have 24.3 million parameters, and the paper promises fewer than 25 of its best network;
- the sixth convolution is padded, which the table does not say: without that the grid would be 33 × 33.
"""

from __future__ import annotations

from collections import OrderedDict
from string import ascii_lowercase

from torch import Tensor, nn

from svertka.layers.branches import Branches, chain
from svertka.layers.head import LinearHead
from svertka.layers.initialisation import he_normal
from svertka.layers.trunk import Classifier, Trunk


class InceptionV3(Classifier):
    """Inception-v3 for images of 299 × 299, or of any size from 75 × 75 on.

    Args:
        classes: Number of classes.
        in_channels: Number of channels of the images.
        dropout: Share of the last features that are dropped in training.
        auxiliary: With the classifier on the last 17 × 17 grid, for training.
    """

    def __init__(
        self, *, classes: int = 1000, in_channels: int = 3, dropout: float = 0.2, auxiliary: bool = False
    ) -> None:
        trunk = Trunk(
            {
                "conv1": chain(in_channels, (32, 3, 2)),  # 299 → 149
                "conv2": chain(32, (32, 3, 1), (64, 3)),  # 147
                "conv3": nn.Sequential(nn.MaxPool2d(3, 2), *chain(64, (80, 1))),  # 73
                "conv4": chain(80, (192, 3, 1)),  # 71
                "mixed5": _lettered(
                    nn.MaxPool2d(3, 2),  # 35
                    _figure5(192, pool=32, kernel=5),
                    _figure5(256, pool=64, kernel=5),
                    _figure5(288, pool=64, kernel=5),
                ),
                "mixed6": _lettered(_reduction_to_17(), *(_figure6(width) for width in (128, 160, 160, 192))),
                "mixed7": _lettered(_reduction_to_8(), _figure7(1280), _figure7(2048)),
            },
            in_channels=in_channels,
        )
        super().__init__(trunk, LinearHead(2048, classes, dropout=dropout), classes=classes)
        self.auxiliary = nn.ModuleDict({"mixed6": _auxiliary(768, classes)} if auxiliary else {})
        he_normal(self, "fan_in")  # as the authors' later code

    def forward_with_auxiliary(self, x: Tensor) -> tuple[Tensor, ...]:
        """Logits ``(N, classes)`` of the classifier, then those of the auxiliary one, if there is one.

        Raises:
            RuntimeError: There is an auxiliary classifier and the images are smaller than 299 × 299, which give
                just the 17 × 17 grid that it needs.
        """
        features = self.trunk.pyramid(x)
        beside = (classifier(features[stage]) for stage, classifier in self.auxiliary.items())
        return self.head(features["mixed7"]), *beside


class InceptionV2(Classifier):
    """Inception-v2 for images of 299 × 299, or of any size from 75 × 75 on.

    Args:
        classes: Number of classes.
        in_channels: Number of channels of the images.
        dropout: Share of the last features that are dropped in training.
    """

    def __init__(self, *, classes: int = 1000, in_channels: int = 3, dropout: float = 0.2) -> None:
        trunk = Trunk(
            {
                "conv1": chain(in_channels, (32, 3, 2)),  # 299 → 149
                "conv2": chain(32, (32, 3, 1), (64, 3)),  # 147
                "conv3": nn.Sequential(nn.MaxPool2d(3, 2), *chain(64, (80, 3, 1))),  # 73, 71
                "conv4": chain(80, (192, 3, 2), (288, 3)),  # 35
                "mixed5": _lettered(*(_figure5(288, pool=64, kernel=3) for _ in range(3))),
                "mixed6": _lettered(_reduction_to_17(), *(_figure6(width) for width in (128, 160, 160, 160, 192))),
                "mixed7": _lettered(_reduction_to_8(), _figure7(1280), _figure7(2048)),
            },
            in_channels=in_channels,
        )
        super().__init__(trunk, LinearHead(2048, classes, dropout=dropout), classes=classes)
        he_normal(self, "fan_in")  # as the authors' later code


def _lettered(*modules: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(zip(ascii_lowercase, modules, strict=False)))


def _figure5(inputs: int, *, pool: int, kernel: int) -> Branches:
    # kernel: of the branch which has one wide convolution
    return Branches(
        {
            "1x1": chain(inputs, (64, 1)),
            f"{kernel}x{kernel}": chain(inputs, (48, 1), (64, kernel)),
            "3x3dbl": chain(inputs, (64, 1), (96, 3), (96, 3)),
            "pool": _pooled(inputs, pool),
        }
    )


def _figure6(width: int) -> Branches:
    return Branches(
        {
            "1x1": chain(768, (192, 1)),
            "7x7": chain(768, (width, 1), (width, (1, 7)), (192, (7, 1))),
            "7x7dbl": chain(768, (width, 1), (width, (7, 1)), (width, (1, 7)), (width, (7, 1)), (192, (1, 7))),
            "pool": _pooled(768, 192),
        }
    )


def _figure7(inputs: int) -> Branches:
    return Branches(
        {
            "1x1": chain(inputs, (320, 1)),
            "3x3": nn.Sequential(*chain(inputs, (384, 1)), _split()),
            "3x3dbl": nn.Sequential(*chain(inputs, (448, 1), (384, 3)), _split()),
            "pool": _pooled(inputs, 192),
        }
    )


def _split() -> Branches:
    return Branches({"1x3": chain(384, (384, (1, 3))), "3x1": chain(384, (384, (3, 1)))})


def _pooled(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.AvgPool2d(3, stride=1, padding=1), *chain(inputs, (outputs, 1)))


def _reduction_to_17() -> Branches:
    return Branches(
        {
            "3x3": chain(288, (384, 3, 2)),
            "3x3dbl": chain(288, (64, 1), (96, 3), (96, 3, 2)),
            "pool": nn.MaxPool2d(3, 2),
        }
    )


def _reduction_to_8() -> Branches:
    return Branches(
        {
            "3x3": chain(768, (192, 1), (320, 3, 2)),
            "7x7x3": chain(768, (192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3, 2)),
            "pool": nn.MaxPool2d(3, 2),
        }
    )


def _auxiliary(inputs: int, classes: int) -> nn.Sequential:
    # Figure 8. At 299 × 299: 17 → 5 → 1.
    return nn.Sequential(
        OrderedDict(
            shrink=nn.AvgPool2d(5, stride=3),
            conv=chain(inputs, (128, 1), (768, 5, 1)),
            head=LinearHead(768, classes),
        )
    )

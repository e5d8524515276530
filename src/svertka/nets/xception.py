"""Xception.

F. Chollet, "Xception: Deep Learning with Depthwise Separable Convolutions", 2016.

New then: the Inception module taken to its extreme. Each channel is looked at on its own (depthwise), and what they
show is combined by 1 × 1 convolutions only (pointwise); 36 convolutions in 14 modules, with residual connections.

Departures, as timm: unlike in the author's Keras code the images are not padded differently left and right, and
normalisation has an epsilon of 1e-5.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from svertka.layers.convolution import ConvNorm
from svertka.layers.head import LinearHead
from svertka.layers.initialisation import he_normal
from svertka.layers.trunk import Classifier, Trunk


class Xception(Classifier):
    """Xception for images of 299 × 299, or of any size from 7 × 7 on.

    Args:
        classes: Number of classes.
        in_channels: Number of channels of the images.
        dropout: Share of the last features that are dropped in training.
    """

    def __init__(self, *, classes: int = 1000, in_channels: int = 3, dropout: float = 0.5) -> None:
        trunk = Trunk(
            {
                # Figure 5. A module's output is not rectified; the next one begins with that.
                "entry1": nn.Sequential(  # 299 → 149 → 147
                    ConvNorm(in_channels, 32, 3, stride=2, padding=0), ConvNorm(32, 64, 3, padding=0)
                ),
                "entry2": XceptionModule(64, (128, 128), stride=2, rectify_first=False),  # 74
                "entry3": XceptionModule(128, (256, 256), stride=2),  # 37
                "entry4": XceptionModule(256, (728, 728), stride=2),  # 19
                "middle": nn.Sequential(*(XceptionModule(728, (728, 728, 728)) for _ in range(8))),
                "exit1": XceptionModule(728, (728, 1024), stride=2),  # 10
                "exit2": nn.Sequential(
                    OrderedDict(
                        conv1=SeparableNorm(1024, 1536),
                        relu1=nn.ReLU(),
                        conv2=SeparableNorm(1536, 2048),
                        relu2=nn.ReLU(),
                    )
                ),
            },
            in_channels=in_channels,
        )
        super().__init__(trunk, LinearHead(2048, classes, dropout=dropout), classes=classes)
        # The paper does not say how to begin.
        he_normal(self, "fan_in")
        for module in self.modules():
            if isinstance(module, SeparableNorm):  # what a pointwise convolution gets is not rectified
                nn.init.kaiming_normal_(module.pointwise.weight, nonlinearity="linear")


class SeparableNorm(nn.Sequential):
    """A 3 × 3 convolution of each channel, a 1 × 1 convolution across channels, and batch normalisation.

    Section 4.7 of the paper: there is no nonlinearity between the two convolutions.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False)
        self.pointwise = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)


class XceptionModule(nn.Module):
    """Rectified separable convolutions, pooled where there is a stride, added to the input or its projection.

    Takes ``(N, inputs, H, W)`` to ``(N, outputs[-1], H', W')``.

    Args:
        inputs: Number of channels that come in.
        outputs: Number of channels that each convolution gives.
        stride: Of the pooling at the end and of the projection.
        rectify_first: Begin with a ReLU.
    """

    def __init__(self, inputs: int, outputs: tuple[int, ...], *, stride: int = 1, rectify_first: bool = True) -> None:
        super().__init__()
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        width = inputs
        for number, wider in enumerate(outputs, start=1):
            if number > 1 or rectify_first:
                layers[f"relu{number}"] = nn.ReLU()
            layers[f"conv{number}"] = SeparableNorm(width, wider)
            width = wider
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1:
            layers["pool"] = nn.MaxPool2d(3, stride, padding=1)
            self.shortcut = ConvNorm(inputs, width, 1, stride=stride, activation=None)
        self.residual = nn.Sequential(layers)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.residual(x) + self.shortcut(x)
        return y

"""DenseNet.

G. Huang, Z. Liu, L. van der Maaten, K. Q. Weinberger, "Densely Connected Convolutional Networks", CVPR 2017
(arXiv 2016).

New then: every layer of a block sees the maps of all layers before it, concatenated rather than added, and itself
contributes only a few ("growth rate", k). These are DenseNet-BC: 1 × 1 bottlenecks, and transitions that halve the
number of maps.

Departures: none that matter; the bottleneck and the order of layers are torchvision's, which is the authors'.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from svertka.layers.convolution import ConvNorm
from svertka.layers.head import LinearHead
from svertka.layers.initialisation import he_normal
from svertka.layers.trunk import Classifier, Trunk


class DenseNet(Classifier):
    """DenseNet-BC for ImageNet, table 1.

    Args:
        depths: Number of layers of every dense block.
        growth: k, the number of maps that a layer adds.
        dropout: Share of the maps' values that are dropped after every 3 × 3 convolution in training.
        classes: Number of classes.
        in_channels: Number of channels of the images.
    """

    def __init__(
        self,
        *,
        depths: Sequence[int] = (6, 12, 24, 16),
        growth: int = 32,
        dropout: float = 0.0,
        classes: int = 1000,
        in_channels: int = 3,
    ) -> None:
        channels = 2 * growth
        stages: dict[str, nn.Module] = {
            "conv": ConvNorm(in_channels, channels, 7, stride=2),
            "pool": nn.MaxPool2d(3, stride=2, padding=1),
        }
        for number, depth in enumerate(depths, start=1):
            if number > 1:
                stages[f"transition{number - 1}"] = transition(channels)
                channels //= 2
            stages[f"block{number}"] = DenseBlock(channels, layers=depth, growth=growth, dropout=dropout)
            channels += depth * growth
        stages["norm"] = nn.Sequential(OrderedDict(norm=nn.BatchNorm2d(channels), activation=nn.ReLU()))
        super().__init__(Trunk(stages, in_channels=in_channels), LinearHead(channels, classes), classes=classes)
        he_normal(self, "fan_in")


class DenseBlock(nn.ModuleDict):
    """Layers of which each sees the input and what all layers before it gave.

    The block of the paper's figure 1, of five layers with a growth rate of 4 and without bottlenecks, is
    ``DenseBlock(inputs, layers=5, growth=4, bottleneck=0)``: its layers see ``inputs``, ``inputs + 4``, …,
    ``inputs + 16`` maps, and ``inputs + 20`` go out.

    Args:
        inputs: Number of maps that come in.
        layers: Number of layers.
        growth: k, the number of maps that a layer adds.
        bottleneck: A layer's 3 × 3 convolution sees this many times ``growth`` maps, which a 1 × 1 convolution
            makes of all there are; 0 for a layer that has the 3 × 3 convolution only.
        dropout: Share of the new maps' values that are dropped in training.
    """

    def __init__(self, inputs: int, *, layers: int, growth: int, bottleneck: int = 4, dropout: float = 0.0) -> None:
        super().__init__(
            {
                f"layer{number + 1}": dense_layer(inputs + number * growth, growth, bottleneck * growth, dropout)
                for number in range(layers)
            }
        )

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.values():
            x = torch.cat([x, layer(x)], dim=1)
        return x


def dense_layer(inputs: int, growth: int, bottleneck: int, dropout: float) -> nn.Sequential:
    """H, sections 3 and 4: normalisation, ReLU and convolution; the bottleneck is the same before it, 1 × 1."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for number, (width_in, width_out, kernel) in enumerate(
        [(inputs, bottleneck, 1), (bottleneck, growth, 3)] if bottleneck else [(inputs, growth, 3)], start=1
    ):
        layers[f"norm{number}"] = nn.BatchNorm2d(width_in)
        layers[f"activation{number}"] = nn.ReLU()
        layers[f"conv{number}"] = nn.Conv2d(width_in, width_out, kernel, padding=kernel // 2, bias=False)
    layers["dropout"] = nn.Dropout(dropout)
    return nn.Sequential(layers)


def transition(inputs: int) -> nn.Sequential:
    """Between two blocks: half of the maps ("compression", θ = 0.5), at half the size."""
    return nn.Sequential(
        OrderedDict(
            norm=nn.BatchNorm2d(inputs),
            activation=nn.ReLU(),
            conv=nn.Conv2d(inputs, inputs // 2, 1, bias=False),
            pool=nn.AvgPool2d(2),
        )
    )

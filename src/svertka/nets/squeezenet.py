"""SqueezeNet 1.0 and 1.1.

F. Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size", 2016.

New then: a fire module squeezes its input to few channels before it expands them again with 1 × 1 and 3 × 3 filters
side by side, and the maps are made smaller late, so that most layers see large ones.

Version 1.1 is the authors' own revision (of the same year, without a paper): a smaller first convolution and earlier
pooling, for 2.4 times less computation at the same accuracy.

Departures: none known. As in the authors' Caffe model, nothing is padded around the first convolution (so that the
111 × 111 maps of table 1 are those of 227 × 227 images, not of its 224 × 224), a pooling window may hang over the
border, and the logits pass a ReLU.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from svertka.errors import UserError, nearest
from svertka.layers.initialisation import he_normal
from svertka.layers.trunk import Classifier, Trunk

_FIRE = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))
"""Of fire2 … fire9: channels that it squeezes to, and channels of each half that it expands to."""

_VERSIONS = {"1.0": (96, 7, (4, 8)), "1.1": (64, 3, (3, 5))}
"""Channels and kernel of conv1, and the fire modules that pooling follows."""


class Fire(nn.Module):
    """Section 3.2: ``squeeze`` (1 × 1), then ``expand1x1`` and ``expand3x3`` side by side.

    Args:
        inputs: Number of channels that come in.
        squeezed: Number of channels between.
        expanded: Half the number of channels that go out.
    """

    def __init__(self, inputs: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeezed, 1)
        self.squeeze_relu = nn.ReLU()
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)
        self.expand_relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze_relu(self.squeeze(x))
        expanded: Tensor = self.expand_relu(torch.cat([self.expand1x1(x), self.expand3x3(x)], dim=1))
        return expanded


class SqueezeNet(Classifier):
    """A convolution, eight fire modules, and a convolution with one map a class; the stages are the rows of table 1.

    Args:
        classes: Number of classes.
        in_channels: Number of channels of the images.
        version: ``"1.0"``, the paper's, or ``"1.1"``.
        dropout: Share of the inputs of conv10 that are dropped in training.
    """

    def __init__(
        self, *, classes: int = 1000, in_channels: int = 3, version: str = "1.0", dropout: float = 0.5
    ) -> None:
        if version not in _VERSIONS:
            raise UserError(f"unknown version {version!r}", mend=nearest(version, _VERSIONS))
        channels, kernel, pooled = _VERSIONS[version]
        stages: dict[str, nn.Module] = {
            "conv1": nn.Sequential(
                OrderedDict(conv=nn.Conv2d(in_channels, channels, kernel, stride=2), relu=nn.ReLU())
            ),
            "maxpool1": _pooling(),
        }
        for number, (squeezed, expanded) in enumerate(_FIRE, 2):
            stages[f"fire{number}"] = Fire(channels, squeezed, expanded)
            channels = 2 * expanded
            if number in pooled:
                stages[f"maxpool{number}"] = _pooling()
        conv10 = nn.Conv2d(channels, classes, 1)
        head = nn.Sequential(
            OrderedDict(
                dropout=nn.Dropout(dropout),
                conv10=conv10,
                relu=nn.ReLU(),
                pool=nn.AdaptiveAvgPool2d(1),
                flatten=nn.Flatten(),
            )
        )
        super().__init__(Trunk(stages, in_channels=in_channels), head, classes=classes)
        he_normal(self, "fan_in")
        nn.init.normal_(conv10.weight, std=0.01)


def _pooling() -> nn.Module:
    return nn.MaxPool2d(3, 2, ceil_mode=True)

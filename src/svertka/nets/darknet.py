"""Darknet-19.

J. Redmon, A. Farhadi, "YOLO9000: Better, Faster, Stronger", CVPR 2017, section 3.

What YOLOv2 stands on: as in VGG, 3 × 3 convolutions, twice as many channels after every pooling; as in Network in
Network, 1 × 1 convolutions between them that narrow the maps, and the average of one map a class at the end. All are
normalised.

Departures: none known.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial

from torch import nn

from svertka.layers.activation import Leaky
from svertka.layers.convolution import ConvNorm
from svertka.layers.initialisation import he_normal
from svertka.layers.trunk import Classifier, Trunk

_WIDTHS = ((32,), (64,), (128, 64, 128), (256, 128, 256), (512, 256, 512, 256, 512), (1024, 512, 1024, 512, 1024))
"""Channels of the convolutions at each resolution; every other is 1 × 1."""

_Conv = partial(ConvNorm, activation=Leaky)


class Darknet19(Classifier):
    """Eighteen normalised convolutions at six resolutions, and one that has a map a class.

    Args:
        classes: Number of classes.
        in_channels: Number of channels of the images.
    """

    def __init__(self, *, classes: int = 1000, in_channels: int = 3) -> None:
        stages: dict[str, nn.Module] = {}
        inputs = in_channels
        for number, widths in enumerate(_WIDTHS, 1):
            layers: OrderedDict[str, nn.Module] = OrderedDict()
            if stages:
                layers["pool"] = nn.MaxPool2d(2, 2)
            for place, width in enumerate(widths, 1):
                layers[f"conv{place}"] = _Conv(inputs, width, 3 if place % 2 else 1)
                inputs = width
            stages[f"stage{number}"] = nn.Sequential(layers)
        head = nn.Sequential(
            OrderedDict(conv=nn.Conv2d(inputs, classes, 1), pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten())
        )
        super().__init__(Trunk(stages, in_channels=in_channels), head, classes=classes)
        he_normal(self, "fan_in")

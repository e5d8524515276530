"""A one-dimensional convolutional classifier of series.

Each stage is convolution, batch normalisation and ReLU at half the rate of the one before, as in the fully
convolutional network of Z. Wang, W. Yan, T. Oates, "Time Series Classification from Scratch with Deep Neural
Networks", IJCNN 2017.
"""

from __future__ import annotations

from torch import nn

from svertka.layers.trunk import Classifier, Trunk


def _stage(inputs: int, outputs: int, kernel: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(inputs, outputs, kernel, stride=2, padding=kernel // 2, bias=False),
        nn.BatchNorm1d(outputs),
        nn.ReLU(inplace=True),
    )


class WaveNet1d(Classifier):
    """Three strided convolutions over time and a mean over what is left of it.

    Args:
        classes: Number of classes.
        in_channels: Channels of the series.
        width: Channels after the first stage; each further one has twice as many.
    """

    def __init__(self, *, classes: int = 3, in_channels: int = 1, width: int = 8) -> None:
        trunk = Trunk(
            {
                "c1": _stage(in_channels, width, 7),
                "c2": _stage(width, 2 * width, 5),
                "c3": _stage(2 * width, 4 * width, 3),
            },
            in_channels=in_channels,
        )
        head = nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4 * width, classes))
        super().__init__(trunk, head, classes=classes)

"""U-Net, as published and on any trunk.

O. Ronneberger, P. Fischer, T. Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation", MICCAI 2015.

New then: an expanding path as wide as the contracting one, which meets the maps of that again at every resolution; with
them, and strongly deformed images, thirty pictures are enough. It won a challenge on membranes of nerve cells.

``UNet2015`` is figure 1: convolutions without padding, so that logits are for the middle 388 × 388 of 572 × 572 pixels,
and large images are cut into tiles that overlap.

``UNet`` is its expanding path on the trunk of any classifier. Departures, all of them in general use now:
- convolutions are padded, and logits are as large as the image;
- batch normalisation follows every 3 × 3 convolution;
- it has 16 channels at stride 1 where the paper has 64, and as there twice as many at twice the stride;
- where a trunk has no maps as large as the image, the last step upwards meets none.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from svertka.layers.convolution import ConvNorm
from svertka.layers.dense import Decoder, Segmenter, fitted, resolutions
from svertka.layers.initialisation import he_normal
from svertka.layers.trunk import Trunk
from svertka.wording import counted


class UNet(Segmenter):
    """The expanding path on the last stage of every stride of a trunk.

    Args:
        trunk: The stages.
        classes: Number of classes.
        width: Number of channels at stride 1.
    """

    def __init__(self, *, trunk: Trunk, classes: int = 2, width: int = 16) -> None:
        found = resolutions(trunk)
        channels = {resolution.stride: resolution.last_channels for resolution in found}
        widths = {stride: stride * width for stride in {1, *channels}}
        path = ExpandingPath([resolution.last for resolution in found], channels, widths, classes)
        super().__init__(trunk, path, classes=classes)
        he_normal(path, "fan_in")


class ExpandingPath(Decoder):
    """From the coarsest maps to the image: up, beside the trunk's maps of that size, two convolutions.

    Args:
        taps: Stages of the trunk, finest first.
        channels: Of their outputs, by stride.
        widths: Number of channels to have at each stride.
        classes: Number of classes.
    """

    def __init__(self, taps: Sequence[str], channels: dict[int, int], widths: dict[int, int], classes: int) -> None:
        super().__init__(taps)
        self.steps = nn.ModuleList()
        strides = sorted(widths, reverse=True)
        inputs = channels[strides[0]]
        for coarse, fine in pairwise(strides):
            step = Step(inputs, channels.get(fine, 0), widths[fine], factor=coarse // fine)
            self.steps.append(step)
            inputs = widths[fine]
        self.score = nn.Conv2d(inputs, classes, 1)

    def forward(self, maps: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        *finer, x = maps
        for step in self.steps:
            skip = finer.pop() if finer else None
            x = step(x, skip, size if skip is None else skip.shape[2:])
        logits: Tensor = self.score(x)
        return fitted(logits, size)


class Step(nn.Module):
    """One step upwards: ``(N, inputs, H, W)`` and the trunk's maps to ``(N, outputs, *size)``.

    Args:
        inputs: Number of channels that come from below.
        skipped: Number of channels of the trunk's maps; 0 for none.
        outputs: Number of channels that go out.
        factor: How much larger the maps become.
    """

    def __init__(self, inputs: int, skipped: int, outputs: int, *, factor: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(inputs, outputs, factor, stride=factor)
        self.convolutions = nn.Sequential(
            OrderedDict(conv1=ConvNorm(outputs + skipped, outputs, 3), conv2=ConvNorm(outputs, outputs, 3))
        )

    def forward(self, x: Tensor, skip: Tensor | None, size: Sequence[int]) -> Tensor:
        x = fitted(self.up(x), size)
        y: Tensor = self.convolutions(x if skip is None else torch.cat([skip, x], dim=1))
        return y


class UNet2015(Segmenter):
    """Figure 1. The stages ``down1`` … ``down5`` are at strides 1, 2, 4, 8 and 16.

    It takes images of 188 × 188 on, in steps of 16, and says nothing of a margin of 92 pixels.

    Args:
        classes: Number of classes.
        in_channels: Number of channels of the images.
        width: Number of channels of ``down1``; they double at every stage.
        dropout: Share of the maps that are dropped at the end of the contracting path, in training.

    Raises:
        ValueError: In ``forward``: images of another size.
    """

    margin = 92
    smallest = 188
    step = 16

    def __init__(self, *, classes: int = 2, in_channels: int = 1, width: int = 64, dropout: float = 0.5) -> None:
        widths = [width * 2**number for number in range(5)]
        stages: dict[str, nn.Module] = {}
        for number, (inputs, outputs) in enumerate(pairwise([in_channels, *widths]), 1):
            layers: OrderedDict[str, nn.Module] = OrderedDict()
            if number > 1:
                layers["pool"] = nn.MaxPool2d(2)
            layers["convolutions"] = _two_convolutions(inputs, outputs)
            if number > 3:
                layers["dropout"] = nn.Dropout(dropout)
            stages[f"down{number}"] = nn.Sequential(layers)
        trunk = Trunk(stages, in_channels=in_channels)
        super().__init__(trunk, UnpaddedPath(list(stages), widths, classes), classes=classes)
        he_normal(self, "fan_in")  # "a Gaussian distribution with a standard deviation of √(2 / N)"

    def forward(self, x: Tensor) -> Tensor:
        """See `Segmenter.forward`."""
        for side in x.shape[2:]:
            if isinstance(side, int) and side != self.tile(side - 2 * self.margin):
                raise ValueError(
                    f"images of {counted(side, 'pixel')}: it takes {self.smallest}, and {self.step} more at a time"
                )
        return super().forward(x)

    def tile(self, side: int) -> int:
        """See `Segmenter.tile`."""
        beyond = max(side + 2 * self.margin - self.smallest, 0)
        return self.smallest + -(-beyond // self.step) * self.step


class UnpaddedPath(Decoder):
    """Right half of figure 1; of the contracting path's maps the middle is taken."""

    def __init__(self, taps: Sequence[str], widths: Sequence[int], classes: int) -> None:
        super().__init__(taps)
        coarse_first = list(reversed(widths))
        self.up = nn.ModuleList(nn.ConvTranspose2d(low, high, 2, 2) for low, high in pairwise(coarse_first))
        self.convolutions = nn.ModuleList(_two_convolutions(2 * width, width) for width in coarse_first[1:])
        self.score = nn.Conv2d(widths[0], classes, 1)

    def forward(self, maps: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        del size  # what the convolutions leave
        *finer, x = maps
        for up, convolutions, skip in zip(self.up, self.convolutions, reversed(finer), strict=True):
            x = up(x)
            x = convolutions(torch.cat([_middle(skip, x), x], dim=1))
        logits: Tensor = self.score(x)
        return logits


def _two_convolutions(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(inputs, outputs, 3),
            relu1=nn.ReLU(),
            conv2=nn.Conv2d(outputs, outputs, 3),
            relu2=nn.ReLU(),
        )
    )


def _middle(maps: Tensor, like: Tensor) -> Tensor:
    top, left = ((maps.shape[axis] - like.shape[axis]) // 2 for axis in (2, 3))
    return maps[:, :, top : top + like.shape[2], left : left + like.shape[3]]

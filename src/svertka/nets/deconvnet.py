"""DeconvNet, a mirrored VGG.

H. Noh, S. Hong, B. Han, "Learning Deconvolution Network for Semantic Segmentation", ICCV 2015.

New then: what classification took apart is put together step by step by a network as deep, instead of by one
interpolation. Unpooling puts every value back where it was the largest of its window (the "switches"), which keeps the
outlines of things, and transposed convolutions fill in between; with batch normalisation behind every layer, it learns
at all.

Departures:
- fc6 and its mirror are padded by 3, so that images need not have 224 pixels, the least that an unpadded 7 × 7 takes;
- switches are not handed on by the pooling, but found again in the maps before it, which a trunk's stages give;
- the paper judges 50 boxes an image and puts the answers together; here it is one image, one answer.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from svertka.errors import UserError
from svertka.layers.convolution import ConvNorm
from svertka.layers.dense import Decoder, Segmenter
from svertka.layers.initialisation import he_normal
from svertka.layers.trunk import Trunk


class DeconvNet(Segmenter):
    """Table 2 of the paper, on the trunk of a VGG with batch normalisation.

    Args:
        trunk: Stages ``conv1``, ``pool1``, … of 3 × 3 convolutions and poolings over 2 × 2, which is a VGG's.
        classes: Number of classes.
        hidden: Number of channels of fc6 and fc7.

    Raises:
        UserError: The trunk is another.
    """

    def __init__(self, *, trunk: Trunk, classes: int = 21, hidden: int = 4096) -> None:
        mirror = Mirror(trunk, classes, hidden)
        super().__init__(trunk, mirror, classes=classes)
        he_normal(mirror, "fan_in")


class Mirror(Decoder):
    """fc6, fc7 and the mirror image of a VGG's trunk, group by group."""

    def __init__(self, trunk: Trunk, classes: int, hidden: int) -> None:
        groups = _groups(trunk)
        super().__init__([*groups, trunk.names[-1]])
        features = next(reversed(groups.values()))[-1].out_channels
        self.hidden = nn.Sequential(
            OrderedDict(
                fc6=ConvNorm(features, hidden, 7),
                fc7=ConvNorm(hidden, hidden, 1),
                mirror6=_transposed(hidden, features, 7),
            )
        )
        first = next(iter(groups.values()))[0]
        inputs = {conv: conv.in_channels for convolutions in groups.values() for conv in convolutions}
        inputs[first] = first.out_channels  # what mirrors it gives no image
        self.mirrored = nn.ModuleDict(
            {
                name: nn.Sequential(
                    *(_transposed(conv.out_channels, inputs[conv], 3) for conv in reversed(convolutions))
                )
                for name, convolutions in reversed(groups.items())
            }
        )
        self.score = nn.Conv2d(first.out_channels, classes, 1)

    def forward(self, maps: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        del size  # that of the finest maps
        *before, x = maps
        x = self.hidden(x)
        for group, pooled in zip(self.mirrored.values(), reversed(before), strict=True):
            x = group(unpool(x, pooled))
        logits: Tensor = self.score(x)
        return logits


def unpool(x: Tensor, maps: Tensor) -> Tensor:
    """Every value where ``maps`` are largest of the 2 × 2 that were pooled there, and zeros beside it.

    Args:
        x: ``(N, C, H // 2, W // 2)``.
        maps: ``(N, C, H, W)``; of several largest, the first counts, as in pooling.

    Returns:
        ``(N, C, H, W)``. Of an odd size, the last row or column was not pooled, and is zero.
    """
    count, channels, height, width = x.shape
    pooled = F.pixel_unshuffle(maps[:, :, : 2 * height, : 2 * width], 2)
    windows = pooled.reshape(count, channels, 4, height, width)
    switches = windows.argmax(dim=2, keepdim=True) == torch.arange(4, device=x.device).view(4, 1, 1)
    found = F.pixel_shuffle((x.unsqueeze(2) * switches).reshape(count, 4 * channels, height, width), 2)
    return F.pad(found, (0, maps.shape[3] - 2 * width, 0, maps.shape[2] - 2 * height))


def _groups(trunk: Trunk) -> OrderedDict[str, list[nn.Conv2d]]:
    # The convolutions of each stage between poolings over 2 × 2.
    groups: OrderedDict[str, list[nn.Conv2d]] = OrderedDict()
    for number, (name, stage) in enumerate(trunk.named_children()):
        if number % 2:
            known = isinstance(stage, nn.MaxPool2d) and stage.kernel_size == stage.stride == 2 and not stage.ceil_mode
        else:
            groups[name] = [layer for layer in stage.modules() if isinstance(layer, nn.Conv2d)]
            known = bool(groups[name]) and all(layer.kernel_size == (3, 3) for layer in groups[name])
        if not known or len(trunk.names) % 2:
            raise UserError("DeconvNet mirrors the poolings of a VGG, and this trunk has others", mend="take vgg16_bn")
    return groups


def _transposed(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    convolution = nn.ConvTranspose2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(OrderedDict(conv=convolution, norm=nn.BatchNorm2d(outputs), activation=nn.ReLU()))

"""The contract of networks that read several stages of a trunk, and of those that say something of every pixel."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from svertka.errors import UserError
from svertka.layers.padding import SamePadding
from svertka.layers.trunk import Classifier, StageGeometry, Trunk

_LOOKED_AT = 256
"""Side of the images at which a trunk's strides are found, in pixels; they are the same at every size."""


class Decoder(nn.Module):
    """Makes what a network says of what stages of a trunk give; a subclass has ``forward(maps, size)``.

    ``forward`` takes the outputs of the stages ``taps``, each ``(N, C', H', W')``, and height and width of the images.

    Args:
        taps: Names of the stages that are read, finest first.

    Attributes:
        regions: How many regions of every image it is given, to look into; 0 if it needs none. ``forward`` then takes
            them as a third argument, ``(N, R, 4)``, and without them looks into the whole image.
        chooses: Whether ``forward`` takes a third argument, which says in training what it is to look into; see
            `svertka.layers.detector.Choose`.
    """

    regions: int = 0
    chooses: bool = False

    def __init__(self, taps: Sequence[str]) -> None:
        super().__init__()
        self.taps = tuple(taps)


class Tapped(nn.Module):
    """A trunk and a decoder that reads the outputs of some of its stages.

    Args:
        trunk: The stages.
        decoder: What follows them.
        classes: Number of classes.
    """

    def __init__(self, trunk: Trunk, decoder: Decoder, *, classes: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.decoder = decoder
        self.classes = classes

    @property
    def in_channels(self) -> int:
        """Number of channels of the images."""
        return self.trunk.in_channels

    @property
    def taps(self) -> tuple[str, ...]:
        """The stages that the decoder reads, finest first."""
        return self.decoder.taps

    def decode(self, pyramid: Mapping[str, Tensor], size: tuple[int, int]) -> Any:
        """What is said by the outputs of the stages ``taps``, for images of height and width ``size``."""
        return self.decoder([pyramid[name] for name in self.taps], size)

    def forward(self, x: Tensor) -> Any:
        """What is said of images ``(N, in_channels, H, W)``, in training and in evaluation alike."""
        return self.decode(self.trunk.pyramid(x), (x.shape[2], x.shape[3]))


class Segmenter(Tapped):
    """A trunk and a decoder that turns its stages' outputs into logits for every pixel, ``(N, classes, H, W)``.

    Attributes:
        margin: How many pixels are missing on each side of the logits; 0 where they are as large as the image. An image
            is then to be continued, by mirroring, before it is cut into tiles: see `tile`.
    """

    margin: int = 0

    def forward(self, x: Tensor) -> Tensor:
        """Logits of images ``(N, in_channels, H, W)``, in training and in evaluation alike.

        They are ``(N, classes, H - 2 * margin, W - 2 * margin)``.
        """
        logits: Tensor = super().forward(x)
        return logits

    def decode(self, pyramid: Mapping[str, Tensor], size: tuple[int, int]) -> Tensor:
        """Logits by the outputs of the stages ``taps``, for images of height and width ``size``."""
        logits: Tensor = super().decode(pyramid, size)
        return logits

    @property
    def output_names(self) -> tuple[str, ...]:
        """What `outputs` gives."""
        return ("logits",)

    def outputs(self, x: Tensor) -> dict[str, Tensor]:
        """All that is said of images ``(N, in_channels, H, W)``, by name, as an exported graph gives it."""
        return {"logits": self(x)}

    def tile(self, side: int) -> int:
        """The least side of images that the network takes exactly and that has logits for ``side`` pixels or more."""
        return side


class Resolution(NamedTuple):
    """The stages of a trunk that have the same stride, in input pixels: the first and the last, with their channels."""

    stride: int
    first: str
    first_channels: int
    last: str
    last_channels: int


def stages(trunk: Trunk) -> dict[str, StageGeometry]:
    """Channels and stride of every stage of a trunk that gives maps.

    Raises:
        UserError: It has none, or takes images of one size only.
    """
    try:
        geometry = trunk.geometry(_LOOKED_AT, _LOOKED_AT)
    except RuntimeError as error:
        raise UserError("a trunk for images of one size cannot have a decoder") from error
    found = {name: stage for name, stage in geometry.items() if stage.stride is not None}
    if not found:
        raise UserError("a trunk without maps cannot have a decoder")
    return found


def resolutions(trunk: Trunk) -> list[Resolution]:
    """The resolutions at which a trunk has maps, finest first.

    Raises:
        UserError: As `stages`.
    """
    found: dict[int, Resolution] = {}
    for name, (channels, stride) in stages(trunk).items():
        assert stride is not None
        first = found.get(stride, Resolution(stride, name, channels, name, channels))
        found[stride] = first._replace(last=name, last_channels=channels)
    return [found[stride] for stride in sorted(found)]


def fitted(x: Tensor, size: Sequence[int]) -> Tensor:
    """Maps ``(N, C, H, W)`` cropped, or continued by their outermost values, to height and width ``size``.

    Half on each side, as unpadded convolutions lose borders; what is left when halving on the right and at the bottom,
    where pooling leaves out the last pixel or adds one. So pixels stay in their place, which they would not if the
    maps were stretched.
    """
    for axis, length in zip((2, 3), size, strict=True):
        has = x.shape[axis]
        if isinstance(has, int) and isinstance(length, int) and has == length:
            continue  # no question to a size that is left open in an export
        before = torch.sym_max(length - has, 0) // 2 - torch.sym_max(has - length, 0) // 2
        places = torch.arange(length, device=x.device) - before
        x = x.index_select(axis, places.clamp(min=0).clamp(max=has - 1))
    return x


def convolutional(net: Classifier) -> Trunk:
    """The trunk of a classifier with the hidden layers of its head as convolutions, so that they take any size.

    A fully connected layer that reads maps of k × k is a convolution of k × k; those after it are convolutions of
    1 × 1. Each becomes a stage, with what follows it; weights are shared with ``net``. The maps are padded so that they
    keep their size.

    J. Long, E. Shelhamer, T. Darrell, "Fully Convolutional Networks for Semantic Segmentation", 2015, section 3.1.

    Raises:
        UserError: The head has no hidden layers that read maps of one size.
    """
    layers = dict(net.head.named_children())
    linear = [name for name, layer in layers.items() if isinstance(layer, nn.Linear)]
    pool = layers.get("pool")
    if len(linear) < 2 or not isinstance(pool, nn.AdaptiveAvgPool2d) or not isinstance(pool.output_size, int):
        raise UserError("the head of this network has no hidden layers that could become convolutions")
    found, kernel = dict(net.trunk.named_children()), pool.output_size
    for name, layer in layers.items():
        if name == linear[-1]:
            break
        if isinstance(layer, nn.Linear):
            found[name] = stage = nn.Sequential(_convolution(layer, kernel))
            kernel = 1
        elif linear[0] in found:
            stage.append(layer)
    return Trunk(found, in_channels=net.in_channels)


def _convolution(linear: nn.Linear, kernel: int) -> nn.Module:
    inputs, outputs = linear.in_features // kernel**2, linear.out_features
    with torch.device("meta"):
        layer = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2 if kernel % 2 else 0)
    layer.weight = nn.Parameter(linear.weight.detach().view(outputs, inputs, kernel, kernel))
    layer.bias = nn.Parameter(linear.bias.detach())
    return layer if kernel % 2 else nn.Sequential(OrderedDict(pad=SamePadding(kernel, 1), conv=layer))

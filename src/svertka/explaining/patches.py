"""The pieces of images that excite a channel most.

M. Zeiler, R. Fergus, "Visualizing and Understanding Convolutional Networks", 2014, figure 2.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from svertka.explaining.running import observe

PATCHES = 9
"""That are kept of a channel: three rows of three."""


class Sees(Protocol):
    """What units of a map see of the image along one axis, in pixels: `svertka.layers.receptive_field.Field`."""

    @property
    def size(self) -> float:
        """How many pixels a unit sees."""

    @property
    def stride(self) -> float:
        """Pixels from what it sees to what its neighbour sees."""

    @property
    def start(self) -> float:
        """The first pixel that the first unit sees."""


class Window(NamedTuple):
    """A rectangle of pixels: rows from ``top`` up to ``bottom``, columns from ``left`` up to ``right``."""

    top: int
    left: int
    bottom: int
    right: int


def window(sees: tuple[Sees, Sees], row: int, column: int, height: int, width: int) -> Window:
    """What the unit at ``row`` and ``column`` sees of an image of ``height`` × ``width``: just these pixels.

    Args:
        sees: The receptive fields along the height and along the width.
        row, column: Of the unit in its map.
        height, width: Of the image; what lies outside of it is cut off.
    """
    top, bottom = _span(sees[0], row, height)
    left, right = _span(sees[1], column, width)
    return Window(top, left, bottom, right)


def _span(sees: Sees, place: int, length: int) -> tuple[int, int]:
    if math.isinf(sees.size):
        return 0, length
    first = sees.start + place * sees.stride
    return max(0, math.floor(first)), min(length, math.ceil(first + sees.size))


@dataclass(frozen=True, eq=False)
class TopUnits:
    """Where the channels of a layer were most active, one place an image at most.

    Attributes:
        values: The activations, largest first, ``(C, k)``.
        images: Number of the image of each, ``(C, k)``.
        rows, columns: Of the unit in the channel's map, ``(C, k)``.
        mean: Mean over all images of the largest activation in each, ``(C,)``.
    """

    values: Tensor
    images: Tensor
    rows: Tensor
    columns: Tensor
    mean: Tensor

    def selective(self, count: int) -> list[int]:
        """The channels, ``count`` at most, that few images excite far more than most: the farthest first.

        Those that no image excites are not among them.
        """
        top = self.values.mean(dim=1)
        above = (top - self.mean) / (top.abs() + self.mean.abs()).clamp(min=1e-12)
        alive = self.values[:, 0] > 0
        order = torch.where(alive, above, -math.inf).argsort(descending=True, stable=True)
        return [channel for channel in order.tolist() if alive[channel]][:count]


class _Best:
    """The k largest so far of each channel; memory does not grow with the images."""

    def __init__(self, k: int) -> None:
        self.k = k
        self.seen = 0
        self.total: Tensor | None = None
        self.values: Tensor | None = None
        self.places: Tensor | None = None

    def add(self, maps: Tensor) -> None:
        count, channels, _, width = maps.shape
        values, flat = maps.flatten(2).max(dim=2)
        numbers = torch.arange(self.seen, self.seen + count)[:, None].expand(-1, channels)
        places = torch.stack([numbers, flat // width, flat % width], dim=-1)
        self.seen += count
        total = values.double().sum(dim=0)
        if self.values is None or self.places is None or self.total is None:
            self.total = total
        else:
            self.total += total
            values, places = torch.cat([self.values, values]), torch.cat([self.places, places])
        self.values, order = values.topk(min(self.k, len(values)), dim=0)
        self.places = places.gather(0, order[..., None].expand(-1, -1, 3))

    def result(self) -> TopUnits:
        if self.values is None or self.places is None or self.total is None:
            raise ValueError("there are no images")
        images, rows, columns = self.places.unbind(dim=-1)
        return TopUnits(self.values.T, images.T, rows.T, columns.T, (self.total / self.seen).float())


def top_units(
    module: nn.Module,
    layers: Mapping[str, nn.Module],
    batches: Iterable[Tensor],
    *,
    k: int = PATCHES,
    advance: Callable[[int], None] | None = None,
    beside: Mapping[str, Callable[[Tensor], None]] | None = None,
) -> dict[str, TopUnits]:
    """The units of layers that images excite most, in one pass over all of them.

    What is kept is k numbers a channel, whatever the number of images: the pixels are cut afterwards, by `window`, out
    of those images that are among the k.

    Args:
        module: The network.
        layers: By name.
        batches: Images ``(N, C, H, W)``, numbered through.
        k: How many units of a channel.
        advance: Told after every batch of how many images it was.
        beside: Who else watches these layers in the same pass, by name.
    """
    best = {name: _Best(k) for name in layers}
    watched: list[tuple[nn.Module, Callable[[Tensor], None]]] = []
    watched += [(layer, best[name].add) for name, layer in layers.items()]
    watched += [(layers[name], watch) for name, watch in (beside or {}).items()]
    observe(module, watched, batches, advance=advance)
    return {name: found.result() for name, found in best.items()}

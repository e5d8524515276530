"""A network in two parts: stages that stay as they are, and what learns behind them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from svertka.layers.dense import Tapped
from svertka.layers.transfer import TransferHead
from svertka.layers.trunk import Classifier, Trunk


def frozen_stages(trunk: Trunk, freeze: str) -> int:
    """How many stages ``all``, ``none`` or the name of a stage freezes.

    Raises:
        UserError: There is no such stage.
    """
    known = {"none": 0, "all": len(trunk.names)}
    return known[freeze] if freeze in known else trunk.depth(freeze)


class FrozenStages(nn.Module):
    """Images ``(N, C, H, W)`` to the means of the stages ``taps``, each ``(N, C')``, then the maps of others."""

    def __init__(self, trunk: Trunk, taps: Sequence[str], maps: Sequence[str]) -> None:
        super().__init__()
        self.taps, self.maps = tuple(taps), tuple(maps)
        last = max(trunk.depth(stage) for stage in (*taps, *maps))
        self.trunk = Trunk({name: getattr(trunk, name) for name in trunk.names[:last]}, in_channels=trunk.in_channels)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        outputs = self.trunk.pyramid(x)
        means = [TransferHead.features([outputs[tap]]) for tap in self.taps]
        return (*means, *(outputs[stage] for stage in self.maps))


class Behind(nn.Module):
    """What follows the frozen stages of a network, sharing its layers.

    Takes rows ``(N, D)``: the means of the frozen stages that the head reads, then the maps of the last of them;
    ``reads`` says so, by stage and whether all of its maps.

    Args:
        net: The network.
        boundary: The last of the frozen stages.
        shapes: Of every stage's output, ``(C, H, W)``.
    """

    def __init__(self, net: Classifier, boundary: str, shapes: Mapping[str, tuple[int, ...]]) -> None:
        super().__init__()
        names = net.trunk.names
        depth = net.trunk.depth(boundary)
        self.trunk = Trunk({name: getattr(net.trunk, name) for name in names[depth:]}, in_channels=shapes[boundary][0])
        self.trunk.keeps_statistics = net.trunk.keeps_statistics
        self.head = net.head
        taps = net.head.taps if isinstance(net.head, TransferHead) else ()
        self.frozen_taps = tuple(tap for tap in taps if net.trunk.depth(tap) <= depth)
        self.later_taps = taps[len(self.frozen_taps) :]
        self.means = sum(shapes[tap][0] for tap in self.frozen_taps)
        self.maps = shapes[boundary]
        self.reads = (*((tap, False) for tap in self.frozen_taps), (boundary, True))

    def forward(self, rows: Tensor) -> Tensor:
        if isinstance(self.head, TransferHead):
            logits: Tensor = self.head.rule(self.features(rows))
        else:
            logits = self.head(next(reversed(self._pyramid(rows).values())))
        return logits

    def features(self, rows: Tensor) -> Tensor:
        """What the rule of a `TransferHead` reads, ``(N, features)``; the network must have such a head."""
        outputs = self._pyramid(rows)
        return TransferHead.features([rows[:, : self.means], *(outputs[tap] for tap in self.later_taps)])

    def _pyramid(self, rows: Tensor) -> dict[str, Tensor]:
        outputs = {"": rows[:, self.means :].reshape(-1, *self.maps)}
        for name, stage in self.trunk.named_children():
            outputs[name] = stage(next(reversed(outputs.values())))
        return outputs


class BehindPieces(nn.Module):
    """What follows the frozen stages of a network that reads several of them, sharing its layers.

    Takes rows ``(N, D)``: the maps of the frozen stages that its decoder reads, in order, and of the last of them where
    others follow; ``reads`` names them.

    Args:
        net: The network.
        boundary: The last of the frozen stages.
        shapes: Of every stage's output, ``(C, H, W)``, for images of ``size``.
        size: Height and width of the images, or of the pieces of them that are run at a time.
    """

    def __init__(
        self, net: Tapped, boundary: str, shapes: Mapping[str, tuple[int, ...]], size: tuple[int, int]
    ) -> None:
        super().__init__()
        names, depth = net.trunk.names, net.trunk.depth(boundary)
        self.trunk = Trunk({name: getattr(net.trunk, name) for name in names[depth:]}, in_channels=shapes[boundary][0])
        self.trunk.keeps_statistics = net.trunk.keeps_statistics
        self.decoder, self.taps = net.decoder, net.taps
        self.boundary, self.size = boundary, size
        read = {name for name in net.taps if net.trunk.depth(name) <= depth} | ({boundary} if names[depth:] else set())
        self.shapes = {name: shapes[name] for name in names if name in read}
        self.reads = tuple((name, True) for name in self.shapes)

    @property
    def regions(self) -> int:
        """See `svertka.layers.dense.Decoder`."""
        return self.decoder.regions

    @property
    def chooses(self) -> bool:
        """See `svertka.layers.dense.Decoder`."""
        return self.decoder.chooses

    def forward(self, rows: Tensor, *given: Any) -> Any:
        pieces = torch.split(rows, [math.prod(shape) for shape in self.shapes.values()], dim=1)
        outputs = {
            name: piece.reshape(-1, *shape) for (name, shape), piece in zip(self.shapes.items(), pieces, strict=True)
        }
        x = outputs.get(self.boundary)
        for name, stage in self.trunk.named_children():
            x = outputs[name] = stage(x)
        return self.decoder([outputs[name] for name in self.taps], self.size, *given)


def behind(
    net: nn.Module, boundary: str, shapes: Mapping[str, tuple[int, ...]], size: tuple[int, int]
) -> Behind | BehindPieces:
    """What follows the frozen stages of a network of either kind; see there."""
    if isinstance(net, Tapped):
        return BehindPieces(net, boundary, shapes, size)
    assert isinstance(net, Classifier)
    return Behind(net, boundary, shapes)

"""A network in two parts: stages that stay as they are, and what learns behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

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
    """Images ``(N, C, H, W)`` to the means of the stages ``taps``, each ``(N, C')``, and the maps of one stage."""

    def __init__(self, trunk: Trunk, taps: Sequence[str], maps: str | None) -> None:
        super().__init__()
        self.taps, self.maps = tuple(taps), maps
        last = max(trunk.depth(stage) for stage in (*taps, *([maps] if maps else [])))
        self.trunk = Trunk({name: getattr(trunk, name) for name in trunk.names[:last]}, in_channels=trunk.in_channels)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        outputs = self.trunk.pyramid(x)
        means = [TransferHead.features([outputs[tap]]) for tap in self.taps]
        return (*means, outputs[self.maps]) if self.maps else tuple(means)


class Behind(nn.Module):
    """What follows the frozen stages of a network, sharing its layers.

    Takes rows ``(N, D)``: the means of the frozen stages that the head reads, then the maps of the last of them.

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

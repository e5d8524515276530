"""Heads that read what a trained trunk has seen: the means over all positions of one or several of its stages.

J. Donahue et al., "DeCAF: A Deep Convolutional Activation Feature for Generic Visual Recognition", 2013.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from svertka.errors import UserError, nearest


class KernelRule(nn.Module):
    """One Gaussian-kernel machine a class: ``(N, features)`` to decision values ``(N, classes)``.

    The value of a class is Σᵢ αᵢ exp(−γ ‖(x − mean) · scale − sᵢ‖²) + b over the supports sᵢ.

    C. Cortes, V. Vapnik, "Support-Vector Networks", 1995.

    Args:
        features: Length of x.
        classes: Number of classes.
        supports: Number of supports, shared by all classes.
    """

    def __init__(self, features: int, classes: int, supports: int) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(features))
        self.scale = nn.Parameter(torch.ones(features))
        self.supports = nn.Parameter(torch.zeros(supports, features))
        self.gamma = nn.Parameter(torch.ones(()))
        self.weight = nn.Parameter(torch.zeros(classes, supports))
        self.bias = nn.Parameter(torch.zeros(classes))

    def forward(self, x: Tensor) -> Tensor:
        x = (x - self.mean) * self.scale
        # ‖x − s‖² by its three terms: no tensor of (N, supports, features) is made.
        squares = x.square().sum(1, keepdim=True) + self.supports.square().sum(1) - 2 * x @ self.supports.T
        return torch.exp(-self.gamma * squares.clamp(min=0)) @ self.weight.T + self.bias


class TransferHead(nn.Module):
    """The means over all positions of the stages ``taps``, one after another, and a rule that makes logits of them.

    Args:
        taps: Names of the stages that are read, in the order in which their channels are put together.
        rule: Maps ``(N, features)`` to logits ``(N, classes)``.
    """

    def __init__(self, taps: Sequence[str], rule: nn.Module) -> None:
        super().__init__()
        self.taps = tuple(taps)
        self.rule = rule

    @staticmethod
    def features(maps: Sequence[Tensor]) -> Tensor:
        """What the rule reads, ``(N, features)``, of the stages' outputs, each ``(N, C, H, W)`` or ``(N, C)``."""
        return torch.cat([x.mean(dim=(2, 3)) if x.ndim == 4 else x for x in maps], dim=1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        logits: Tensor = self.rule(self.features(maps))
        return logits


def transfer_head(channels: Mapping[str, int], classes: int, options: Mapping[str, Any]) -> TransferHead:
    """A head by what its card says of it.

    Args:
        channels: Number of channels of every stage of the trunk.
        classes: Number of classes.
        options: ``taps``, names of stages; ``rule``: ``linear``, ``mlp`` (with ``hidden`` units and ``dropout``) or
            ``kernel`` (with its number of ``supports``). ``dropout`` of the features goes with ``linear`` as well.

    Raises:
        UserError: A stage or a rule is unknown.
    """
    for tap in options["taps"]:
        if tap not in channels:
            raise UserError(f"the trunk has no stage {tap!r}", mend=nearest(tap, channels))
    inputs = sum(channels[tap] for tap in options["taps"])
    kind, dropout = options["rule"], float(options.get("dropout", 0.0))
    if kind not in _RULES:
        raise UserError(f"unknown rule {kind!r} of a head", mend=nearest(kind, _RULES))
    rule: nn.Module
    if kind == "linear":
        rule = nn.Sequential(OrderedDict(dropout=nn.Dropout(dropout), linear=nn.Linear(inputs, classes)))
    elif kind == "mlp":
        hidden = int(options["hidden"])
        rule = nn.Sequential(
            OrderedDict(
                norm=nn.BatchNorm1d(inputs),
                hidden=nn.Linear(inputs, hidden),
                relu=nn.ReLU(),
                dropout=nn.Dropout(dropout),
                linear=nn.Linear(hidden, classes),
            )
        )
    else:
        rule = KernelRule(inputs, classes, int(options["supports"]))
    return TransferHead(options["taps"], rule)


_RULES = ("linear", "mlp", "kernel")

"""Heads that read what a trained trunk has seen: the means over all positions of one or several of its stages.

J. Donahue et al., "DeCAF: A Deep Convolutional Activation Feature for Generic Visual Recognition", 2013.
"""

from __future__ import annotations

import math
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
        squares = _squares(x, self.supports)
        return torch.exp(-self.gamma * squares.clamp(min=0)) @ self.weight.T + self.bias


class ClassDistance(nn.Module):
    """How far features ``(N, features)`` are from the nearest class mean, ``(N,)``, in deviations a feature.

    It is ‖(x − mean) · scale − cᵢ‖ / √features for the nearest cᵢ. All are buffers: they are measured on training
    images once learning is over, and no gradient moves them.

    K. Lee et al., "A Simple Unified Framework for Detecting Out-of-Distribution Samples and Adversarial Attacks", 2018,
    have the covariance of all features where this has the deviation of each.

    Args:
        features: Length of x.
        classes: Number of classes.
    """

    mean: Tensor
    scale: Tensor
    centres: Tensor

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))
        self.register_buffer("centres", torch.zeros(classes, features))

    def forward(self, x: Tensor) -> Tensor:
        x = (x - self.mean) * self.scale
        squares = _squares(x, self.centres).amin(dim=1)
        return squares.clamp(min=0).sqrt() / math.sqrt(x.shape[1])


class TransferHead(nn.Module):
    """The means over all positions of the stages ``taps``, one after another, and a rule that makes logits of them.

    Args:
        taps: Names of the stages that are read, in the order in which their channels are put together.
        rule: Maps ``(N, features)`` to logits ``(N, classes)``.
        distance: Maps ``(N, features)`` to how far each is from the known classes, ``(N,)``; None if that is left open.
    """

    def __init__(self, taps: Sequence[str], rule: nn.Module, distance: ClassDistance | None = None) -> None:
        super().__init__()
        self.taps = tuple(taps)
        self.rule = rule
        self.distance = distance

    @staticmethod
    def features(maps: Sequence[Tensor]) -> Tensor:
        """What the rule reads, ``(N, features)``, of outputs of stages: ``(N, C, H, W)``, ``(N, C, T)``, ``(N, C)``."""
        return torch.cat([x.mean(dim=tuple(range(2, x.ndim))) if x.ndim > 2 else x for x in maps], dim=1)

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
            With ``reject``, the distance to the nearest class mean is measured beside the logits.

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
    return TransferHead(options["taps"], rule, ClassDistance(inputs, classes) if options.get("reject") else None)


def _squares(x: Tensor, points: Tensor) -> Tensor:
    # ‖x − p‖² (N, points) by its three terms: no tensor of (N, points, features) is made.
    return x.square().sum(1, keepdim=True) + points.square().sum(1) - 2 * x @ points.T


_RULES = ("linear", "mlp", "kernel")

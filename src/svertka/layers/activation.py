"""Nonlinearities by name."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from svertka.errors import UserError, nearest


class Maxout(nn.Module):
    """The largest of each ``pieces`` neighbouring channels (Goodfellow et al., Maxout Networks, 2013).

    Takes ``(N, C * pieces, …)`` to ``(N, C, …)``: the layer before it must be ``pieces`` times as wide.
    """

    def __init__(self, pieces: int) -> None:
        super().__init__()
        self.pieces = pieces

    def forward(self, x: Tensor) -> Tensor:
        return torch.amax(torch.unflatten(x, 1, (-1, self.pieces)), dim=2)


class Leaky(nn.LeakyReLU):
    """The nonlinearity of Darknet: a tenth of what is negative is let through."""

    def __init__(self) -> None:
        super().__init__(0.1)


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "leaky_relu": lambda: nn.LeakyReLU(0.01),
    "prelu": nn.PReLU,
    "elu": nn.ELU,
}
"""Nonlinearities that keep the number of channels."""


def activation(name: str) -> nn.Module:
    """A fresh nonlinearity.

    Raises:
        UserError: There is none of that name.
    """
    if name not in ACTIVATIONS:
        raise UserError(f"unknown activation {name!r}", mend=nearest(name, ACTIVATIONS))
    return ACTIVATIONS[name]()

"""A running mean of the weights."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class WeightAverage:
    """Exponential moving average of parameters and buffers; its own warm-up lets it forget the start.

    Args:
        net: Where the weights come from.
        decay: What is kept of the average at a step, once warm.
    """

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state = {name: value.detach().clone() for name, value in net.state_dict().items()}

    @torch.no_grad()
    def update(self, net: nn.Module, step: int) -> None:
        """Take in the weights after the ``step``-th step, counted from 0."""
        decay = min(self.decay, (1 + step) / (10 + step))
        current = net.state_dict()
        floating = [name for name, value in self.state.items() if value.is_floating_point()]
        torch._foreach_lerp_([self.state[name] for name in floating], [current[name] for name in floating], 1 - decay)
        for name in self.state.keys() - set(floating):
            self.state[name].copy_(current[name])

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a saved average."""
        for name, value in self.state.items():
            value.copy_(state[name])

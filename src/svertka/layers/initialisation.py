"""How weights begin."""

from __future__ import annotations

import math
from typing import Literal

from torch import nn


def he_normal(net: nn.Module, fan: Literal["fan_in", "fan_out"]) -> None:
    """Draw every convolution from a normal distribution of variance ``2 / fan``; biases become zero.

    That keeps the size of the signal (``fan_in``) or of its gradient (``fan_out``) through rectified layers. A
    grouped convolution counts the connections of one group, so that depthwise ones do not begin almost at zero.

    K. He, X. Zhang, S. Ren, J. Sun, "Delving Deep into Rectifiers", 2015.
    """
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            channels = module.in_channels if fan == "fan_in" else module.out_channels
            connections = channels // module.groups * math.prod(module.kernel_size)
            nn.init.normal_(module.weight, std=math.sqrt(2 / connections))
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def normal_linear(net: nn.Module, std: float = 0.01) -> None:
    """Draw every fully connected layer from a normal distribution; biases become zero."""
    for module in net.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)

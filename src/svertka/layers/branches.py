"""Paths side by side, and the chains of convolutions that Inception networks are made of."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from svertka.layers.convolution import ConvNorm

Kernel = int | tuple[int, int]


class Branches(nn.ModuleDict):
    """Named paths from the same input; what they give is concatenated along the channels, in order.

    Takes ``(N, C, H, W)`` to ``(N, sum of the paths' channels, H', W')``: all paths must give maps of one size.
    """

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.values()], dim=1)


def chain(inputs: int, *convolutions: tuple[int, Kernel] | tuple[int, Kernel, int]) -> nn.Sequential:
    """Normalised convolutions one after another, as the Inception papers draw them.

    Args:
        inputs: Number of channels that come in.
        convolutions: ``(outputs, kernel)`` is padded so that the size stays; ``(outputs, kernel, stride)``
            is not padded at all (marked "V" in the figures), even at a stride of 1.
    """
    widths = [inputs, *(convolution[0] for convolution in convolutions)]
    layers = []
    for (width_in, width_out), (_, kernel, *given) in zip(pairwise(widths), convolutions, strict=True):
        stride, padding = (given[0], 0) if given else (1, None)
        layers.append(ConvNorm(width_in, width_out, kernel, stride=stride, padding=padding, epsilon=1e-3))
    return nn.Sequential(*layers)

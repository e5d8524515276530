"""Penalties on the weights, as named loss terms. Biases and norms are spared, as weight decay spares them."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


def decayed(parameters: Iterable[nn.Parameter]) -> list[nn.Parameter]:
    """Those of them that decay and penalties apply to: matrices and kernels, not biases, norms or slopes."""
    return [parameter for parameter in parameters if parameter.requires_grad and parameter.ndim > 1]


def l1(weights: Iterable[Tensor]) -> Tensor:
    """Σ|w|."""
    return torch.stack([weight.abs().sum() for weight in weights]).sum()


def weight_elimination(weights: Iterable[Tensor], scale: float) -> Tensor:
    """Σ (w²/w₀²) / (1 + w²/w₀²): counts large weights, and pulls at the small ones only.

    A. Weigend, D. Rumelhart, B. Huberman, "Generalization by Weight-Elimination", NIPS 1990.
    """
    squares = [(weight / scale).square() for weight in weights]
    return torch.stack([(square / (1 + square)).sum() for square in squares]).sum()

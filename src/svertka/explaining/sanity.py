"""Whether an explanation depends on what was learnt: with random weights, the picture must be another.

J. Adebayo et al., "Sanity Checks for Saliency Maps", 2018.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

Explanation = Callable[[nn.Module], Tensor]
"""Explains images by a module: heat ``(N, H, W)``."""


def randomised(module: nn.Module, *, seed: int = 0) -> nn.Module:
    """A copy of the module whose weights are drawn anew, from a normal distribution of the mean and deviation they had.

    Biases and what normalisations learnt, of one axis, change places with one another instead, so that scales stay.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.inference_mode(False), torch.no_grad():
        result = copy.deepcopy(module)
        for value in result.parameters():
            if value.ndim > 1:
                deviation, mean = torch.std_mean(value.detach(), correction=0)
                drawn = torch.randn(value.shape, generator=generator, dtype=value.dtype)
                value.data = drawn.mul_(deviation).add_(mean)
            else:
                order = torch.randperm(value.numel(), generator=generator)
                value.data = value.detach().flatten()[order].view(value.shape)
    return result


def similarity(first: Tensor, second: Tensor) -> float:
    """Spearman's rank correlation of two explanations ``(N, H, W)``, the mean over images; 0 where one is flat."""
    from scipy.stats import rankdata

    found = []
    for one, other in zip(first.flatten(1).numpy(), second.flatten(1).numpy(), strict=True):
        ranks = [rankdata(values) - (len(values) + 1) / 2 for values in (one, other)]
        norms = np.sqrt((ranks[0] ** 2).sum() * (ranks[1] ** 2).sum())
        found.append(float((ranks[0] * ranks[1]).sum() / norms) if norms else 0.0)
    return float(np.mean(found))

"""Which stages can do without many of their weights.

S. Han et al., "Learning both Weights and Connections for Efficient Neural Networks", 2015, figure 6.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from svertka.explaining.running import Forward, at_rest, usable

SHARES = (0.25, 0.5, 0.75, 0.9)
"""Of a stage's weights that are set to zero."""


def pruned(module: nn.Module, layer: nn.Module, share: float) -> dict[str, Tensor]:
    """The weights of ``layer`` with the smallest ``share`` of them all set to zero, by their names in ``module``.

    Weights are parameters of two axes or more: biases and normalisations stay.
    """
    inside = {id(value) for value in layer.parameters() if value.ndim > 1}
    weights = {name: usable(value) for name, value in module.named_parameters() if id(value) in inside}
    if not weights:
        return {}
    sizes = torch.cat([value.abs().flatten() for value in weights.values()])
    count = round(share * len(sizes))
    if not count:
        return weights
    limit = sizes.kthvalue(count).values
    return {name: torch.where(value.abs() > limit, value, 0.0) for name, value in weights.items()}


def pruning_sensitivity(
    module: nn.Module,
    layers: Mapping[str, nn.Module],
    score: Callable[[Forward], float],
    *,
    shares: Sequence[float] = SHARES,
    advance: Callable[[int, int], None] | None = None,
) -> dict[str, list[float]]:
    """The score with each layer alone pruned by each share, by name; the module stays as it is.

    Layers without weights are left out.

    Args:
        module: The network.
        layers: By name, such as its stages.
        score: How good what runs the module is.
        shares: Of the weights that are set to zero.
        advance: Told how many of how many have been tried.
    """
    found: dict[str, list[float]] = {}
    tried = 0
    for name, layer in layers.items():
        for share in shares:
            if changed := pruned(module, layer, share):
                with at_rest(module, changed) as forward, torch.no_grad():
                    found.setdefault(name, []).append(score(forward))
            tried += 1
            if advance:
                advance(tried, len(layers) * len(shares))
    return found

"""What layers give for images."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor, nn

from svertka.explaining.running import observe


def feature_maps(module: nn.Module, layers: Mapping[str, nn.Module], images: Tensor) -> dict[str, Tensor]:
    """The maps of layers by name, each ``(N, C, h, w)``, for images ``(N, C, H, W)``; vectors are of one position."""
    found: dict[str, list[Tensor]] = {name: [] for name in layers}
    observe(module, [(layer, partial(_keep, found[name])) for name, layer in layers.items()], [images])
    return {name: torch.cat(kept) for name, kept in found.items()}


def _keep(kept: list[Tensor], maps: Tensor) -> None:
    kept.append(maps.clone())  # for what follows may work in place

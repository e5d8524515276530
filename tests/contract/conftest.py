"""What tests of the contract share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from exporting import operators_read_once

_POOL = 1 << 20
_LARGE = 1 << 14  # numbers from which on a tensor is worth it


@pytest.fixture(scope="session", autouse=True)
def _weights_from_a_pool() -> Iterator[None]:
    """Large tensors get their random weights from a pool, from a random place on: drawing them is a quarter of the time
    here, and the contract holds for any weights."""
    pool = torch.randn(_POOL, generator=torch.Generator().manual_seed(0))
    draw = Tensor.normal_

    def normal_(self: Tensor, mean: float = 0.0, std: float = 1.0, **more: Any) -> Tensor:
        if more or self.numel() < _LARGE or self.device.type != "cpu":
            return draw(self, mean, std, **more)
        begin = int(torch.randint(_POOL, ()))
        places = torch.empty(self.numel())
        for start in range(-begin, len(places), _POOL):
            piece = places[max(start, 0) : start + _POOL]
            piece.copy_(pool[max(-start, 0) :][: len(piece)])
        return self.copy_(places.mul_(std).add_(mean).view(self.shape))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tensor, "normal_", normal_)
        yield


@pytest.fixture(scope="session", autouse=True)
def _operators_read_once() -> Iterator[None]:
    with operators_read_once():
        yield

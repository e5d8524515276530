"""Small networks to explain: the same one written in several ways."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Small(nn.Module):
    """Two convolutions with rectifiers and a pooling between them, then the mean and three classes.

    Args:
        style: How the rectifiers are written: ``module``, ``in place``, ``function``, ``function in place``.
        bounded: They end at 6.
    """

    def __init__(self, style: str = "module", *, bounded: bool = False) -> None:
        super().__init__()
        self.style = style
        self.bounded = bounded
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        kind = nn.ReLU6 if bounded else nn.ReLU
        self.relu1 = kind(inplace=style == "in place")
        self.pool = nn.MaxPool2d(2)
        self.second = nn.Conv2d(6, 8, 3, padding=1)
        self.relu2 = kind(inplace=style == "in place")
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self._rectified(self.norm(self.first(x)), self.relu1)
        x = self._rectified(self.second(self.pool(x)), self.relu2)
        return self.head(x.mean(dim=(2, 3)))

    def _rectified(self, x: Tensor, layer: nn.Module) -> Tensor:
        if self.style == "function":
            return F.relu6(x) if self.bounded else torch.relu(x)
        if self.style == "function in place":
            if self.bounded:
                return F.relu6(x, inplace=True)
            x.relu_()  # what it gives is not used
            return x
        return layer(x)


@pytest.fixture(scope="session")
def small() -> Callable[..., Small]:
    """Make one, the same weights each time."""

    def make(style: str = "module", *, bounded: bool = False) -> Small:
        generator = torch.Generator().manual_seed(0)
        net = Small(style, bounded=bounded)
        with torch.no_grad():
            for value in net.parameters():
                value.copy_(torch.randn(value.shape, generator=generator) * (4.0 if bounded else 1.0))
            net.norm.running_mean.copy_(torch.randn(6, generator=generator))
            net.norm.running_var.copy_(torch.rand(6, generator=generator) + 0.5)
        return net.eval()

    return make


@pytest.fixture(scope="session")
def images() -> Tensor:
    return torch.randn(4, 3, 12, 10, generator=torch.Generator().manual_seed(1))

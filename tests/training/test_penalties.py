"""Penalties on the weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from svertka.training.penalties import decayed, l1, weight_elimination


def test_l1_is_the_sum_of_magnitudes() -> None:
    assert l1([torch.tensor([[1.0, -2.0]]), torch.tensor([[0.5], [-0.25]])]).item() == 3.75


def test_weight_elimination_by_hand() -> None:
    # w₀ = 2: ratios 0.25, 1 and 4 give 0.2, 0.5 and 0.8.
    weights = [torch.tensor([[1.0, -2.0]]), torch.tensor([[4.0, 0.0]])]
    assert weight_elimination(weights, 2.0).item() == pytest.approx(1.5)


def test_weight_elimination_pulls_less_at_large_weights_and_l1_alike() -> None:
    weight = torch.tensor([0.1, 0.5, 1.0, 3.0, 10.0], requires_grad=True)
    weight_elimination([weight], 1.0).backward()
    pull = weight.grad.clone()
    torch.testing.assert_close(pull, (2 * weight / (1 + weight**2) ** 2).detach())
    assert pull[1] > pull[2] > pull[3] > pull[4] > 0
    assert pull[4] < 0.003
    weight.grad = None
    l1([weight]).backward()
    assert weight.grad.tolist() == [1.0] * 5


def test_weight_elimination_counts_large_weights() -> None:
    assert weight_elimination([torch.tensor([1e3, -1e3, 1e3, 1e-4])], 1.0).item() == pytest.approx(3, abs=1e-4)


def test_penalties_spare_biases_and_norms() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 2))
    assert [id(weight) for weight in decayed(net.parameters())] == [id(net[0].weight), id(net[3].weight)]

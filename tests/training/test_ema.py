"""The running mean of the weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from svertka.training.ema import WeightAverage


def filled(net: nn.Module, value: float) -> nn.Module:
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.fill_(value)
    return net


def test_by_hand_with_its_own_warm_up() -> None:
    net = filled(nn.Linear(2, 1), 0.0)
    average = WeightAverage(net, 0.5)
    expected = 0.0
    for step, value in enumerate([1.0, 2.0, -1.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0]):
        average.update(filled(net, value), step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
        assert average.state["weight"].tolist() == [[pytest.approx(expected)] * 2]
    assert decay == 0.5


def test_the_start_is_forgotten() -> None:
    net = filled(nn.Linear(1, 1), 100.0)
    average = WeightAverage(net, 0.999)
    for step in range(60):
        average.update(filled(net, 1.0), step)
    assert average.state["bias"].item() == pytest.approx(1.0, abs=1e-3)


def test_buffers_are_averaged_and_counts_are_copied() -> None:
    net = nn.BatchNorm1d(1)
    average = WeightAverage(net, 0.5)
    net.running_mean.fill_(10.0)
    net.num_batches_tracked.fill_(7)
    average.update(net, 100)
    assert average.state["running_mean"].item() == 5.0
    assert average.state["num_batches_tracked"].item() == 7


def test_the_network_is_not_touched() -> None:
    net = filled(nn.Linear(1, 1), 3.0)
    average = WeightAverage(net, 0.9)
    average.update(filled(net, 5.0), 0)
    average.state["weight"].fill_(-1.0)
    assert net.weight.item() == 5.0


def test_it_goes_on_from_a_saved_state() -> None:
    net = filled(nn.Linear(1, 1), 0.0)
    first = WeightAverage(net, 0.9)
    first.update(filled(net, 1.0), 0)
    second = WeightAverage(filled(net, 0.0), 0.9)
    second.load(first.state)
    for average in (first, second):
        average.update(filled(net, 2.0), 1)
    assert torch.equal(first.state["weight"], second.state["weight"])

"""Guided backpropagation and the deconvnet, wherever the rectifiers stand."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from svertka.explaining.deconvnet import deconvnet
from svertka.explaining.gradients import gradient, guided_backpropagation
from svertka.explaining.rectifiers import Rectified
from svertka.explaining.targets import ClassLogit, Unit

STYLES = ("in place", "function", "function in place")
TARGET = ClassLogit(torch.tensor([0, 1, 2, 1]))

X = torch.tensor([-2.0, -1.0, 1.0, 2.0, 7.0])
SIGNAL = torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0])


def back(function, rule: str) -> list[float]:
    leaf = X.clone().requires_grad_()
    with Rectified(rule):  # type: ignore[arg-type]
        y = function(leaf.clone())
    with torch.no_grad():
        assert torch.equal(y, function(X.clone()))
    (found,) = torch.autograd.grad(y, leaf, SIGNAL)
    return found.tolist()


RECTIFIERS = [
    nn.ReLU(),
    nn.ReLU(inplace=True),
    F.relu,
    lambda x: F.relu(x, inplace=True),
    torch.relu,
    torch.relu_,
    Tensor.relu,
    Tensor.relu_,
]
BOUNDED = [nn.ReLU6(), nn.ReLU6(inplace=True), F.relu6, lambda x: F.hardtanh(x, 0.0, 6.0), nn.Hardtanh(0.0, 6.0)]


@pytest.mark.parametrize("function", RECTIFIERS)
def test_rules_of_a_rectifier(function) -> None:
    assert back(function, "guided") == [0, 0, 1, 0, 1]  # active, and the signal is positive
    assert back(function, "deconvnet") == [1, 0, 1, 0, 1]  # the signal is positive


@pytest.mark.parametrize("function", BOUNDED)
def test_rules_of_a_bounded_rectifier(function) -> None:
    assert back(function, "guided") == [0, 0, 1, 0, 0]
    assert back(function, "deconvnet") == [1, 0, 1, 0, 1]


@pytest.mark.parametrize("function", [nn.Sigmoid(), nn.Hardtanh(), nn.ELU(), nn.LeakyReLU(0.5), Tensor.neg])
@pytest.mark.parametrize("rule", ["guided", "deconvnet"])
def test_other_nonlinearities_keep_their_gradient(function, rule: str) -> None:
    leaf = X.clone().requires_grad_()
    (expected,) = torch.autograd.grad(function(leaf), leaf, SIGNAL)
    assert back(function, rule) == expected.tolist()


@pytest.mark.parametrize("bounded", [False, True])
@pytest.mark.parametrize("style", STYLES)
def test_style_does_not_matter(small, images: Tensor, style: str, bounded: bool) -> None:
    reference, net = small(bounded=bounded), small(style, bounded=bounded)
    place = torch.tensor([0, 1, 2, 3])
    unit = Unit(place, place % 2, place % 2)
    expected = guided_backpropagation(reference, reference, TARGET, images)
    torch.testing.assert_close(guided_backpropagation(net, net, TARGET, images), expected)
    projected = deconvnet(reference, reference.second, unit, images)
    torch.testing.assert_close(deconvnet(net, net.second, unit, images), projected)
    plain = gradient(reference, reference, TARGET, images)
    assert not torch.allclose(expected, plain)
    assert not torch.allclose(projected, gradient(reference, reference.second, unit, images))


def test_switches_put_the_signal_where_the_maximum_was() -> None:
    image = torch.zeros(1, 1, 4, 4)
    image[0, 0, 1, 0] = 3.0
    image[0, 0, 2, 3] = 2.0
    net = nn.Sequential(nn.ReLU(), nn.MaxPool2d(2))
    zero, one = torch.tensor([0]), torch.tensor([1])
    for unit, place in ((Unit(zero, zero, zero), (1, 0)), (Unit(zero, one, one), (2, 3))):
        expected = torch.zeros(1, 1, 4, 4)
        expected[0, 0, place[0], place[1]] = 1
        assert torch.equal(deconvnet(net, net, unit, image), expected)

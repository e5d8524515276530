"""A network is explained whatever state it is in, and stays as it was."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from svertka.explaining.activations import feature_maps
from svertka.explaining.gradcam import grad_cam
from svertka.explaining.gradients import gradient, integrated_gradients
from svertka.explaining.running import at_rest, observe, run_to
from svertka.explaining.targets import ChannelMean, ClassLogit, CrossEntropy, Unit

STYLES = ("module", "in place", "function", "function in place")
TARGET = ClassLogit(torch.tensor([0, 1, 2, 1]))


def test_the_gradient_is_autograds(small, images: Tensor) -> None:
    net, leaf = small(), images.clone().requires_grad_()
    net(leaf)[torch.arange(4), TARGET.classes].sum().backward()
    torch.testing.assert_close(gradient(net, net, TARGET, images), leaf.grad)


@pytest.mark.parametrize("style", STYLES)
def test_state_does_not_matter(small, images: Tensor, style: str) -> None:
    reference = small()
    expected = gradient(reference, reference, TARGET, images)
    cam = grad_cam(reference, reference.second, TARGET, images)
    frozen = small(style).requires_grad_(False)
    training = small(style).train()
    training.norm.eval()
    with torch.inference_mode():
        inference = copy.deepcopy(small(style))
    assert all(value.is_inference() for value in inference.parameters())
    for net in (small(style), frozen, training, inference):
        modes = [part.training for part in net.modules()]
        before = {name: value.clone() for name, value in net.state_dict().items()}
        torch.testing.assert_close(gradient(net, net, TARGET, images), expected)
        torch.testing.assert_close(grad_cam(net, net.second, TARGET, images), cam)
        with torch.inference_mode():
            torch.testing.assert_close(gradient(net, net, TARGET, images.clone()), expected)
        assert [part.training for part in net.modules()] == modes
        assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
        assert all(value.grad is None for value in net.parameters())
        assert not any(part._forward_hooks for part in net.modules())


def test_training_mode_comes_back_after_an_error(small, images: Tensor) -> None:
    net = small().train()
    seen = []
    with pytest.raises(RuntimeError), at_rest(net) as forward:
        forward(seen.append(net.norm.training) or images[:, :2])  # a channel is missing
    assert seen == [False]
    assert net.training
    assert net.norm.training


@pytest.mark.parametrize("style", STYLES)
def test_maps_are_those_before_what_follows_works_in_place(small, images: Tensor, style: str) -> None:
    net, reference = small(style), small()
    with torch.no_grad():
        expected = reference.norm(reference.first(images))
    assert (expected < 0).any()
    found = feature_maps(net, {"norm": net.norm, "head": net.head}, images)
    torch.testing.assert_close(found["norm"], expected)
    assert found["head"].shape == (4, 3, 1, 1)
    with at_rest(net) as forward:
        torch.testing.assert_close(run_to(forward, net.norm, images), expected)


def test_parameters_can_be_lent(small, images: Tensor) -> None:
    net = small()
    with at_rest(net, {"head.weight": torch.zeros(3, 8)}) as forward, torch.no_grad():
        torch.testing.assert_close(forward(images), net.head.bias.expand(4, 3))
    assert net.head.weight.any()


def test_all_batches_are_seen_once(small, images: Tensor) -> None:
    net, seen, told = small(), [], []
    observe(net, [(net.first, lambda maps: seen.append(len(maps)))], [images[:3], images[3:]], advance=told.append)
    assert seen == told == [3, 1]


def test_a_layer_that_takes_no_part_is_said(small, images: Tensor) -> None:
    with pytest.raises(ValueError, match="takes no part"):
        gradient(small(), nn.Conv2d(3, 3, 1), TARGET, images)
    with pytest.raises(ValueError, match="takes no part"):
        grad_cam(small(), nn.Conv2d(3, 3, 1), TARGET, images)


def test_integrated_gradients_sum_to_the_difference(small, images: Tensor) -> None:
    net = small()
    found = integrated_gradients(net, net, TARGET, images, steps=200).flatten(1).sum(dim=1)
    with torch.no_grad():
        expected = TARGET(net(images)) - TARGET(net(torch.zeros_like(images)))
    torch.testing.assert_close(found, expected, atol=0.02, rtol=0.02)


def test_targets_read_what_they_say() -> None:
    maps = torch.arange(2 * 3 * 2 * 2, dtype=torch.float32).view(2, 3, 2, 2)
    one, two = torch.tensor([1, 2]), torch.tensor([0, 1])
    assert Unit(one, two, two)(maps).tolist() == [maps[0, 1, 0, 0], maps[1, 2, 1, 1]]
    assert ChannelMean(one)(maps).tolist() == [maps[0, 1].mean(), maps[1, 2].mean()]
    assert ClassLogit(one)(maps).tolist() == [maps[0, 1].sum(), maps[1, 2].sum()]
    pixels = torch.zeros(2, 2, 2)
    pixels[:, 0, 1] = 1
    assert ClassLogit(one, pixels)(maps).tolist() == [maps[0, 1, 0, 1], maps[1, 2, 0, 1]]
    assert ClassLogit(one)(maps[:, :, 0, 0]).tolist() == [maps[0, 1, 0, 0], maps[1, 2, 0, 0]]
    assert CrossEntropy(one)(maps[:, :, 0, 0]).shape == (2,)
    assert CrossEntropy(torch.zeros(2, 2, 2, dtype=torch.int64))(maps).shape == (2,)
    several = CrossEntropy(torch.tensor([[1.0, 0.0, 1.0]]))(torch.zeros(1, 3))
    torch.testing.assert_close(several, torch.tensor([2.0]).log())

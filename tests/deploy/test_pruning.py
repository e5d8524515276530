"""Which channels go, and what is left."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from svertka.deploy.allocation import alike, allocate, by_sensitivity
from svertka.deploy.importance import magnitude, taylor
from svertka.deploy.thinning import macs, measure_statistics, merged, prove, thinned, without
from svertka.errors import UserError
from svertka.layers.channels import Channels, follow_channels
from svertka.layers.trunk import Classifier
from svertka.zoo import registry


@pytest.fixture
def resnet() -> tuple[Classifier, Channels]:
    torch.manual_seed(0)
    net = registry.build("resnet20_cifar", {"classes": 5, "in_channels": 3})
    with torch.no_grad():
        net.train()(torch.randn(64, 3, 16, 16))
    return net.eval(), follow_channels(net, 16, 16)


def group_of(channels: Channels, name: str) -> int:
    """The number of the group that a layer makes."""
    unit = channels.axes[name][0][0]
    return next(number for number, group in enumerate(channels.groups) if unit in group)


@pytest.mark.parametrize("share", [0.9, 0.7, 0.5])
def test_the_share_of_operations_is_reached_and_hardly_undercut(
    share: float, resnet: tuple[Classifier, Channels]
) -> None:
    net, channels = resnet
    keep = allocate(channels, magnitude(net, channels), alike(channels), share)
    left = macs(channels, keep) / macs(channels, np.ones_like(keep))
    assert share - 0.05 < left <= share
    for group in channels.groups:
        assert keep[group].sum() in (len(group), 8, 16, 24, 32, 40, 48, 56)


def test_the_least_important_go_first(resnet: tuple[Classifier, Channels]) -> None:
    net, channels = resnet
    importance = magnitude(net, channels)
    keep = allocate(channels, importance, alike(channels), 0.6)
    for group in channels.groups:
        gone, left = importance[group[~keep[group]]], importance[group[keep[group]]]
        assert len(left)
        assert gone.max(initial=0) <= left.min()


def test_what_cannot_be_reached_is_said(resnet: tuple[Classifier, Channels]) -> None:
    net, channels = resnet
    with pytest.raises(UserError, match=r"channels can be taken out down to \d+% of the operations, not to 1%"):
        allocate(channels, magnitude(net, channels), alike(channels), 0.01)


def test_small_filters_matter_least_with_what_follows_folded_in(resnet: tuple[Classifier, Channels]) -> None:
    net, channels = resnet
    conv = "trunk.conv3.block2.residual.conv1.conv.weight"
    units = channels.axes[conv][0]
    with torch.no_grad():
        net.get_parameter(conv)[5] *= 0.01
        net.get_parameter(conv.replace("conv.weight", "norm.weight"))[7] *= 0.02
    ranked = units[np.argsort(magnitude(net, channels)[units])]
    assert ranked[:2].tolist() == [units[5], units[7]]


def test_taylor_is_what_the_loss_loses_to_first_order(resnet: tuple[Classifier, Channels]) -> None:
    net, channels = resnet
    images, targets = torch.randn(8, 3, 16, 16), torch.arange(8) % 5
    found = taylor(net, channels, iter([F.cross_entropy(net(images), targets)]))
    reader = "trunk.conv3.block2.residual.conv2.conv.weight"
    units = channels.axes[reader][1]
    step = 1e-6
    for place in (0, 9):
        losses = []
        for factor in (1 - step, 1 + step):
            weight = net.get_parameter(reader).detach().clone().double()
            weight[:, place] *= factor
            double = {name: value.double() for name, value in net.state_dict().items()} | {reader: weight}
            with torch.no_grad():
                losses.append(float(F.cross_entropy(torch.func.functional_call(net, double, images.double()), targets)))
        slope = abs(losses[1] - losses[0]) / (2 * step)
        assert found[units[place]] == pytest.approx(slope, rel=1e-2, abs=1e-6)


def test_a_group_that_does_no_harm_gives_up_more(resnet: tuple[Classifier, Channels]) -> None:
    net, channels = resnet
    importance = magnitude(net, channels)
    harmless = "trunk.conv3.block2.residual.conv2.conv.weight"

    def loss(changed: Mapping[str, Tensor]) -> float:
        return sum(1.0 for name in changed if name != harmless)

    tried: list[tuple[int, int]] = []
    values = by_sensitivity(net, channels, importance, loss, lambda *done: tried.append(done))
    assert tried[-1] == (len(channels.groups), len(channels.groups))
    number = group_of(channels, "trunk.conv3.block2.residual.conv1.conv.weight")
    twin = group_of(channels, "trunk.conv3.block3.residual.conv1.conv.weight")
    assert values[number] > 5 * values[twin]
    keep = allocate(channels, importance, values, 0.9)
    assert keep[channels.groups[number]].mean() < keep[channels.groups[twin]].mean()


def test_the_file_shrinks_as_the_operations_do(resnet: tuple[Classifier, Channels]) -> None:
    net, channels = resnet
    keep = allocate(channels, magnitude(net, channels), alike(channels), 0.5)
    narrow, widths = thinned(net, channels, keep)
    before, after = (sum(value.numel() for value in one.parameters()) for one in (net, narrow))
    assert after < 0.75 * before
    assert widths["trunk.conv3.block2.residual.conv1.conv"][1] == int(
        keep[channels.axes["trunk.conv3.block2.residual.conv1.conv.weight"][0]].sum()
    )
    prove(net, narrow, channels, keep, torch.randn(2, 3, 16, 16))


def test_a_narrow_network_that_computes_something_else_is_found_out(resnet: tuple[Classifier, Channels]) -> None:
    net, channels = resnet
    keep = allocate(channels, magnitude(net, channels), alike(channels), 0.7)
    narrow, _ = thinned(net, channels, keep)
    with torch.no_grad():
        weight = narrow.get_parameter("trunk.conv3.block2.residual.conv2.conv.weight")
        weight.copy_(weight.flip(1))
    with pytest.raises(RuntimeError, match="the narrow network differs by"):
        prove(net, narrow, channels, keep, torch.randn(2, 3, 16, 16))


def test_without_nothing_nothing_changes(resnet: tuple[Classifier, Channels]) -> None:
    net, channels = resnet
    assert without(net, channels, np.ones(channels.units, bool)) == {}


def test_widths_of_two_steps_are_one() -> None:
    assert merged({"a": [4, None], "b": [None, 7]}, {"a": [None, 3], "c": [2, 2, 2]}) == {
        "a": [4, 3],
        "b": [None, 7],
        "c": [2, 2, 2],
    }


def test_statistics_are_those_of_all_images_alike() -> None:
    net = nn.Sequential(nn.BatchNorm2d(2), nn.Dropout(0.9))
    batches = [torch.randn(6, 2, 5, 5) * scale + 3 for scale in (1.0, 2.0)]
    net.train()
    measure_statistics(net, iter(batches))
    norm = net[0]
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.momentum == 0.1
    assert not any(module.training for module in net.modules())
    expected = torch.stack([batch.var(dim=(0, 2, 3)) for batch in batches]).mean(0)
    torch.testing.assert_close(norm.running_mean, torch.cat(batches).mean(dim=(0, 2, 3)))
    torch.testing.assert_close(norm.running_var, expected)

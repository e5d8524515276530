"""Channels can be taken out of every registered classifier: what is left computes as if they were zero."""

import copy
import os

import numpy as np
import pytest
import torch
from torch import nn

from svertka.deploy.thinning import Keep, macs, prove, thinned
from svertka.errors import UserError
from svertka.layers.channels import Channels, follow_channels
from svertka.layers.trunk import Classifier
from svertka.zoo import registry
from svertka.zoo.figures import figures
from svertka.zoo.measure import measure

CLASSIFIERS = [record for record in registry.records() if record.kind == "classifier"]
CLASSES = 7


def chosen() -> list[registry.NetRecord]:
    """The cheapest network of every family, or with ``SVERTKA_FULL`` set every network that has channels within."""
    within = [record for record in CLASSIFIERS if record.name != "perceptron"]
    if os.environ.get("SVERTKA_FULL"):
        return within
    cost = {record.name: figures()[record.name]["macs"] for record in within}
    families = [[record for record in module.NETS if record in within] for module in registry.families()]
    return [min(nets, key=lambda record: cost[record.name]) for nets in families if nets]


def side(record: registry.NetRecord) -> int:
    return record.image_size if record.one_size else record.smallest


def arguments(record: registry.NetRecord) -> dict[str, object]:
    given: dict[str, object] = {"classes": CLASSES, "in_channels": record.channels}
    return given | ({"image_size": side(record)} if record.one_size else {})


def build(record: registry.NetRecord) -> Classifier:
    """The network as if it had been trained, without normalisation between neighbouring channels."""
    torch.manual_seed(0)
    net = registry.build(record.name, arguments(record)).eval()
    for module in list(net.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.LocalResponseNorm):
                setattr(module, name, nn.Identity())
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
    return net


def half(channels: Channels) -> Keep:
    """About half of every group, at random."""
    rng = np.random.default_rng(0)
    keep = np.ones(channels.units, bool)
    for group in channels.groups:
        keep[rng.permutation(group)[: len(group) // 2]] = False
    return keep


def zeroed(net: Classifier, channels: Channels, keep: Keep) -> Classifier:
    """A copy in which the layers that make the channels that go give zeros."""
    made = {layer.weight: layer.outputs for layer in channels.layers}
    for path, module in net.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            made[f"{path}.weight"] = 0
    copied = copy.deepcopy(net)
    parameters = dict(copied.named_parameters())
    for name, axis in made.items():
        units = channels.axes[name].get(axis)
        if units is None:
            continue
        gone = np.flatnonzero((units >= 0) & ~np.append(keep, True)[units])
        with torch.no_grad():
            parameters[name].index_fill_(axis, torch.from_numpy(gone), 0.0)
            bias = name.removesuffix("weight") + "bias"
            if bias in parameters:
                parameters[bias].index_fill_(0, torch.from_numpy(gone), 0.0)
    return copied


@pytest.mark.parametrize("record", chosen(), ids=lambda record: record.name)
def test_what_is_left_computes_as_if_the_rest_were_zero(record: registry.NetRecord) -> None:
    net = build(record)
    channels = follow_channels(net, side(record), side(record))
    assert channels.exact
    keep = half(channels)
    assert not keep.all()
    assert sorted(np.concatenate(channels.groups).tolist()) == list(range(channels.units))
    # In double precision depth adds up to no more than 1e-10; networks with large fully connected layers are shallow.
    kind = torch.float64 if record.parameters < 5e7 else torch.float32
    net = net.to(kind)
    narrow, widths = thinned(net, channels, keep)
    x = torch.randn(2, record.channels, side(record), side(record), generator=torch.Generator().manual_seed(1)).to(kind)
    with torch.no_grad():
        expected = zeroed(net, channels, keep)(x)
        found = narrow(x)
        assert (net(x) - expected).abs().max() > 1e-6 * expected.abs().max()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))
    prove(net, narrow, channels, keep, x)

    # It costs what was foreseen, and is built again from its widths.
    assert sum(value.numel() for value in narrow.parameters()) < 0.9 * sum(v.numel() for v in net.parameters())
    again = registry.build(record.name, {**arguments(record), "widths": widths}).to(kind).eval()
    again.load_state_dict(narrow.state_dict())
    with torch.no_grad():
        assert torch.equal(again(x), found)
    measured = measure(again.float().to("meta"), side(record), side(record))
    assert macs(channels, keep) == sum(stage.macs for stage in measured)
    assert again.trunk.channels(side(record), side(record)) == {stage.name: stage.shape[0] for stage in measured[:-1]}


def test_a_network_that_is_pruned_twice_is_built_again() -> None:
    from svertka.deploy.thinning import merged

    record = registry.record("mobilenet_v2")
    net, given = build(record), arguments(record)
    for _ in range(2):
        channels = follow_channels(net, 32, 32)
        net, widths = thinned(net, channels, half(channels))
        given["widths"] = merged(given.get("widths", {}), widths)
    again = registry.build(record.name, given).eval()
    again.load_state_dict(net.state_dict())
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(again(x), net(x))


def test_a_perceptron_has_nothing_to_take_out() -> None:
    record = registry.record("perceptron")
    assert follow_channels(build(record), side(record), side(record)).units == 0


def test_what_does_not_run_is_refused() -> None:
    net = registry.build("googlenet", {"classes": CLASSES, "auxiliary": True}).eval()
    with pytest.raises(UserError, match=r"auxiliary.* takes no part in predictions"):
        follow_channels(net, 32, 32)

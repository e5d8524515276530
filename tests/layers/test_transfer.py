"""A head that measures a distance beside its logits."""

from __future__ import annotations

import pytest
import torch

from svertka.layers.frozen import Behind, FrozenStages
from svertka.layers.transfer import TransferHead
from svertka.layers.trunk import Classifier
from svertka.zoo import registry

TAPS = ("conv2", "conv3", "conv4")


def network(**options: object) -> Classifier:
    torch.manual_seed(0)
    head = {"taps": list(TAPS), "rule": "linear", **options}
    net = registry.build("resnet20_cifar", {"classes": 3, "in_channels": 3, "head": head}).eval()
    if isinstance(net.head, TransferHead) and net.head.distance is not None:
        torch.nn.init.normal_(net.head.distance.centres)
    return net


def test_a_head_measures_no_distance_unless_asked() -> None:
    net = network()
    x = torch.randn(2, 3, 16, 16)
    assert net.output_names == ("logits",)
    assert net.outputs(x).keys() == {"logits"}
    assert not any("distance" in name for name in net.state_dict())


@pytest.mark.parametrize(
    "options", [{"rule": "linear"}, {"rule": "mlp", "hidden": 4}, {"rule": "kernel", "supports": 2}]
)
def test_every_rule_can_have_it(options: dict[str, object]) -> None:
    net = network(reject=True, **options)
    x = torch.randn(4, 3, 16, 16)
    outputs = net.outputs(x)
    assert tuple(outputs) == net.output_names == ("logits", "distance")
    assert outputs["distance"].shape == (4,)
    torch.testing.assert_close(outputs["logits"], net(x))
    assert not any(name.startswith("head.distance") for name, _ in net.named_parameters())
    assert isinstance(net.head, TransferHead)
    features = net.features(x)
    assert net.head.distance is not None
    expected = torch.cdist(features, net.head.distance.centres).amin(dim=1) / features.shape[1] ** 0.5
    torch.testing.assert_close(outputs["distance"], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("boundary", ["conv1", "conv2", "conv3"])
def test_behind_frozen_stages_features_are_those_of_the_whole(boundary: str) -> None:
    net = network(reject=True)
    behind = Behind(net, boundary, net.trunk.shapes(16, 16)).eval()
    x = torch.randn(4, 3, 16, 16)
    with torch.no_grad():
        *means, maps = FrozenStages(net.trunk, behind.frozen_taps, [boundary])(x)
        torch.testing.assert_close(behind.features(torch.cat([*means, maps.flatten(1)], dim=1)), net.features(x))

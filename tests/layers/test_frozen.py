"""A network cut in two computes what it computes in one piece."""

from __future__ import annotations

import pytest
import torch

from svertka.errors import UserError
from svertka.layers.frozen import Behind, FrozenStages, frozen_stages
from svertka.layers.trunk import Classifier
from svertka.zoo import registry

TAPS = ("conv2", "conv3", "conv4")


def network(head: dict[str, object] | None) -> Classifier:
    torch.manual_seed(0)
    net = registry.build("resnet20_cifar", {"classes": 3, "in_channels": 3, **({"head": head} if head else {})})
    return net.eval()


@pytest.mark.parametrize("boundary", ["conv1", "conv2", "conv3"])
@pytest.mark.parametrize("own", [False, True], ids=["taps", "own head"])
def test_both_parts_make_the_whole(boundary: str, own: bool) -> None:
    net = network(None if own else {"taps": list(TAPS), "rule": "linear"})
    shapes = net.trunk.shapes(16, 16)
    behind = Behind(net, boundary, shapes).eval()
    x = torch.randn(4, 3, 16, 16)
    with torch.no_grad():
        *means, maps = FrozenStages(net.trunk, behind.frozen_taps, [boundary])(x)
        rows = torch.cat([*means, maps.flatten(1)], dim=1)
        torch.testing.assert_close(behind(rows), net(x))
    assert rows.shape[1] == behind.means + maps[0].numel()


def test_what_learns_behind_is_the_networks_own() -> None:
    net = network({"taps": list(TAPS), "rule": "linear"})
    behind = Behind(net, "conv3", net.trunk.shapes(16, 16))
    names = {name for name, _ in behind.named_parameters()}
    assert names == {name for name, _ in net.named_parameters() if name.startswith(("trunk.conv4", "head."))}
    for name, parameter in behind.named_parameters():
        assert parameter is net.get_parameter(name)


def test_how_many_stages_are_frozen() -> None:
    trunk = network(None).trunk
    assert [frozen_stages(trunk, name) for name in ("none", "conv1", "conv3", "all")] == [0, 1, 3, 4]
    with pytest.raises(UserError, match="no stage 'conv8'"):
        frozen_stages(trunk, "conv8")

"""Which channels belong together."""

from collections import OrderedDict
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from svertka.layers.branches import Branches
from svertka.layers.channels import STAYS, Channels, follow_channels
from svertka.layers.head import LinearHead
from svertka.layers.trunk import Classifier, Trunk


class Applied(nn.Module):
    """A function as a layer."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class Sum(nn.Module):
    def __init__(self, one: nn.Module, other: nn.Module) -> None:
        super().__init__()
        self.one, self.other = one, other

    def forward(self, x: Tensor) -> Tensor:
        return self.one(x) + self.other(x)


def followed(*stages: nn.Module, features: int) -> Channels:
    trunk = Trunk({f"stage{number}": stage for number, stage in enumerate(stages, 1)}, in_channels=3)
    return follow_channels(Classifier(trunk, LinearHead(features, 5), classes=5), 8, 8)


def conv(inputs: int, outputs: int, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1, groups=groups)


def test_the_image_and_the_logits_stay() -> None:
    found = followed(conv(3, 4), features=4)
    assert found.units == 4
    assert [group.tolist() for group in found.groups] == [[0, 1, 2, 3]]
    assert (found.axes["trunk.stage1.weight"][1] == STAYS).all()
    assert (found.axes["head.linear.weight"][0] == STAYS).all()
    assert found.axes["head.linear.weight"][1].tolist() == [0, 1, 2, 3]
    assert found.axes["trunk.stage1.bias"][0].tolist() == [0, 1, 2, 3]
    assert found.exact


def test_what_is_added_belongs_together() -> None:
    found = followed(conv(3, 4), Sum(conv(4, 4), nn.Identity()), features=4)
    assert found.units == 4
    assert (
        found.axes["trunk.stage1.weight"][0].tolist()
        == found.axes["trunk.stage2.one.weight"][0].tolist()
        == found.axes["trunk.stage2.one.weight"][1].tolist()
    )


def test_what_is_concatenated_does_not() -> None:
    found = followed(Branches({"one": conv(3, 2), "other": conv(3, 3)}), features=5)
    assert [len(group) for group in found.groups] == [2, 3]
    assert found.axes["head.linear.weight"][1].tolist() == [0, 1, 2, 3, 4]


def test_a_depthwise_convolution_goes_with_its_input() -> None:
    found = followed(conv(3, 4), nn.Sequential(conv(4, 4, groups=4), nn.BatchNorm2d(4)), features=4)
    assert found.units == 4
    assert found.axes["trunk.stage2.0.weight"].keys() == {0}
    assert found.axes["trunk.stage2.1.running_var"][0].tolist() == found.axes["trunk.stage1.weight"][0].tolist()
    assert found.layers[1].norm == "trunk.stage2.1"


def test_many_groups_go_as_a_whole_and_two_lose_the_same_places() -> None:
    many = followed(conv(3, 8), conv(8, 8, groups=4), features=8)
    assert many.units == 4
    assert many.axes["trunk.stage1.weight"][0].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert many.axes["trunk.stage2.weight"].keys() == {0}
    few = followed(conv(3, 8), conv(8, 4, groups=2), features=4)
    assert few.units == 4 + 2
    assert few.axes["trunk.stage1.weight"][0].tolist() == [0, 1, 2, 3] * 2
    assert few.axes["trunk.stage2.weight"][1].tolist() == [0, 1, 2, 3]
    assert few.axes["trunk.stage2.weight"][0].tolist() == [4, 5] * 2


def test_every_position_of_a_flattened_map_is_its_channel() -> None:
    trunk = Trunk({"conv": conv(3, 2)}, in_channels=3)
    head = nn.Sequential(OrderedDict(pool=nn.AdaptiveAvgPool2d(2), flatten=nn.Flatten(), linear=nn.Linear(8, 5)))
    found = follow_channels(Classifier(trunk, head, classes=5), 8, 8)
    assert found.axes["head.linear.weight"][1].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]


@pytest.mark.parametrize(
    ("function", "stay"),
    [
        (lambda x: x.flip(1), True),
        (lambda x: x.reshape(1, 2, 2, 8, 8).flatten(1, 2), True),
        (lambda x: x * torch.rand(1, 4, 1, 1), True),
        (lambda x: 2 * F.interpolate(x, scale_factor=2), False),
        (lambda x: F.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:], False),
        (lambda x: torch.cat(torch.split(x, [1, 3], dim=1)[::-1], dim=1), False),
    ],
    ids=["flipped", "reshaped", "multiplied", "resized", "shifted", "exchanged"],
)
def test_what_is_not_known_stays(function: Callable[[Tensor], Tensor], stay: bool) -> None:
    found = followed(conv(3, 4), Applied(function), features=4)
    assert found.units == (0 if stay else 4)
    # What comes behind can be taken out again, and counts.
    behind = followed(conv(3, 4), Applied(function), conv(4, 6), features=6)
    assert behind.units == 6 + found.units
    assert [layer.weight for layer in behind.layers] == [
        "trunk.stage1.weight",
        "trunk.stage3.weight",
        "head.linear.weight",
    ]


def test_exchanged_channels_are_followed() -> None:
    found = followed(conv(3, 3), Applied(lambda x: torch.cat([x[:, 2:], x[:, :2]], dim=1)), features=3)
    assert found.axes["head.linear.weight"][1].tolist() == [2, 0, 1]


def test_added_zeros_stay_and_so_does_what_meets_them() -> None:
    padded = Applied(lambda x: F.pad(x, (0, 0, 0, 0, 1, 1)))
    found = followed(conv(3, 2), Sum(conv(2, 4), padded), features=4)
    assert found.units == 2
    assert found.axes["trunk.stage2.one.weight"][0].tolist() == [STAYS, 0, 1, STAYS]


def test_neighbours_that_are_normalised_together_make_it_inexact() -> None:
    assert not followed(conv(3, 4), nn.LocalResponseNorm(3), features=4).exact


def test_the_mode_of_the_network_comes_back() -> None:
    net = Classifier(Trunk({"conv": conv(3, 4)}, in_channels=3), LinearHead(4, 5), classes=5).train()
    follow_channels(net, 8, 8)
    assert all(module.training for module in net.modules())

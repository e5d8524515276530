"""Layers made narrower after they were built."""

from typing import Any

import pytest
import torch
from torch import nn

from svertka.errors import UserError
from svertka.layers.trunk import Trunk
from svertka.layers.widths import set_widths
from svertka.zoo import registry


@pytest.mark.parametrize(
    ("layer", "width", "shapes"),
    [
        (nn.Conv2d(8, 6, 3), [4, 3], [(3, 4, 3, 3), (3,)]),
        (nn.Conv2d(8, 6, 3, bias=False), [None, 3], [(3, 8, 3, 3)]),
        (nn.Conv2d(8, 8, 3, groups=8), [5, 5, 5], [(5, 1, 3, 3), (5,)]),
        (nn.Conv2d(8, 8, 3, groups=2), [4, 6, None], [(6, 2, 3, 3), (6,)]),
        (nn.ConvTranspose2d(8, 6, 2), [4, 3], [(4, 3, 2, 2), (3,)]),
        (nn.Linear(8, 6), [None, 3], [(3, 8), (3,)]),
        (nn.BatchNorm2d(8), [5, 5], [(5,)] * 4 + [()]),
        (nn.PReLU(8), [5, 5], [(5,)]),
    ],
    ids=["conv", "outputs", "depthwise", "grouped", "transposed", "linear", "norm", "slopes"],
)
def test_a_layer_becomes_narrower_and_still_runs(layer: nn.Module, width: list[Any], shapes: list[Any]) -> None:
    net = nn.Sequential(layer)
    set_widths(net, {"0": width})
    assert [tuple(value.shape) for value in net.state_dict().values()] == shapes
    inputs = width[0] or 8
    net.eval()(torch.zeros(2, inputs) if isinstance(layer, nn.Linear) else torch.zeros(2, inputs, 5, 5))


@pytest.mark.parametrize(
    "widths",
    [
        {"trunk.nothing": [1, 1]},
        {"trunk.c1.0": [1]},
        {"trunk.c1.0": 3},
        {"trunk.c1.0": [None, 7]},
        {"trunk.c1.0": [None, 0]},
        {"trunk.c1.0": [None, 2.0]},
        {"trunk.c1.0": [None, True]},
        {"trunk.c1.1": [2, 2]},
        [],
        "wide",
    ],
    ids=str,
)
def test_widths_that_cannot_be_are_refused_in_a_line(widths: Any) -> None:
    with pytest.raises(UserError, match=r"lenet5"):
        registry.build("lenet5", {"widths": widths})


def test_a_grouped_convolution_keeps_whole_groups() -> None:
    net = nn.Sequential(nn.Conv2d(8, 8, 3, groups=4))
    with pytest.raises(ValueError, match="in 3 groups from 5 to 8"):
        set_widths(net, {"0": [5, None, 3]})


def test_shapes_are_found_anew() -> None:
    net = registry.build("lenet5", {})
    assert isinstance(net.trunk, Trunk)
    assert net.trunk.channels(32, 32)["c1"] == 6
    set_widths(net, {"trunk.c1.0": [None, 4], "trunk.c3.0": [4, None]})
    assert net.trunk.channels(32, 32) == {"c1": 4, "c3": 16, "c5": 120}


def test_another_head_is_as_wide_as_what_it_reads() -> None:
    widths = {"trunk.c5.0": [None, 50], "head.f6": [50, 20], "head.output": [20, None]}
    own = registry.build("lenet5", {"widths": widths})
    assert own(torch.zeros(1, 1, 32, 32)).shape == (1, 10)
    head = {"taps": ["c3", "c5"], "rule": "mlp", "hidden": 8}
    narrower = {"trunk.c5.0": [None, 50], "head.rule.hidden": [66, 4], "head.rule.linear": [4, None]}
    net = registry.build("lenet5", {"widths": narrower, "head": head}).eval()
    assert net(torch.zeros(1, 1, 32, 32)).shape == (1, 10)
    assert net.head.get_parameter("rule.hidden.weight").shape == (4, 66)

"""Receptive fields against what gradients say: a unit sees just the pixels that its gradient reaches."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from svertka.explaining.patches import window
from svertka.layers.receptive_field import FollowFields, stage_fields
from svertka.zoo import registry
from svertka.zoo.figures import figures

CLASSIFIERS = [record for record in registry.records() if record.kind == "classifier" and not record.one_size]


def cheapest() -> list[registry.NetRecord]:
    """The cheapest network of every family, or with ``SVERTKA_FULL`` set every network."""
    if os.environ.get("SVERTKA_FULL"):
        return CLASSIFIERS
    cost = {record.name: figures()[record.name]["macs"] for record in CLASSIFIERS}
    families = [[record for record in module.NETS if record in CLASSIFIERS] for module in registry.families()]
    return [min(nets, key=lambda record: cost[record.name]) for nets in families if nets]


class Linear(TorchFunctionMode):
    """Within, nothing is chosen: poolings take means, and rectifiers let everything through."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func in (F.relu, F.hardtanh, F.relu6):
            return args[0]
        if func is F.max_pool2d:
            kept = {name: kwargs[name] for name in ("stride", "padding", "ceil_mode")}
            return F.avg_pool2d(args[0], args[1], **kept)
        return func(*args, **kwargs)


@pytest.mark.parametrize("record", cheapest(), ids=lambda record: record.name)
def test_a_unit_sees_just_what_its_gradient_reaches(record: registry.NetRecord) -> None:
    with torch.device("meta"):
        net = registry.build(record.name, {"classes": 2, "in_channels": record.channels})
    trunk = net.trunk.to_empty(device="cpu").double().requires_grad_(False).eval()
    for layer in trunk.modules():  # nothing cancels out
        if isinstance(layer, nn.Conv2d):
            layer.weight.fill_(1 / layer.weight[0].numel())
            if layer.bias is not None:
                layer.bias.zero_()
        elif isinstance(layer, nn.BatchNorm2d):
            layer.reset_running_stats()
            nn.init.ones_(layer.weight)
            nn.init.zeros_(layer.bias)
    height, width = max(record.smallest, 64), max(record.smallest, 64) + 16
    image = torch.rand(1, record.channels, height, width, dtype=torch.float64).requires_grad_()
    with Linear():
        outputs = trunk.pyramid(image)
    with torch.no_grad(), FollowFields(image) as follow:
        seen = {name: follow.of(x) for name, x in trunk.pyramid(image).items()}
    maps = {name: x for name, x in outputs.items() if x.ndim == 4}
    small = [name for name in maps if seen[name][0].size < height]
    assert small, "no stage sees less than all of the image: this would prove little"
    for name in dict.fromkeys([next(iter(maps)), small[-1], next(reversed(maps))]):
        x = maps[name]
        for row, column in {(0, 0), (x.shape[2] // 2, x.shape[3] // 2), (x.shape[2] - 1, x.shape[3] - 1)}:
            (slope,) = torch.autograd.grad(x[0, :, row, column].sum(), image, retain_graph=True)
            reached = slope[0].abs().sum(dim=0) > 0
            rows, columns = (reached.any(dim=axis).nonzero().flatten().tolist() for axis in (1, 0))
            found = window(seen[name], row, column, height, width)
            reached_window = (rows[0], columns[0], rows[-1] + 1, columns[-1] + 1)
            # At the border a stride may leave out pixels that a later padding stands for.
            ends = zip(found, reached_window, (0, 0, height, width), strict=True)
            assert all(end in (expected, border) for end, expected, border in ends), (name, row, column)
            within = zip(found, reached_window, (1, 1, -1, -1), strict=True)
            assert all(side * end <= side * expected for end, expected, side in within), (name, row, column)


def test_fields_of_stages_leave_the_mode(small_trunk) -> None:
    trunk = small_trunk.train()
    found = stage_fields(trunk, 40, 50)
    assert trunk.training
    height, width = found["c1"]
    assert (height.size, height.stride, height.start) == (6, 2, 0)
    assert height == width
    assert not any(math.isinf(field.size) for fields in found.values() for field in fields)


@pytest.fixture
def small_trunk() -> nn.Module:
    return registry.build("lenet5", {"classes": 2, "in_channels": 1}).trunk


@pytest.mark.parametrize("first", [0, 1, -3])
@pytest.mark.parametrize("step", [1, 2])
def test_a_slice_moves_the_field(first: int, step: int) -> None:
    image = torch.rand(1, 1, 20, 20, requires_grad=True)
    kernel = torch.ones(1, 1, 3, 3)

    def run(x: Tensor) -> Tensor:
        return F.conv2d(x, kernel, stride=2, padding=1)[:, :, first::step, 1:]

    with FollowFields(image) as follow:
        x = run(image)
        fields = follow.of(x)
    place = (x.shape[2] - 1, 2)
    (slope,) = torch.autograd.grad(x[0, 0, place[0], place[1]], image)
    rows, columns = slope[0, 0].any(dim=1).nonzero(), slope[0, 0].any(dim=0).nonzero()
    expected = (int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)
    assert window(fields, *place, 20, 20) == expected

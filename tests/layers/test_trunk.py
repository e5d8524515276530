"""A trunk knows shapes, channels and strides over one spatial axis as over two."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from svertka.layers.transfer import TransferHead
from svertka.layers.trunk import Classifier, StageGeometry, Trunk


def stage(inputs: int, outputs: int, stride: int) -> nn.Module:
    return nn.Sequential(nn.Conv1d(inputs, outputs, 5, stride, padding=1), nn.BatchNorm1d(outputs), nn.ReLU())


def series_trunk() -> Trunk:
    torch.manual_seed(0)
    return Trunk(
        {"c1": stage(3, 4, 2), "c2": stage(4, 6, 3), "mean": nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Flatten())},
        in_channels=3,
    )


def test_shapes_channels_and_strides_over_time() -> None:
    trunk = series_trunk()
    assert trunk.shapes(64) == {"c1": (4, 31), "c2": (6, 10), "mean": (6,)}
    assert trunk.channels(64) == {"c1": 4, "c2": 6, "mean": 6}
    assert trunk.geometry(64) == {
        "c1": StageGeometry(4, 2),
        "c2": StageGeometry(6, 6),
        "mean": StageGeometry(6, None),
    }


def test_shapes_on_the_meta_device_are_those_of_a_run() -> None:
    assert series_trunk().to("meta").shapes(50) == series_trunk().shapes(50)


def test_series_that_are_too_short() -> None:
    with pytest.raises(RuntimeError):
        series_trunk().shapes(2)


def test_frozen_stages_and_statistics_over_time_are_kept() -> None:
    trunk = series_trunk()
    trunk.freeze(1)
    trunk.keeps_statistics = True
    before = {name: value.clone() for name, value in trunk.named_buffers()}
    trunk.train()(torch.randn(8, 3, 64))
    assert all(torch.equal(before[name], value) for name, value in trunk.named_buffers())
    trunk.keeps_statistics = False
    trunk.train()(torch.randn(8, 3, 64))
    changed = {name.partition(".")[0] for name, value in trunk.named_buffers() if not torch.equal(before[name], value)}
    assert changed == {"c2"}


def test_a_head_reads_several_stages_of_a_series() -> None:
    trunk = series_trunk()
    net = Classifier(trunk, TransferHead(["c1", "c2"], nn.Linear(10, 2)), classes=2).eval()
    x = torch.randn(5, 3, 64)
    maps = trunk.pyramid(x)
    torch.testing.assert_close(net.features(x), torch.cat([maps["c1"].mean(2), maps["c2"].mean(2)], dim=1))
    assert net(x).shape == (5, 2)

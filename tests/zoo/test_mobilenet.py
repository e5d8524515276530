"""MobileNets of other widths are those of torchvision and of the paper."""

import pytest
import torch

from svertka.layers.inverted_residual import scaled
from svertka.zoo import registry
from svertka.zoo.catalogue import mobilenet_v2

SHAPE = (3, 3, 237, 215)


@pytest.mark.parametrize("width", [0.35, 1.4])
def test_as_torchvision(width, assert_parity) -> None:
    models = pytest.importorskip("torchvision.models")
    torch.manual_seed(0)
    theirs = models.mobilenet_v2(weights=None, width_mult=width)
    assert_parity(registry.build("mobilenet_v2", {"width": width}), theirs, mobilenet_v2.KEYS["torchvision"], SHAPE)


@pytest.mark.parametrize(("width", "millions"), [(1.0, 4.2), (0.75, 2.6), (0.5, 1.3), (0.25, 0.5)])
def test_table_6(width, millions) -> None:
    with torch.device("meta"):
        net = registry.build("mobilenet", {"width": width})
    assert round(sum(parameter.numel() for parameter in net.parameters()) / 1e6, 1) == millions


@pytest.mark.parametrize(
    ("channels", "width", "result"), [(32, 1.0, 32), (16, 1.1, 16), (40, 1.1, 48), (16, 0.35, 8), (24, 0.5, 16)]
)
def test_widths_are_multiples_of_eight(channels, width, result) -> None:
    assert scaled(channels, width) == result

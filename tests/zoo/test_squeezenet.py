"""SqueezeNet computes what torchvision computes."""

import pytest
import torch

from svertka.errors import UserError
from svertka.zoo import registry
from svertka.zoo.converters.squeezenet import convert_torchvision


@pytest.mark.parametrize("name", ["squeezenet1_0", "squeezenet1_1"])
@pytest.mark.parametrize("shape", [(2, 3, 224, 224), (3, 3, 237, 215)])
def test_as_torchvision(name, shape, assert_parity) -> None:
    models = pytest.importorskip("torchvision.models")
    torch.manual_seed(0)
    assert_parity(registry.build(name, {}), models.get_model(name, weights=None), convert_torchvision, shape)


def test_an_unknown_version() -> None:
    with pytest.raises(UserError, match=r"unknown version '1\.2'"):
        registry.build("squeezenet1_0", {"version": "1.2"})

"""Network in Network computes what the network of the Caffe zoo computes."""

from collections import OrderedDict

import pytest
import torch
from torch import nn

from svertka.zoo import registry
from svertka.zoo.catalogue.nin import KEYS
from svertka.zoo.checkpoints import read_checkpoint
from svertka.zoo.conversion import convert


@pytest.mark.parametrize("shape", [(2, 3, 224, 224), (3, 3, 237, 215)])
def test_as_caffe(shape, assert_parity) -> None:
    assert_parity(registry.build("nin", {}), caffe_nin(), KEYS["caffe"], shape)


def test_a_file_of_caffe(write_caffemodel, assert_parity, tmp_path) -> None:
    theirs = caffe_nin()
    path = write_caffemodel(tmp_path / "nin.caffemodel", theirs.state_dict(), first_generation=True)

    def conversion(_: object) -> dict[str, torch.Tensor]:
        return convert("nin", "caffe", read_checkpoint(path)).state

    assert_parity(registry.build("nin", {}), theirs, conversion, (1, 3, 224, 224))


def caffe_nin() -> nn.Module:
    torch.manual_seed(0)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for name, convolution, pool in (
        ("conv1", nn.Conv2d(3, 96, 11, stride=4), None),
        ("cccp1", nn.Conv2d(96, 96, 1), None),
        ("cccp2", nn.Conv2d(96, 96, 1), "pool0"),
        ("conv2", nn.Conv2d(96, 256, 5, padding=2), None),
        ("cccp3", nn.Conv2d(256, 256, 1), None),
        ("cccp4", nn.Conv2d(256, 256, 1), "pool2"),
        ("conv3", nn.Conv2d(256, 384, 3, padding=1), None),
        ("cccp5", nn.Conv2d(384, 384, 1), None),
        ("cccp6", nn.Conv2d(384, 384, 1), "pool3"),
        ("conv4-1024", nn.Conv2d(384, 1024, 3, padding=1), None),
        ("cccp7-1024", nn.Conv2d(1024, 1024, 1), None),
        ("cccp8-1024", nn.Conv2d(1024, 1000, 1), None),
    ):
        nn.init.kaiming_normal_(convolution.weight)
        layers[name] = convolution
        layers[f"relu {name}"] = nn.ReLU()
        if pool:
            layers[pool] = nn.MaxPool2d(3, 2, ceil_mode=True)
    layers["pool4"] = nn.AdaptiveAvgPool2d(1)  # 6 × 6 at 224 × 224
    layers["flatten"] = nn.Flatten()
    return nn.Sequential(layers)

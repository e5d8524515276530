"""AlexNet of 2012 computes what Caffe computes, and begins as its paper says."""

from collections import OrderedDict

import torch
from torch import nn

from svertka.zoo import registry
from svertka.zoo.converters.alexnet import convert_caffe


def test_grouped_as_caffe(assert_parity) -> None:
    assert_parity(registry.build("alexnet_grouped", {}), caffe_alexnet(), convert_caffe, (2, 3, 227, 227))


def test_the_first_biases_of_2012() -> None:
    net = registry.build("alexnet_grouped", {"classes": 2})
    ones = {name for name, value in net.named_parameters() if name.endswith("bias") and value.eq(1).all()}
    assert {name.split(".")[-2] for name in ones} == {"conv2", "conv4", "conv5", "fc6", "fc7"}


def caffe_alexnet() -> nn.Module:
    # bvlc_alexnet's layers, with weights that keep the signal large enough for its normalisation to matter.
    torch.manual_seed(0)
    net = nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(3, 96, 11, 4),
            relu1=nn.ReLU(),
            norm1=nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0),
            pool1=nn.MaxPool2d(3, 2, ceil_mode=True),
            conv2=nn.Conv2d(96, 256, 5, padding=2, groups=2),
            relu2=nn.ReLU(),
            norm2=nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0),
            pool2=nn.MaxPool2d(3, 2, ceil_mode=True),
            conv3=nn.Conv2d(256, 384, 3, padding=1),
            relu3=nn.ReLU(),
            conv4=nn.Conv2d(384, 384, 3, padding=1, groups=2),
            relu4=nn.ReLU(),
            conv5=nn.Conv2d(384, 256, 3, padding=1, groups=2),
            relu5=nn.ReLU(),
            pool5=nn.MaxPool2d(3, 2, ceil_mode=True),
            flatten=nn.Flatten(),
            fc6=nn.Linear(256 * 6 * 6, 4096),
            relu6=nn.ReLU(),
            fc7=nn.Linear(4096, 4096),
            relu7=nn.ReLU(),
            fc8=nn.Linear(4096, 1000),
        )
    )
    with torch.no_grad():
        net.conv1.weight.mul_(500)
        for layer in (net.conv2, net.conv3, net.conv4, net.conv5, net.fc6, net.fc7):
            layer.weight.mul_(2.5)
    return net

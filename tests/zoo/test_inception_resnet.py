"""Inception-ResNet-v1 has the sizes of the paper's figures."""

import torch

from svertka.nets.inception_resnet import InceptionResNetV1


def test_v1_has_the_sizes_of_figures_14_and_15() -> None:
    with torch.device("meta"):
        shapes = InceptionResNetV1().trunk.shapes(299, 299)
    assert shapes["stem1"] == (64, 147, 147)
    assert shapes["stem2"] == (80, 73, 73)
    assert shapes["stem3"] == (192, 71, 71)
    assert shapes["stem4"] == shapes["inception_resnet_a"] == (256, 35, 35)
    assert shapes["reduction_a"] == shapes["inception_resnet_b"] == (896, 17, 17)
    assert shapes["reduction_b"] == shapes["inception_resnet_c"] == (1792, 8, 8)

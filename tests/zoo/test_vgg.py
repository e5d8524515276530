"""VGG grows as its paper says."""

import pytest
import torch

from svertka.nets.vgg import VGG, grow

A, B, D = (1, 1, 2, 2, 2), (2, 2, 2, 2, 2), (2, 2, 3, 3, 3)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_growing_copies_four_convolutions_and_the_head(batch_norm) -> None:
    shallow, deep = filled(1, A, batch_norm=batch_norm), filled(0, D, batch_norm=batch_norm)
    grow(shallow, deep)
    convolutions = {"conv1_1", "conv2_1", "conv3_1", "conv3_2"}
    norms = {name.replace("conv", "norm") for name in convolutions} if batch_norm else set()
    for key, value in deep.state_dict().items():
        copied = key.split(".")[-2] in convolutions | norms | {"fc6", "fc7", "fc8"}
        assert value.min() == value.max() == copied, key


def test_growing_by_one_configuration_at_a_time() -> None:
    deep = filled(0, D)
    grow(filled(1, B), deep)
    grown = {name.split(".")[1] for name, value in deep.trunk.named_parameters() if value.eq(1).all()}
    assert grown == {"conv1_1", "conv1_2", "conv2_1", "conv2_2"}


@pytest.mark.parametrize(
    ("shallow", "deep", "layer"),
    [
        ({"classes": 3}, {"classes": 4}, "head.fc8.weight"),
        ({"in_channels": 1}, {"in_channels": 3}, "trunk.conv1.conv1_1.weight"),
        ({"batch_norm": True}, {"batch_norm": False}, "trunk.conv1.norm1_1.weight"),
    ],
)
def test_growing_needs_the_same_shapes(shallow, deep, layer) -> None:
    with torch.device("meta"):
        shallow, deep = VGG(depths=A, **shallow), VGG(depths=D, **deep)
    with pytest.raises(ValueError, match=f"has no {layer} of shape"):
        grow(shallow, deep)


def filled(value: int, depths: tuple[int, ...], **arguments) -> VGG:
    with torch.device("meta"):
        net = VGG(depths=depths, **arguments)
    net = net.to_empty(device="cpu")
    for tensor in net.state_dict().values():
        tensor.fill_(value)
    return net

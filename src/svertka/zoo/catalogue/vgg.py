"""VGG, without and with batch normalisation."""

from typing import Any

from svertka.zoo.published import keras_weights, torchvision_weights
from svertka.zoo.records import NetRecord


def _vgg(layers: int, depths: tuple[int, ...], *, parameters: int, batch_norm: bool = False) -> NetRecord:
    return NetRecord(
        name=f"vgg{layers}_bn" if batch_norm else f"vgg{layers}",
        builder="svertka.nets.vgg:VGG",
        arguments={"depths": depths, "batch_norm": batch_norm},
        year=2014,
        paper="Simonyan, Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition",
        image_size=224,
        parameters=parameters,
        smallest=32,
    )


NETS = (
    _vgg(11, (1, 1, 2, 2, 2), parameters=132_863_336),
    _vgg(13, (2, 2, 2, 2, 2), parameters=133_047_848),
    _vgg(16, (2, 2, 3, 3, 3), parameters=138_357_544),
    _vgg(19, (2, 2, 4, 4, 4), parameters=143_667_240),
    _vgg(11, (1, 1, 2, 2, 2), parameters=132_868_840, batch_norm=True),
    _vgg(13, (2, 2, 2, 2, 2), parameters=133_053_736, batch_norm=True),
    _vgg(16, (2, 2, 3, 3, 3), parameters=138_365_992, batch_norm=True),
    _vgg(19, (2, 2, 4, 4, 4), parameters=143_678_248, batch_norm=True),
)

# torchvision numbers the layers through, differently at each depth; Keras flattens the other way. See
# `svertka.zoo.converters.vgg`.
KEYS: dict[str, tuple[tuple[str, str], ...]] = {}

_FILE = "{0}/{0}_weights_tf_dim_ordering_tf_kernels.h5"
_KERAS: dict[str, Any] = {
    "order": "bgr",
    "mean": (103.939 / 255, 116.779 / 255, 123.68 / 255),
    "std": (1 / 255, 1 / 255, 1 / 255),
}

WEIGHTS = (
    torchvision_weights("vgg11", "vgg11-8a719046.pth", 69.02, 88.628),
    torchvision_weights("vgg13", "vgg13-19584684.pth", 69.928, 89.246),
    torchvision_weights("vgg16", "vgg16-397923af.pth", 71.592, 90.382),
    torchvision_weights("vgg19", "vgg19-dcbb9e9d.pth", 72.376, 90.876),
    torchvision_weights("vgg11_bn", "vgg11_bn-6002323d.pth", 70.37, 89.81),
    torchvision_weights("vgg13_bn", "vgg13_bn-abd245e5.pth", 71.586, 90.374),
    torchvision_weights("vgg16_bn", "vgg16_bn-6c64b313.pth", 73.36, 91.516),
    torchvision_weights("vgg19_bn", "vgg19_bn-c79401a0.pth", 74.218, 91.842),
    keras_weights("vgg16", _FILE.format("vgg16"), "64373286793e3c8b2b4e3219cbf3544b", 0.713, 0.901, **_KERAS),
    keras_weights("vgg19", _FILE.format("vgg19"), "cbe5617147190e668d6c5d5026f83318", 0.713, 0.900, **_KERAS),
)

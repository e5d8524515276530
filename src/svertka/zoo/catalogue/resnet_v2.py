"""ResNet v2."""

from svertka.zoo.published import keras_weights
from svertka.zoo.records import NetRecord


def _record(layers: int, depths: tuple[int, ...], *, parameters: int) -> NetRecord:
    return NetRecord(
        name=f"resnet{layers}_v2",
        builder="svertka.nets.resnet_v2:ResNetV2",
        arguments={"depths": depths},
        year=2016,
        paper="He et al., Identity Mappings in Deep Residual Networks",
        image_size=224,
        parameters=parameters,
        smallest=1,
    )


NETS = (
    _record(50, (3, 4, 6, 3), parameters=25_568_360),
    _record(101, (3, 4, 23, 3), parameters=44_577_896),
    _record(152, (3, 8, 36, 3), parameters=60_236_904),
)

KEYS = {
    # Of keys as svertka.zoo.keras gives them.
    "keras": (
        (r"conv1_conv\.(\w+)", r"trunk.conv1.\1"),
        (r"conv(\d)_block(\d+)_preact_bn\.(\w+)", r"trunk.conv\1.block\2.preactivation.norm.\3"),
        (r"conv(\d)_block(\d+)_0_conv\.(\w+)", r"trunk.conv\1.block\2.projection.\3"),
        (r"conv(\d)_block(\d+)_3_conv\.(\w+)", r"trunk.conv\1.block\2.residual.conv3.\3"),
        (r"conv(\d)_block(\d+)_(\d)_conv\.(\w+)", r"trunk.conv\1.block\2.residual.conv\3.conv.\4"),
        (r"conv(\d)_block(\d+)_(\d)_bn\.(\w+)", r"trunk.conv\1.block\2.residual.conv\3.norm.\4"),
        (r"post_bn\.(\w+)", r"trunk.conv5.norm.\1"),
        (r"predictions\.(\w+)", r"head.linear.\1"),
    )
}

_FILE = "resnet/resnet{}v2_weights_tf_dim_ordering_tf_kernels.h5"

WEIGHTS = (
    keras_weights("resnet50_v2", _FILE.format(50), "3ef43a0b657b3be2300d5770ece849e0", 0.760, 0.930),
    keras_weights("resnet101_v2", _FILE.format(101), "6343647c601c52e1368623803854d971", 0.772, 0.938),
    keras_weights("resnet152_v2", _FILE.format(152), "a49b44d1979771252814e80f8ec446f9", 0.780, 0.942),
)

"""Inception-ResNet-v1 and Inception-ResNet-v2."""

from svertka.zoo.published import timm_weights
from svertka.zoo.records import NetRecord

_PAPER = "Szegedy et al., Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning"

NETS = (
    NetRecord(
        name="inception_resnet_v1",
        builder="svertka.nets.inception_resnet:InceptionResNetV1",
        year=2016,
        paper=_PAPER,
        image_size=299,
        parameters=22_756_328,  # computed from the paper's figures
        smallest=75,
    ),
    NetRecord(
        name="inception_resnet_v2",
        builder="svertka.nets.inception_resnet:InceptionResNetV2",
        year=2016,
        paper=_PAPER,
        image_size=299,
        parameters=55_843_464,
        smallest=75,
    ),
)

# Group by group: what timm calls it, what it is called here, and the names of its branches.
_GROUPS = (
    (r"mixed_5b", r"stem4.1", ("1x1", "5x5", "3x3dbl", "pool")),
    (r"repeat\.(?P<number>\d+)", r"inception_resnet_a.\g<number>.branches", ("1x1", "3x3", "3x3dbl")),
    (r"mixed_6a", r"reduction_a", ("3x3", "3x3dbl")),
    (r"repeat_1\.(?P<number>\d+)", r"inception_resnet_b.\g<number>.branches", ("1x1", "7x7")),
    (r"mixed_7a", r"reduction_b", ("3x3wide", "3x3", "3x3dbl")),
    (r"repeat_2\.(?P<number>\d+)", r"inception_resnet_c.\g<number>.branches", ("1x1", "3x3")),
    (r"block8", r"inception_resnet_c.9.branches", ("1x1", "3x3")),
)
_BLOCKS = (
    (r"conv2d_1a", r"stem1.0"),
    (r"conv2d_2a", r"stem1.1"),
    (r"conv2d_2b", r"stem1.2"),
    (r"conv2d_3b", r"stem2.1"),
    (r"conv2d_4a", r"stem3.0"),
    *(
        rule
        for theirs, ours, branches in _GROUPS
        for number, branch in enumerate(branches)
        for rule in (
            (rf"{theirs}\.branch{number}", rf"{ours}.{branch}.0"),
            (rf"{theirs}\.branch{number}\.(?P<place>\d)", rf"{ours}.{branch}.\g<place>"),
        )
    ),
    (r"conv2d_7b", r"conv.0"),
)

KEYS = {
    "timm": (  # of Inception-ResNet-v2
        *(
            (rf"{theirs}\.{part}\.(?P<value>\w+)", rf"trunk.{ours}.{name}.\g<value>")
            for theirs, ours in _BLOCKS
            for part, name in (("conv", "conv"), ("bn", "norm"))
        ),
        (r"repeat\.(\d+)\.conv2d\.(\w+)", r"trunk.inception_resnet_a.\1.linear.\2"),
        (r"repeat_1\.(\d+)\.conv2d\.(\w+)", r"trunk.inception_resnet_b.\1.linear.\2"),
        (r"repeat_2\.(\d+)\.conv2d\.(\w+)", r"trunk.inception_resnet_c.\1.linear.\2"),
        (r"block8\.conv2d\.(\w+)", r"trunk.inception_resnet_c.9.linear.\1"),
        (r"classif\.(\w+)", r"head.linear.\1"),
    )
}

WEIGHTS = (timm_weights("inception_resnet_v2", "inception_resnet_v2.tf_in1k", 80.434, 95.312, size=299, crop=0.8975),)

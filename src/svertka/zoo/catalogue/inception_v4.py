"""Inception-v4."""

from svertka.zoo.published import timm_weights
from svertka.zoo.records import NetRecord

NETS = (
    NetRecord(
        name="inception_v4",
        builder="svertka.nets.inception_v4:InceptionV4",
        year=2016,
        paper="Szegedy et al., Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning",
        image_size=299,
        parameters=42_679_816,
        smallest=75,
    ),
)

_POOLED = (r"branch3\.1", r"pool.1")
_INCEPTION_A = ((r"branch0", r"1x1.0"), (r"branch1\.(\d)", r"3x3.\1"), (r"branch2\.(\d)", r"3x3dbl.\1"), _POOLED)
_INCEPTION_B = ((r"branch0", r"1x1.0"), (r"branch1\.(\d)", r"7x7.\1"), (r"branch2\.(\d)", r"7x7dbl.\1"), _POOLED)
_INCEPTION_C = (
    (r"branch0", r"1x1.0"),
    (r"branch1_0", r"3x3.0"),
    (r"branch1_1a", r"3x3.1.1x3.0"),
    (r"branch1_1b", r"3x3.1.3x1.0"),
    (r"branch2_([012])", r"3x3dbl.\1"),
    (r"branch2_3a", r"3x3dbl.3.1x3.0"),
    (r"branch2_3b", r"3x3dbl.3.3x1.0"),
    _POOLED,
)
_BLOCKS = (
    (r"features\.([012])", r"trunk.stem1.\1"),
    (r"features\.3\.conv", r"trunk.stem2.3x3.0"),
    (r"features\.4\.branch0\.(\d)", r"trunk.stem3.3x3.\1"),
    (r"features\.4\.branch1\.(\d)", r"trunk.stem3.7x7.\1"),
    (r"features\.5\.conv", r"trunk.stem4.3x3.0"),
    *(
        (rf"features\.{6 + number}\.{theirs}", rf"trunk.inception_a.{number}.{ours}")
        for number in range(4)
        for theirs, ours in _INCEPTION_A
    ),
    (r"features\.10\.branch0", r"trunk.reduction_a.3x3.0"),
    (r"features\.10\.branch1\.(\d)", r"trunk.reduction_a.3x3dbl.\1"),
    *(
        (rf"features\.{11 + number}\.{theirs}", rf"trunk.inception_b.{number}.{ours}")
        for number in range(7)
        for theirs, ours in _INCEPTION_B
    ),
    (r"features\.18\.branch0\.(\d)", r"trunk.reduction_b.3x3.\1"),
    (r"features\.18\.branch1\.(\d)", r"trunk.reduction_b.7x7x3.\1"),
    *(
        (rf"features\.{19 + number}\.{theirs}", rf"trunk.inception_c.{number}.{ours}")
        for number in range(3)
        for theirs, ours in _INCEPTION_C
    ),
)

KEYS = {
    "timm": (
        *(
            (rf"{theirs}\.{part}\.(?P<value>\w+)", rf"{ours}.{name}.\g<value>")
            for theirs, ours in _BLOCKS
            for part, name in (("conv", "conv"), ("bn", "norm"))
        ),
        (r"last_linear\.(\w+)", r"head.linear.\1"),
    )
}

WEIGHTS = (timm_weights("inception_v4", "inception_v4.tf_in1k", 80.144, 94.982, size=299, crop=0.875),)

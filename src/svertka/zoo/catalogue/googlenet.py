"""GoogLeNet, as it is used today and as published."""

from svertka.zoo.published import caffe_weights, torchvision_weights
from svertka.zoo.records import NetRecord

_PAPER = "Szegedy et al., Going Deeper with Convolutions"

NETS = (
    NetRecord(
        name="googlenet",
        builder="svertka.nets.googlenet:GoogLeNet",
        arguments={"dropout": 0.2},
        year=2014,
        paper=_PAPER,
        image_size=224,
        parameters=6_624_904,
        smallest=15,
    ),
    NetRecord(
        name="googlenet_2014",
        builder="svertka.nets.googlenet:GoogLeNet",
        arguments={"as_published": True},
        year=2014,
        paper=_PAPER,
        image_size=224,
        parameters=6_998_552,
        smallest=31,
    ),
)

_BLOCKS = (
    (r"conv1", r"trunk.conv1"),
    (r"conv2", r"trunk.conv2.reduce"),
    (r"conv3", r"trunk.conv2.conv"),
    (r"inception(\d)(\w)\.branch1", r"trunk.inception\1.\2.1x1"),
    (r"inception(\d)(\w)\.branch2\.(\d)", r"trunk.inception\1.\2.3x3.\3"),
    (r"inception(\d)(\w)\.branch3\.(\d)", r"trunk.inception\1.\2.5x5.\3"),
    (r"inception(\d)(\w)\.branch4\.1", r"trunk.inception\1.\2.pool.1"),
    (r"aux1\.conv", r"auxiliary.a.conv"),
    (r"aux2\.conv", r"auxiliary.d.conv"),
)

KEYS = {
    "torchvision": (
        *(
            (rf"{theirs}\.{part}\.(?P<value>\w+)", rf"{ours}.{name}.\g<value>")
            for theirs, ours in _BLOCKS
            for part, name in (("conv", "conv"), ("bn", "norm"))
        ),
        (r"aux1\.fc1\.(\w+)", r"auxiliary.a.fc.\1"),
        (r"aux1\.fc2\.(\w+)", r"auxiliary.a.linear.\1"),
        (r"aux2\.fc1\.(\w+)", r"auxiliary.d.fc.\1"),
        (r"aux2\.fc2\.(\w+)", r"auxiliary.d.linear.\1"),
        (r"fc\.(\w+)", r"head.linear.\1"),
    ),
    "caffe": (
        (r"conv1/7x7_s2\.(\w+)", r"trunk.conv1.conv.\1"),
        (r"conv2/3x3_reduce\.(\w+)", r"trunk.conv2.reduce.conv.\1"),
        (r"conv2/3x3\.(\w+)", r"trunk.conv2.conv.conv.\1"),
        (r"inception_(\d)(\w)/1x1\.(\w+)", r"trunk.inception\1.\2.1x1.conv.\3"),
        (r"inception_(\d)(\w)/(\dx\d)_reduce\.(\w+)", r"trunk.inception\1.\2.\3.0.conv.\4"),
        (r"inception_(\d)(\w)/(\dx\d)\.(\w+)", r"trunk.inception\1.\2.\3.1.conv.\4"),
        (r"inception_(\d)(\w)/pool_proj\.(\w+)", r"trunk.inception\1.\2.pool.1.conv.\3"),
        (r"loss3/classifier\.(\w+)", r"head.linear.\1"),
        (r"loss[12]/.*", r""),  # the auxiliary classifiers
    ),
}

WEIGHTS = (
    torchvision_weights(
        "googlenet", "googlenet-1378be20.pth", 69.778, 89.53, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)
    ),
    caffe_weights("googlenet_2014", "bvlc_googlenet", "405fc5acd08a3bb12de8ee5e23a96bec22f08204", 0.687, 0.889),
)

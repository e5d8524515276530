"""SSD, as published and on any trunk."""

from svertka.zoo.registry import NetRecord

_PAPER = "Liu et al., SSD: Single Shot MultiBox Detector"
_VGG16 = {"net": "vgg16", "fully_connected": "atrous"}

NETS = (
    NetRecord(
        name="ssd300",
        kind="detector",
        builder="svertka.nets.ssd:SSD",
        arguments={"trunk": _VGG16, "image_size": 300},
        year=2016,
        paper=_PAPER,
        image_size=300,
        classes=90,
        parameters=35_641_826,
        smallest=32,
        one_size=True,
    ),
    NetRecord(
        name="ssd512",
        kind="detector",
        builder="svertka.nets.ssd:SSD",
        arguments={"trunk": _VGG16, "image_size": 512, "smallest": 0.04, "small": 0.1},
        year=2016,
        paper=_PAPER,
        image_size=512,
        classes=90,
        parameters=37_513_116,
        smallest=32,
        one_size=True,
    ),
    NetRecord(
        name="ssd",
        kind="detector",
        builder="svertka.nets.ssd:SSD",
        arguments={"trunk": {"net": "efficientnet_lite0"}},
        year=2016,
        paper=_PAPER,
        image_size=320,
        classes=20,
        parameters=8_635_950,
        smallest=1,
        one_size=True,
    ),
)

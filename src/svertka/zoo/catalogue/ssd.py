"""SSD, as published and on any trunk."""

from svertka.zoo.records import NetRecord

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
        smallest=1,
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
        smallest=1,
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
        parameters=8_641_886,
        smallest=1,
        one_size=True,
    ),
)

# torchvision numbers VGG's layers through, those without weights too.
_PLACES = {
    **{place: f"conv1.conv1_{number}" for number, place in enumerate((0, 2), 1)},
    **{place: f"conv2.conv2_{number}" for number, place in enumerate((5, 7), 1)},
    **{place: f"conv3.conv3_{number}" for number, place in enumerate((10, 12, 14), 1)},
    **{place: f"conv4.conv4_{number}" for number, place in enumerate((17, 19, 21), 1)},
}

KEYS = {
    "torchvision": (
        *((rf"backbone\.features\.{place}\.(\w+)", rf"trunk.{name}.\1") for place, name in _PLACES.items()),
        *((rf"backbone\.extra\.0\.{2 * number - 1}\.(\w+)", rf"trunk.conv5.conv5_{number}.\1") for number in (1, 2, 3)),
        (r"backbone\.extra\.0\.7\.1\.(\w+)", r"trunk.fc6.conv.\1"),
        (r"backbone\.extra\.0\.7\.3\.(\w+)", r"trunk.fc7.conv.\1"),
        (r"backbone\.scale_weight", r"decoder.norms.0.weight"),
        *((rf"backbone\.extra\.{number + 1}\.0\.(\w+)", rf"decoder.extra.{number}.conv1.\1") for number in range(4)),
        *((rf"backbone\.extra\.{number + 1}\.2\.(\w+)", rf"decoder.extra.{number}.conv2.\1") for number in range(4)),
        (r"head\.classification_head\.module_list\.(\d)\.(\w+)", r"decoder.classes.\1.\2"),
        (r"head\.regression_head\.module_list\.(\d)\.(\w+)", r"decoder.offsets.\1.\2"),
    ),
}
"""Of ssd300."""

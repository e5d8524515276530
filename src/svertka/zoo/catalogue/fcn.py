"""Fully convolutional networks."""

from typing import Any

from svertka.zoo.catalogue.resnet import torchvision_keys
from svertka.zoo.published import TORCHVISION_LICENCE, WeightsRecord
from svertka.zoo.records import NetRecord

_PAPER = "Long, Shelhamer, Darrell, Fully Convolutional Networks for Semantic Segmentation"


def _fcn(name: str, trunk: dict[str, Any], *, builder: str = "FCN", parameters: int, **record: Any) -> NetRecord:
    return NetRecord(
        name=name,
        kind="segmenter",
        builder=f"svertka.nets.fcn:{builder}",
        arguments={"trunk": trunk, **record.pop("arguments", {})},
        year=2015,
        paper=_PAPER,
        classes=21,
        parameters=parameters,
        **record,
    )


_VGG16 = {"net": "vgg16", "fully_connected": True}

NETS = (
    _fcn("fcn32s", _VGG16, arguments={"finest": 32}, image_size=500, parameters=134_346_581, smallest=32),
    _fcn("fcn16s", _VGG16, arguments={"finest": 16}, image_size=500, parameters=134_364_410, smallest=32),
    _fcn("fcn8s", _VGG16, arguments={"finest": 8}, image_size=500, parameters=134_376_863, smallest=32),
    _fcn(
        "fcn_resnet50",
        {"net": "resnet50", "arguments": {"output_stride": 8}},
        builder="DilatedFCN",
        image_size=520,
        parameters=32_957_013,
        smallest=1,
    ),
)

# Of fcn_resnet50; torchvision has none of the paper's.
KEYS = {
    "torchvision": (
        *torchvision_keys(r"backbone\."),
        (r"classifier\.0\.weight", r"decoder.layers.hidden.conv.weight"),
        (r"classifier\.1\.(\w+)", r"decoder.layers.hidden.norm.\1"),
        (r"classifier\.4\.(\w+)", r"decoder.layers.score.\1"),
        (r"aux_classifier\.0\.weight", r"auxiliary.layers.hidden.conv.weight"),
        (r"aux_classifier\.1\.(\w+)", r"auxiliary.layers.hidden.norm.\1"),
        (r"aux_classifier\.4\.(\w+)", r"auxiliary.layers.score.\1"),
    ),
}

WEIGHTS = (
    WeightsRecord(
        net="fcn_resnet50",
        name="coco_with_voc_labels_v1",
        source="torchvision",
        url="https://download.pytorch.org/models/fcn_resnet50_coco-1167a1af.pth",
        digest="sha256:1167a1af",
        licence=TORCHVISION_LICENCE,
        data="voc",
        top1=None,
        miou=0.605,
        pixel_accuracy=0.914,
        image_size=520,
        shorter=520,
    ),
)

"""Faster R-CNN, without and with a feature pyramid."""

from typing import Any

from svertka.zoo.catalogue.resnet import torchvision_keys
from svertka.zoo.records import NetRecord

_PAPER = "Ren et al., Faster R-CNN: Towards Real-Time Object Detection with Region Proposal Networks"


def _faster_rcnn(name: str, trunk: str, *, parameters: int, **record: Any) -> NetRecord:
    return NetRecord(
        name=name,
        kind="detector",
        builder="svertka.nets.faster_rcnn:FasterRCNN",
        arguments={"trunk": {"net": trunk}, **record.pop("arguments", {})},
        year=2015,
        paper=_PAPER,
        parameters=parameters,
        smallest=record.pop("smallest", 1),
        **record,
    )


NETS = (
    _faster_rcnn(
        "faster_rcnn_vgg16",
        "vgg16",
        arguments={"pyramid": False, "hidden": 4096},
        image_size=600,
        classes=20,
        parameters=137_089_012,
        smallest=32,
    ),
    _faster_rcnn(
        "faster_rcnn_resnet50_fpn",
        "resnet50",
        arguments={"proposals": 1000},
        image_size=800,
        classes=90,
        parameters=41_808_406,  # torchvision's 41,755,286, whose normalisations have 53,120 buffers in place of weights
    ),
    _faster_rcnn(
        "faster_rcnn",
        "efficientnet_lite0",
        arguments={"width": 96, "hidden": 512},  # at the paper's widths it would compute 16 times what the trunk does
        image_size=416,
        classes=20,
        parameters=6_653_304,
    ),
)

# Of faster_rcnn_resnet50_fpn.
KEYS = {
    "torchvision": (
        *torchvision_keys(r"backbone\.body\."),
        (r"backbone\.fpn\.inner_blocks\.(\d)\.0\.(\w+)", r"decoder.pyramid.lateral.\1.\2"),
        (r"backbone\.fpn\.layer_blocks\.(\d)\.0\.(\w+)", r"decoder.pyramid.smooth.\1.\2"),
        (r"rpn\.head\.conv\.0\.0\.(\w+)", r"decoder.sliding.conv.\1"),
        (r"rpn\.head\.cls_logits\.(\w+)", r"decoder.objectness.\1"),
        (r"rpn\.head\.bbox_pred\.(\w+)", r"decoder.ways.\1"),
        (r"roi_heads\.box_head\.fc(\d)\.(\w+)", r"decoder.looking.fc\1.\2"),
        (r"roi_heads\.box_predictor\.cls_score\.(\w+)", r"decoder.score.\1"),
        (r"roi_heads\.box_predictor\.bbox_pred\.(\w+)", r"decoder.offsets.\1"),
    ),
}

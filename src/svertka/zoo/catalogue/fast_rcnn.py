"""Fast R-CNN."""

from typing import Any

from svertka.zoo.records import NetRecord

_PAPER = "Girshick, Fast R-CNN"


def _fast_rcnn(name: str, trunk: str, *, parameters: int, **record: Any) -> NetRecord:
    return NetRecord(
        name=name,
        kind="detector",
        builder="svertka.nets.fast_rcnn:FastRCNN",
        arguments={"trunk": {"net": trunk}, **record.pop("arguments", {})},
        year=2015,
        paper=_PAPER,
        classes=20,
        parameters=parameters,
        regions=500,
        **record,
    )


NETS = (
    _fast_rcnn(
        "fast_rcnn_vgg16", "vgg16", arguments={"hidden": 4096}, image_size=600, parameters=134_690_729, smallest=32
    ),
    _fast_rcnn("fast_rcnn", "efficientnet_lite0", image_size=416, parameters=10_148_969, smallest=1),
)

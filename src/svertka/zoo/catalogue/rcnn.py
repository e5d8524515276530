"""R-CNN."""

from svertka.zoo.records import NetRecord

NETS = (
    NetRecord(
        name="rcnn",
        kind="detector",
        builder="svertka.nets.rcnn:RCNN",
        arguments={"trunk": {"net": "efficientnet_lite0"}},
        year=2014,
        paper="Girshick et al., Rich feature hierarchies for accurate object detection and semantic segmentation",
        image_size=416,
        classes=20,
        parameters=3_499_108,
        smallest=1,
        regions=200,
        fitted=True,
    ),
)

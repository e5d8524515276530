"""YOLO."""

from svertka.zoo.records import NetRecord

NETS = (
    NetRecord(
        name="yolo_v1",
        kind="detector",
        builder="svertka.nets.yolo_v1:YOLOv1",
        arguments={"trunk": {"net": "efficientnet_lite0"}},
        year=2016,
        paper="Redmon et al., You Only Look Once: Unified, Real-Time Object Detection",
        image_size=448,
        classes=20,
        parameters=22_444_478,
        smallest=1,
        one_size=True,
    ),
)

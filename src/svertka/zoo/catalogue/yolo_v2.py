"""YOLOv2."""

from svertka.zoo.records import NetRecord

NETS = (
    NetRecord(
        name="yolo_v2_darknet19",
        kind="detector",
        builder="svertka.nets.yolo_v2:YOLOv2",
        arguments={"trunk": {"net": "darknet19"}, "width": 1024},
        year=2017,
        paper="Redmon, Farhadi, YOLO9000: Better, Faster, Stronger",
        image_size=416,
        classes=20,
        parameters=50_655_389,
        smallest=32,
    ),
    NetRecord(
        name="yolo_v2",
        kind="detector",
        builder="svertka.nets.yolo_v2:YOLOv2",
        arguments={"trunk": {"net": "efficientnet_lite0"}},
        year=2017,
        paper="Redmon, Farhadi, YOLO9000: Better, Faster, Stronger",
        image_size=416,
        classes=20,
        parameters=8_130_557,
        smallest=1,
    ),
)

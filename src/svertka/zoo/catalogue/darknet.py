"""Darknet-19."""

from svertka.zoo.records import NetRecord

NETS = (
    NetRecord(
        name="darknet19",
        builder="svertka.nets.darknet:Darknet19",
        year=2017,
        paper="Redmon, Farhadi, YOLO9000: Better, Faster, Stronger",
        image_size=224,
        parameters=20_842_376,
        smallest=32,
    ),
)

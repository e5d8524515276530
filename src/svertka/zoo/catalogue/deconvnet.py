"""DeconvNet."""

from svertka.zoo.records import NetRecord

NETS = (
    NetRecord(
        name="deconvnet",
        kind="segmenter",
        builder="svertka.nets.deconvnet:DeconvNet",
        arguments={"trunk": {"net": "vgg16_bn"}},
        year=2015,
        paper="Noh, Hong, Han, Learning Deconvolution Network for Semantic Segmentation",
        image_size=224,
        classes=21,
        parameters=251_793_173,
        smallest=32,
    ),
)

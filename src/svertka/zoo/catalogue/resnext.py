"""ResNeXt."""

from svertka.zoo.catalogue import resnet
from svertka.zoo.published import IMAGENET_MEAN, IMAGENET_STD, timm_weights, torchvision_weights
from svertka.zoo.records import NetRecord


def _record(layers: int, depths: tuple[int, ...], *, parameters: int) -> NetRecord:
    return NetRecord(
        name=f"resnext{layers}_32x4d",
        builder="svertka.nets.resnext:ResNeXt",
        arguments={"depths": depths, "cardinality": 32, "width": 4},
        year=2016,
        paper="Xie et al., Aggregated Residual Transformations for Deep Neural Networks",
        image_size=224,
        parameters=parameters,
        smallest=1,
    )


NETS = (
    _record(50, (3, 4, 6, 3), parameters=25_028_904),
    _record(101, (3, 4, 23, 3), parameters=44_177_704),
)

KEYS = {source: resnet.KEYS[source] for source in ("torchvision", "timm")}

WEIGHTS = (
    torchvision_weights("resnext50_32x4d", "resnext50_32x4d-7cdf4587.pth", 77.618, 93.698),
    timm_weights(
        "resnext101_32x4d",
        "resnext101_32x4d.gluon_in1k",
        80.336,
        94.908,
        size=224,
        crop=0.875,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
    ),
)

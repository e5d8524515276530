"""MobileNet."""

from svertka.zoo.registry import NetRecord
from svertka.zoo.weights import timm_weights

NETS = (
    NetRecord(
        name="mobilenet",
        builder="svertka.nets.mobilenet:MobileNet",
        year=2017,
        paper="Howard et al., MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications",
        image_size=224,
        parameters=4_231_976,
        smallest=1,
    ),
)


def _timm() -> tuple[tuple[str, str], ...]:
    rules = [
        (r"conv_stem\.weight", r"trunk.conv1.conv.weight"),
        (r"bn1\.(\w+)", r"trunk.conv1.norm.\1"),
        (r"classifier\.(\w+)", r"head.linear.\1"),
    ]
    for stage in range(5):
        for block in range(6):
            theirs, ours = rf"blocks\.{stage}\.{block}", f"trunk.separable{stage + 1}.block{block + 1}"
            rules += [
                (rf"{theirs}\.conv_dw\.weight", rf"{ours}.depthwise.conv.weight"),
                (rf"{theirs}\.bn1\.(\w+)", rf"{ours}.depthwise.norm.\1"),
                (rf"{theirs}\.conv_pw\.weight", rf"{ours}.pointwise.conv.weight"),
                (rf"{theirs}\.bn2\.(\w+)", rf"{ours}.pointwise.norm.\1"),
            ]
    return tuple(rules)


KEYS = {"timm": _timm()}

WEIGHTS = (timm_weights("mobilenet", "mobilenetv1_100.ra4_e3600_r224_in1k", 75.388, 92.31, size=224, crop=0.875),)

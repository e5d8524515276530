"""Xception."""

from svertka.zoo.published import WeightsRecord
from svertka.zoo.records import NetRecord

NETS = (
    NetRecord(
        name="xception",
        builder="svertka.nets.xception:Xception",
        year=2016,
        paper="Chollet, Xception: Deep Learning with Depthwise Separable Convolutions",
        image_size=299,
        parameters=22_855_952,
        smallest=7,
    ),
)

_MODULES = (
    (r"block1", r"trunk.entry2"),
    (r"block2", r"trunk.entry3"),
    (r"block3", r"trunk.entry4"),
    *((rf"block{number + 4}", f"trunk.middle.{number}") for number in range(8)),
    (r"block12", r"trunk.exit1"),
)


def _module(theirs: str, ours: str) -> tuple[tuple[str, str], ...]:
    rules = [
        (rf"{theirs}\.skip\.weight", f"{ours}.shortcut.conv.weight"),
        (rf"{theirs}\.skipbn\.(\w+)", rf"{ours}.shortcut.norm.\1"),
    ]
    first = 0 if theirs == "block1" else 1  # a ReLU stands before the convolutions of the others
    for number in range(3):
        place, conv = first + 3 * number, f"{ours}.residual.conv{number + 1}"  # convolution, normalisation, ReLU
        rules += [
            (rf"{theirs}\.rep\.{place}\.conv1\.weight", f"{conv}.depthwise.weight"),
            (rf"{theirs}\.rep\.{place}\.pointwise\.weight", f"{conv}.pointwise.weight"),
            (rf"{theirs}\.rep\.{place + 1}\.(\w+)", rf"{conv}.norm.\1"),
        ]
    return tuple(rules)


KEYS = {
    "timm": (
        (r"conv1\.weight", r"trunk.entry1.0.conv.weight"),
        (r"bn1\.(\w+)", r"trunk.entry1.0.norm.\1"),
        (r"conv2\.weight", r"trunk.entry1.1.conv.weight"),
        (r"bn2\.(\w+)", r"trunk.entry1.1.norm.\1"),
        *(rule for theirs, ours in _MODULES for rule in _module(theirs, ours)),
        (r"conv3\.conv1\.weight", r"trunk.exit2.conv1.depthwise.weight"),
        (r"conv3\.pointwise\.weight", r"trunk.exit2.conv1.pointwise.weight"),
        (r"bn3\.(\w+)", r"trunk.exit2.conv1.norm.\1"),
        (r"conv4\.conv1\.weight", r"trunk.exit2.conv2.depthwise.weight"),
        (r"conv4\.pointwise\.weight", r"trunk.exit2.conv2.pointwise.weight"),
        (r"bn4\.(\w+)", r"trunk.exit2.conv2.norm.\1"),
        (r"fc\.(\w+)", r"head.linear.\1"),
    )
}

WEIGHTS = (
    WeightsRecord(
        net="xception",
        name="tf_in1k",
        source="timm",
        url="https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-cadene/xception-43020ad28.pth",
        digest="sha256:43020ad28",
        licence="Apache-2.0",
        top1=0.79058,
        top5=0.94396,
        image_size=299,
        shorter=333,
        interpolation="bicubic",
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
    ),
)

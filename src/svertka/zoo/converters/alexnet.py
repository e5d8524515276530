"""AlexNet of the Caffe zoo."""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor

from svertka.zoo.renaming import rename


def convert_caffe(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``bvlc_alexnet``, as ``conv1.weight`` … ``fc8.bias``, becomes ``alexnet_grouped``.

    Caffe divides by ``(1 + 2e-5 * s) ** 0.75`` where the paper has ``(2 + 1e-4 * s) ** 0.75``. Maps that are smaller
    by the square root of 0.4 make the second a constant multiple of the first, which the next convolution undoes.
    The images are BGR, from 0 to 255, less the mean of ImageNet.
    """
    ours = rename(
        state,
        ((r"(conv\d)\.(\w+)", r"trunk.\1.\1.\2"), (r"(fc\d\.\w+)", r"head.\1")),
    )
    smaller, undone = math.sqrt(0.4), 2**0.75 / math.sqrt(0.4)
    for key, factor in {
        "trunk.conv1.conv1.weight": smaller,
        "trunk.conv1.conv1.bias": smaller,
        "trunk.conv2.conv2.weight": undone * smaller,
        "trunk.conv2.conv2.bias": smaller,
        "trunk.conv3.conv3.weight": undone,
    }.items():
        ours[key] = ours[key] * factor
    return ours

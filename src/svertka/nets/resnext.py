"""ResNeXt.

S. Xie, R. Girshick, P. Dollár, Z. Tu, K. He, "Aggregated Residual Transformations for Deep Neural Networks",
CVPR 2017 (arXiv 2016).

New then: "cardinality", the number of equal paths that a block adds up, as a third dimension beside depth and width.
The paths are a grouped convolution (the paper's figure 3c), so that ResNeXt is ResNet with ``groups``; ResNeXt-50
32 × 4d has 32 paths, each 4 channels wide in ``conv2``, and costs what ResNet-50 costs.

Departures: none that matter; the strided layer is the grouped one, as in the authors' code.
"""

from __future__ import annotations

from collections.abc import Sequence

from svertka.layers.head import LinearHead
from svertka.layers.initialisation import he_normal
from svertka.layers.residual import Residual, bottleneck, residual_trunk
from svertka.layers.trunk import Classifier


class ResNeXt(Classifier):
    """ResNeXt, table 1.

    Args:
        depths: Number of blocks of ``conv2`` … ``conv5``.
        cardinality: Number of paths of a block.
        width: Channels of a path in ``conv2``; twice as many in every stage after it.
        classes: Number of classes.
        in_channels: Number of channels of the images.
    """

    def __init__(
        self,
        *,
        depths: Sequence[int] = (3, 4, 6, 3),
        cardinality: int = 32,
        width: int = 4,
        classes: int = 1000,
        in_channels: int = 3,
    ) -> None:
        def paths(inputs: int, outputs: int, stride: int) -> Residual:
            between = cardinality * width * outputs // 256
            return bottleneck(inputs, outputs, stride, width=between, groups=cardinality)

        trunk = residual_trunk(paths, depths, 256, in_channels=in_channels)
        super().__init__(trunk, LinearHead(256 * 2 ** (len(depths) - 1), classes), classes=classes)
        he_normal(self, "fan_out")

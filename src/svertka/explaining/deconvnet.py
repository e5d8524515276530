"""What in the images made a unit active, by a deconvolutional network.

M. Zeiler, R. Fergus, "Visualizing and Understanding Convolutional Networks", 2014.
"""

from __future__ import annotations

from torch import Tensor, nn

from svertka.explaining.rectifiers import Rectified
from svertka.explaining.running import Target, at_rest, gradient_of


def deconvnet(module: nn.Module, layer: nn.Module, target: Target, images: Tensor) -> Tensor:
    """The target projected back to the images, ``(N, C, H, W)``.

    Layer by layer from ``layer`` on, the signal is put back where each maximum was (the switches), rectified, and
    filtered by the transposed filters: the gradient's way back, but for the rectifiers. A normalisation scales, and a
    mean is spread evenly; the paper has neither.

    Args:
        module: The network.
        layer: What the target reads, such as a stage.
        target: Such as one unit, `svertka.explaining.targets.Unit`; all other units are taken for zero.
        images: ``(N, C, H, W)``.
    """
    with at_rest(module) as forward, Rectified("deconvnet"):
        return gradient_of(forward, layer, target, images)

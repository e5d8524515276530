"""Which pixels a score goes by, from its gradient.

In all of these, ``target`` reads the output of ``layer``: the module itself for its logits, a stage for one of its
channels or units. The images are ``(N, C, H, W)`` as the module takes them.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from svertka.explaining.rectifiers import Rectified
from svertka.explaining.running import Target, at_rest, gradient_of, usable


def gradient(module: nn.Module, layer: nn.Module, target: Target, images: Tensor) -> Tensor:
    """The gradient of the target with respect to the images, ``(N, C, H, W)``."""
    with at_rest(module) as forward:
        return gradient_of(forward, layer, target, images)


def saliency(module: nn.Module, layer: nn.Module, target: Target, images: Tensor) -> Tensor:
    """The largest absolute gradient over the channels of each pixel, ``(N, H, W)``.

    K. Simonyan, A. Vedaldi, A. Zisserman, "Deep Inside Convolutional Networks", 2014.
    """
    return gradient(module, layer, target, images).abs().amax(dim=1)


def guided_backpropagation(module: nn.Module, layer: nn.Module, target: Target, images: Tensor) -> Tensor:
    """The gradient, ``(N, C, H, W)``, when rectifiers hand back positive signals only, where they were active.

    J. Springenberg et al., "Striving for Simplicity: The All Convolutional Net", 2015.
    """
    with at_rest(module) as forward, Rectified("guided"):
        return gradient_of(forward, layer, target, images)


def integrated_gradients(
    module: nn.Module,
    layer: nn.Module,
    target: Target,
    images: Tensor,
    *,
    baseline: Tensor | None = None,
    steps: int = 50,
) -> Tensor:
    """The images less the baseline, times the mean gradient on the way between, ``(N, C, H, W)``.

    Their sum over an image is the target's difference between the two. Points are those of Gauss and Legendre.

    M. Sundararajan, A. Taly, Q. Yan, "Axiomatic Attribution for Deep Networks", 2017.

    Args:
        module, layer, target, images: See above.
        baseline: Images that show nothing; zeros if not given, which is the mean colour where images are normalised.
        steps: Points on the way.
    """
    images = usable(images)
    baseline = torch.zeros_like(images) if baseline is None else usable(baseline)
    points, weights = np.polynomial.legendre.leggauss(steps)
    total = torch.zeros_like(images)
    with at_rest(module) as forward:
        for point, weight in zip(((points + 1) / 2).tolist(), (weights / 2).tolist(), strict=True):
            between = baseline + point * (images - baseline)
            total += weight * gradient_of(forward, layer, target, between)
    return (images - baseline) * total

"""Where a class is in the image, by the maps of a layer.

R. Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization", 2017;
A. Chattopadhay et al., "Grad-CAM++: Improved Visual Explanations for Deep Convolutional Networks", 2018;
R. Draelos, L. Carin, "Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional neural networks",
2020.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from svertka.explaining.running import Target, as_maps, at_rest, run_through

_LEAST = 1e-6  # added where a denominator may be zero


def grad_cam(module: nn.Module, layer: nn.Module, target: Target, images: Tensor) -> Tensor:
    """The sum of the layer's maps, each weighed by its mean gradient, where it is positive: ``(N, h, w)``.

    Args:
        module: The network.
        layer: Whose maps are weighed; the last stage that has some is usual.
        target: Reads what the module gives.
        images: ``(N, C, H, W)``.
    """
    maps, gradients = _maps_and_gradients(module, layer, target, images)
    weights = gradients.mean(dim=(2, 3), keepdim=True)
    return (weights * maps).sum(dim=1).clamp(min=0)


def grad_cam_plus_plus(module: nn.Module, layer: nn.Module, target: Target, images: Tensor) -> Tensor:
    """As `grad_cam`, but a map is weighed by its positive gradients, those at few positions for more: ``(N, h, w)``."""
    maps, gradients = _maps_and_gradients(module, layer, target, images)
    squares = gradients.square()
    total = maps.sum(dim=(2, 3), keepdim=True)
    shares = squares / (2 * squares + total * squares * gradients + _LEAST)
    shares = torch.where(gradients != 0, shares, 0.0)
    weights = (gradients.clamp(min=0) * shares).sum(dim=(2, 3), keepdim=True)
    return (weights * maps).sum(dim=1).clamp(min=0)


def grad_cam_by_position(module: nn.Module, layer: nn.Module, target: Target, images: Tensor) -> Tensor:
    """The sum of the layer's maps, each position weighed by its own gradient, where it is positive: ``(N, h, w)``.

    It is what one box of several goes by, where `grad_cam` would show all that is like it; as HiResCAM has it.
    """
    maps, gradients = _maps_and_gradients(module, layer, target, images)
    return (gradients * maps).sum(dim=1).clamp(min=0)


def enlarged(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps ``(N, h, w)`` to height and width ``size`` of the images, bilinearly."""
    return F.interpolate(maps[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]


def _maps_and_gradients(module: nn.Module, layer: nn.Module, target: Target, images: Tensor) -> tuple[Tensor, Tensor]:
    with at_rest(module) as forward:
        output, leaf = run_through(forward, layer, images)
        # A head need not read the last stage, which then says nothing of the target.
        (gradient,) = torch.autograd.grad(target(output).sum(), leaf, allow_unused=True, materialize_grads=True)
    return as_maps(leaf.detach()), as_maps(gradient)

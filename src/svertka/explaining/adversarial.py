"""Images that are changed so little that nobody sees it, and so that the network errs.

The images are pixels ``(N, C, H, W)`` from 0 to 1, and so is ``epsilon``, the most that a pixel may change: 8/255 are
eight of the 256 levels of an image file. What comes out are whole levels, so that a file can hold it; `Normalised`
makes a module that takes pixels. ``target`` reads the output of ``layer`` and is raised: see
`svertka.explaining.targets.CrossEntropy`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from svertka.explaining.running import Forward, Target, at_rest, gradient_of, usable

_LEVELS = 255


class Normalised(nn.Module):
    """A module that takes pixels from 0 to 1 in place of normalised images.

    Args:
        module: What takes normalised images.
        mean, std: By channel, in units where white is 1.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, module: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.module = module
        self.register_buffer("mean", torch.tensor(mean)[:, None, None])
        self.register_buffer("std", torch.tensor(std)[:, None, None])

    def forward(self, pixels: Tensor) -> Tensor:
        output: Tensor = self.module((pixels - self.mean) / self.std)
        return output


def fgsm(module: nn.Module, layer: nn.Module, target: Target, images: Tensor, *, epsilon: float) -> Tensor:
    """One step to where the target rises, the same for every pixel.

    I. Goodfellow, J. Shlens, C. Szegedy, "Explaining and Harnessing Adversarial Examples", 2015.
    """
    images = usable(images)
    with at_rest(module) as forward:
        step = epsilon * gradient_of(forward, layer, target, images).sign()
    return _near(images + step, images, epsilon)


def pgd(
    module: nn.Module,
    layer: nn.Module,
    target: Target,
    images: Tensor,
    *,
    epsilon: float,
    steps: int = 10,
    seed: int = 0,
) -> Tensor:
    """Many small steps, from a random place nearby, each brought back to within ``epsilon``.

    A. Madry et al., "Towards Deep Learning Models Resistant to Adversarial Attacks", 2018.
    """
    images = usable(images)
    noise = torch.rand(images.shape, generator=torch.Generator().manual_seed(seed))
    found = images + epsilon * (2 * noise - 1)
    with at_rest(module) as forward:
        for _ in range(steps):
            found = found.clamp(0, 1)
            found = found + 2.5 * epsilon / steps * gradient_of(forward, layer, target, found).sign()
            found = images + (found - images).clamp(-epsilon, epsilon)
    return _near(found, images, epsilon)


def universal(
    module: nn.Module,
    layer: nn.Module,
    batches: Sequence[tuple[Tensor, Target]],
    *,
    epsilon: float,
    rounds: int = 5,
) -> Tensor:
    """One change ``(C, H, W)`` for all images, found by steps to where the sum of their targets rises.

    S.-M. Moosavi-Dezfooli et al., "Universal Adversarial Perturbations", 2017; found as in A. Shafahi et al.,
    "Universal Adversarial Training", 2020.

    Args:
        module: The network.
        layer: What the targets read.
        batches: Images to find it by, each with its target; it is to be judged by others.
        epsilon: The most that a pixel may change.
        rounds: How often they are all gone through.
    """
    change = torch.zeros_like(usable(batches[0][0])[0])
    with at_rest(module) as forward:
        for number in range(rounds):
            for images, target in batches:
                slope = _slope(forward, layer, target, (usable(images) + change).clamp(0, 1))
                change = (change + epsilon / (1 + number) * slope.sign()).clamp(-epsilon, epsilon)
    return (change * _LEVELS).round() / _LEVELS


def shifted(images: Tensor, change: Tensor) -> Tensor:
    """Images ``(N, C, H, W)`` with a change ``(C, H, W)``, between black and white."""
    return ((usable(images) + change).clamp(0, 1) * _LEVELS).round() / _LEVELS


def noisy(images: Tensor, *, epsilon: float, seed: int = 0) -> Tensor:
    """Every pixel up or down by ``epsilon`` at random: what a change of this size does that nobody has thought out."""
    images = usable(images)
    signs = torch.rand(images.shape, generator=torch.Generator().manual_seed(seed)).sub(0.5).sign()
    return _near(images + epsilon * signs, images, epsilon)


def _slope(forward: Forward, layer: nn.Module, target: Target, images: Tensor) -> Tensor:
    return gradient_of(forward, layer, target, images).sum(dim=0)


def _near(found: Tensor, images: Tensor, epsilon: float) -> Tensor:
    found = (found.clamp(0, 1) * _LEVELS).round() / _LEVELS
    # Rounding may have gone a little too far where epsilon is no whole number of levels.
    levels = int(epsilon * _LEVELS + 1e-6) / _LEVELS
    return images + (found - images).clamp(-levels, levels)

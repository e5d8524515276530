"""Images made up so that they excite a channel or a class: what it looks for, by itself.

D. Erhan et al., "Visualizing Higher-Layer Features of a Deep Network", 2009; regularised as in J. Yosinski et al.,
"Understanding Neural Networks Through Deep Visualization", 2015, and with A. Mordvintsev's jitter.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from svertka.explaining.running import Target, at_rest, gradient_of, usable

_BLUR_EVERY = 4  # steps
_DECAY = 0.01  # of what is farther from grey, a step
_JITTER = 16  # a sixteenth of the side, to each direction


def maximise(
    module: nn.Module,
    layer: nn.Module,
    target: Target,
    images: Tensor,
    *,
    low: Tensor,
    high: Tensor,
    steps: int = 64,
    rate: float = 0.05,
    regularise: bool = True,
    seed: int = 0,
) -> Tensor:
    """Images that begin as ``images`` and climb the target, ``(N, C, H, W)``.

    Args:
        module: The network.
        layer: What the target reads: a stage for its channels, the module itself for a class.
        target: The score.
        images: To begin from, such as grey with a little noise.
        low, high: What black and white are to the module, by channel, ``(C,)``; between them the images stay.
        steps: Of gradient ascent.
        rate: Of a step, as a share of the range between black and white.
        regularise: Shift the images at random before each step, let them fade towards grey, and blur them now and then:
            else what excites most is noise that no camera takes.
        seed: Of the shifts.
    """
    low, span = low[:, None, None], (high - low)[:, None, None]
    images = usable(images)
    generator = torch.Generator().manual_seed(seed)
    reach = max(1, min(images.shape[-2:]) // _JITTER)
    with at_rest(module) as forward:
        for step in range(steps):
            shift: tuple[int, ...] = (0, 0)
            if regularise:
                shift = tuple(torch.randint(-reach, reach + 1, (2,), generator=generator).tolist())
            moved = images.roll(shift, dims=(2, 3))
            slope = gradient_of(forward, layer, target, moved).roll((-shift[0], -shift[1]), dims=(2, 3))
            slope = slope / slope.square().mean(dim=(1, 2, 3), keepdim=True).sqrt().clamp(min=1e-12)
            pixels = (images - low) / span + rate * slope
            if regularise:
                pixels = 0.5 + (1 - _DECAY) * (pixels - 0.5)
                if step % _BLUR_EVERY == _BLUR_EVERY - 1 and step < steps - 1:
                    pixels = _blurred(pixels)
            images = low + span * pixels.clamp(0, 1)
    return images


def _blurred(pixels: Tensor) -> Tensor:
    # A binomial kernel over three pixels, along rows and columns.
    line = pixels.new_tensor([0.25, 0.5, 0.25])
    kernel = (line[:, None] * line).expand(pixels.shape[1], 1, 3, 3)
    return F.conv2d(F.pad(pixels, (1, 1, 1, 1), mode="replicate"), kernel, groups=pixels.shape[1])

"""What is to be explained: a score an image, read off the output of a layer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from svertka.explaining.running import as_maps


@dataclass(frozen=True, eq=False)
class ClassLogit:
    """The logit of a class; where every pixel has one, their sum.

    Attributes:
        classes: The class of each image, ``(N,)`` int64.
        pixels: Which pixels count, ``(N, H, W)``; all if not given.
    """

    classes: Tensor
    pixels: Tensor | None = None

    def __call__(self, output: Tensor) -> Tensor:
        """From logits ``(N, K)`` or ``(N, K, H, W)``."""
        places = self.classes.view(-1, *[1] * (output.ndim - 1)).expand(-1, 1, *output.shape[2:])
        logits = output.gather(1, places).squeeze(1)
        if self.pixels is not None:
            logits = logits * self.pixels
        return logits.flatten(1).sum(1) if logits.ndim > 1 else logits


@dataclass(frozen=True, eq=False)
class Unit:
    """One unit of a layer's maps.

    Attributes:
        channels, rows, columns: Where it stands, of each image, ``(N,)`` int64.
    """

    channels: Tensor
    rows: Tensor
    columns: Tensor

    def __call__(self, output: Tensor) -> Tensor:
        """From maps ``(N, C, H, W)``, or ``(N, C)``."""
        maps = as_maps(output)
        batch = torch.arange(len(maps), device=maps.device)
        return maps[batch, self.channels, self.rows, self.columns]


@dataclass(frozen=True, eq=False)
class ChannelMean:
    """The mean over all positions of a channel.

    Attributes:
        channels: That of each image, ``(N,)`` int64.
    """

    channels: Tensor

    def __call__(self, output: Tensor) -> Tensor:
        """From maps ``(N, C, H, W)``, or ``(N, C)``."""
        means = as_maps(output).mean(dim=(2, 3))
        return means.gather(1, self.channels[:, None]).squeeze(1)


@dataclass(frozen=True, eq=False)
class CrossEntropy:
    """How wrong the logits are: what an attack raises.

    Attributes:
        truth: The class of each image, ``(N,)`` int64, or of each pixel, ``(N, H, W)``; or whether each of several
            labels is there, ``(N, K)`` of floating point, for which the binary cross-entropy is taken.
    """

    truth: Tensor

    def __call__(self, output: Tensor) -> Tensor:
        """From logits ``(N, K)`` or ``(N, K, H, W)``; the mean over pixels or labels."""
        if self.truth.is_floating_point():
            losses = F.binary_cross_entropy_with_logits(output, self.truth, reduction="none")
        else:
            losses = F.cross_entropy(output, self.truth, reduction="none")
        return losses.flatten(1).mean(1) if losses.ndim > 1 else losses

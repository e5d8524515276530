"""What is to be explained: a score an image, read off the output of a layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

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


class Boxes(Protocol):
    """What a network that finds objects says of images."""

    def found(self) -> Any:
        """An object with ``boxes``, ``(N, A, 4)`` or one for each class, ``(N, A, K, 4)``, and ``scores`` up to 1."""
        ...

    def evidence(self) -> Tensor:
        """What speaks for every class in each box, ``(N, A, K)``."""
        ...


@dataclass(frozen=True, eq=False)
class BoxLogit:
    """What speaks for a class in the box that is meant.

    When the image changes, so do the boxes. The one that is meant is then that of which its score, times its
    intersection over union with what it was before, is the largest: as in V. Petsiuk et al., "Black-box Explanation of
    Object Detectors via Saliency Maps", 2021.

    Attributes:
        classes: The class, of each image, ``(N,)`` int64.
        boxes: Left, top, right and bottom of the box that is meant, ``(N, 4)``, in shares of the image.
    """

    classes: Tensor
    boxes: Tensor

    def __call__(self, output: Boxes) -> Tensor:
        """From what the network says."""
        found, evidence = output.found(), output.evidence()
        scores = []
        for number, (label, box) in enumerate(zip(self.classes.tolist(), self.boxes, strict=True)):
            boxes = found.boxes[number] if found.boxes.ndim == 3 else found.boxes[number, :, label]
            with torch.no_grad():
                place = (_overlaps(boxes, box) * found.scores[number, :, label]).argmax()
            scores.append(evidence[number, place, label])
        return torch.stack(scores)

    def box(self, number: int) -> tuple[float, float, float, float]:
        """The one that is meant in an image, so far as it lies within."""
        left, top, right, bottom = self.boxes[number].clamp(0, 1).tolist()
        return left, top, right, bottom


def _overlaps(boxes: Tensor, box: Tensor) -> Tensor:
    """Of each of ``boxes`` ``(A, 4)`` with ``box`` ``(4,)``, intersection over union."""
    from torchvision.ops import box_iou  # it takes a second, which those who want no boxes are spared

    return torch.nan_to_num(box_iou(boxes, box[None])[:, 0])


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

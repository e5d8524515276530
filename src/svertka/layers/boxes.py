"""Boxes as numbers that a network can learn: relative to anchors.

A box is ``left, top, right, bottom``, in fractions of the image's width and height unless said otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

VARIANCES = (0.1, 0.1, 0.2, 0.2)
"""What offsets are divided by in SSD, and in the second stage of Faster R-CNN, so that they are about one."""

_LARGEST = math.log(1000 / 16)  # as in Detectron and torchvision: no infinite boxes


def centred(boxes: Tensor) -> Tensor:
    """``(…, 4)`` left, top, right, bottom to the middle's x and y, width and height."""
    from torchvision.ops import box_convert  # it takes a second, which those who want no boxes are spared

    converted: Tensor = box_convert(boxes, "xyxy", "cxcywh")
    return converted


def cornered(boxes: Tensor) -> Tensor:
    """The opposite of `centred`."""
    from torchvision.ops import box_convert

    converted: Tensor = box_convert(boxes, "cxcywh", "xyxy")
    return converted


def iou(boxes: Tensor, others: Tensor) -> Tensor:
    """Of each of ``boxes`` ``(K, 4)`` and ``others`` ``(A, 4)``, intersection over union: ``(K, A)``."""
    from torchvision.ops import box_iou

    shares: Tensor = box_iou(boxes, others)
    return shares


def encode(boxes: Tensor, anchors: Tensor, variances: Sequence[float] = (1.0, 1.0, 1.0, 1.0)) -> Tensor:
    """The offsets ``(…, 4)`` from anchors to boxes, both ``(…, 4)`` and with an area.

    They are the way between the middles, in widths and heights of the anchor, and the logarithms of how much wider and
    higher the box is; each divided by its variance.

    R. Girshick et al., "Rich feature hierarchies for accurate object detection and semantic segmentation", 2014,
    appendix C.
    """
    wanted, given = centred(boxes), centred(anchors)
    ways = (wanted[..., :2] - given[..., :2]) / given[..., 2:]
    offsets = torch.cat([ways, torch.log(wanted[..., 2:] / given[..., 2:])], dim=-1)
    return offsets / offsets.new_tensor(variances)


def decode(offsets: Tensor, anchors: Tensor, variances: Sequence[float] = (1.0, 1.0, 1.0, 1.0)) -> Tensor:
    """The opposite of `encode`; a box is at most 62.5 times as wide and as high as its anchor."""
    given = centred(anchors)
    scaled = offsets * offsets.new_tensor(variances)
    middles = given[..., :2] + scaled[..., :2] * given[..., 2:]
    return cornered(torch.cat([middles, given[..., 2:] * growth(scaled[..., 2:])], dim=-1))


def growth(logarithms: Tensor) -> Tensor:
    """How much larger than another side a side is, by the logarithm of that; at most 62.5 times."""
    return logarithms.clamp(max=_LARGEST).exp()

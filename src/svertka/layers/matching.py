"""Which object an anchor is to find."""

from __future__ import annotations

import torch
from torch import Tensor

BACKGROUND, IGNORED = -1, -2
"""An anchor that is to find nothing, and one of which nothing is to be learnt."""

_CROWDED = 0.7  # of an anchor that lies in a crowd: whatever it finds there may be right


def bipartite(overlaps: Tensor, threshold: float) -> Tensor:
    """Every object gets an anchor of its own, and every other anchor the object that it overlaps enough.

    The object and the anchor that overlap most are taken first, then those among what is left.

    W. Liu et al., "SSD: Single Shot MultiBox Detector", 2016, section 2.2.

    Args:
        overlaps: IoU of objects and anchors, ``(objects, anchors)``.
        threshold: From which IoU on an anchor is to find an object that is not its own.

    Returns:
        The number of an object for each anchor, or `BACKGROUND`: ``(anchors,)`` int64.
    """
    objects, anchors = overlaps.shape
    if not objects:
        return torch.full((anchors,), BACKGROUND, device=overlaps.device)
    best, matches = overlaps.max(dim=0)
    matches = torch.where(best >= threshold, matches, BACKGROUND)
    left = overlaps.clone()
    for _ in range(min(objects, anchors)):
        number, anchor = divmod(int(left.argmax()), anchors)
        matches[anchor] = number
        left[number] = -1
        left[:, anchor] = -1
    return matches


def by_thresholds(overlaps: Tensor, low: float, high: float, *, keep_best: bool) -> Tensor:
    """Every anchor gets the object that it overlaps most, if that is enough.

    S. Ren et al., "Faster R-CNN: Towards Real-Time Object Detection with Region Proposal Networks", 2015.

    Args:
        overlaps: IoU of objects and anchors, ``(objects, anchors)``.
        low: Below this IoU, an anchor is background.
        high: From this IoU on, it is to find the object; in between it is ignored.
        keep_best: Let those that overlap an object more than all other anchors do find something however low that is.

    Returns:
        The number of an object for each anchor, `BACKGROUND` or `IGNORED`: ``(anchors,)`` int64.
    """
    objects, anchors = overlaps.shape
    if not objects:
        return torch.full((anchors,), BACKGROUND, device=overlaps.device)
    best, nearest = overlaps.max(dim=0)
    matches = torch.where(best >= high, nearest, torch.where(best < low, BACKGROUND, IGNORED))
    if keep_best:
        highest = overlaps == overlaps.amax(dim=1, keepdim=True)
        matches = torch.where(highest.any(dim=0), nearest, matches)
    return matches


def in_crowds(anchors: Tensor, crowds: Tensor) -> Tensor:
    """Which anchors ``(A, 4)`` lie mostly within one of these crowds ``(K, 4)``: ``(A,)`` bool."""
    corners = torch.maximum(anchors[:, None, :2], crowds[:, :2]), torch.minimum(anchors[:, None, 2:], crowds[:, 2:])
    shared = (corners[1] - corners[0]).clamp(min=0).prod(dim=2)
    areas = (anchors[:, 2:] - anchors[:, :2]).prod(dim=1, keepdim=True)
    return (shared > _CROWDED * areas).any(dim=1)

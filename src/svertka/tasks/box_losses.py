"""How the kinds of `svertka.layers.detector` are learnt: the losses as published, each for what a decoder says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import box_iou

from svertka.layers.boxes import VARIANCES, centred, encode
from svertka.layers.detector import Cells, MultiBox
from svertka.layers.matching import BACKGROUND, bipartite, in_crowds

COUNTED, DIFFICULT, CROWD = 0, 1, 2
"""What kind of box a target is: one like others, one that does not count when judged, many objects in one."""

ABSENT = -1
"""The class of a target that is there to fill a batch only."""

# Of SSD.
_MATCHED = 0.5  # IoU from which on an anchor is to find an object
_NEGATIVES = 3  # for each positive
# Of YOLOv2, as its code has them.
_GOOD = 0.6  # IoU from which on a box that is not responsible for an object is not held against the network
_OBJECT, _NO_OBJECT, _PLACE, _CLASS = 5.0, 1.0, 1.0, 1.0


class Truth(NamedTuple):
    """The objects in an image.

    Attributes:
        boxes: ``(M, 4)``, as fractions of the image's width and height.
        labels: Number of the class of each, ``(M,)`` int64.
        crowds: Boxes with many objects, none of which is told, ``(K, 4)``.
    """

    boxes: Tensor
    labels: Tensor
    crowds: Tensor


def truths(targets: Tensor) -> list[Truth]:
    """The objects in every image, from targets ``(N, M, 6)``: class, left, top, right, bottom, kind of box."""
    found = []
    for rows in targets:
        there = rows[rows[:, 0] != ABSENT]
        crowd = there[:, 5] == CROWD
        objects = there[~crowd]
        found.append(Truth(objects[:, 1:5], objects[:, 0].long(), there[crowd, 1:5]))
    return found


def box_losses(said: Any, truth: Sequence[Truth]) -> dict[str, Tensor]:
    """The loss terms of what a decoder says of images, by what is in these.

    Args:
        said: One of the kinds of `svertka.layers.detector`.
        truth: Of each image.
    """
    return _LOSSES[type(said)](said, truth)


def multibox(said: MultiBox, truth: Sequence[Truth]) -> dict[str, Tensor]:
    """Cross-entropy and smooth L1 of SSD, each a sum over anchors, for each anchor that is to find an object.

    Of the others, the three times as many with the largest loss count. They are taken from the whole batch, so that
    images without objects are learnt from too; the paper takes them from each image.
    """
    logits, offsets = said.logits.float(), said.offsets.float()
    wanted = torch.zeros(logits.shape[:2], dtype=torch.int64, device=logits.device)
    ignored = torch.zeros_like(wanted, dtype=torch.bool)
    places = offsets.new_zeros(())
    for number, (boxes, labels, crowds) in enumerate(truth):
        matches = bipartite(box_iou(boxes, said.anchors), _MATCHED)
        ignored[number] = in_crowds(said.anchors, crowds) & (matches == BACKGROUND)
        positive = matches != BACKGROUND
        wanted[number, positive] = labels[matches[positive]] + 1
        goal = encode(boxes[matches[positive]], said.anchors[positive], VARIANCES)
        places = places + F.smooth_l1_loss(offsets[number, positive], goal, reduction="sum")
    entropy = F.cross_entropy(logits.transpose(1, 2), wanted, reduction="none")
    positive = wanted > 0
    count = int(positive.sum())
    hardness = entropy.detach().masked_fill(positive | ignored, -1).flatten()
    hardest = hardness.topk(min(_NEGATIVES * max(count, len(truth)), hardness.numel())).indices
    chosen = positive.flatten()
    chosen[hardest] |= hardness[hardest] >= 0
    total = max(count, 1)
    return {"classification": entropy.flatten()[chosen].sum() / total, "localisation": places / total}


def cells(said: Cells, truth: Sequence[Truth]) -> dict[str, Tensor]:
    """The loss of YOLOv2: each term a sum over priors, the mean over images.

    For an object, the prior of the most similar shape is responsible in the cell where its middle lies; its objectness
    is to be its IoU with the object. That of other priors is to be zero, unless their boxes happen to be good.
    """
    boxes, offsets = said.boxes(), said.offsets.float()
    objectness = said.objectness.float().sigmoid()
    zero = offsets.new_zeros(())
    terms = {"objectness": zero, "background": zero, "localisation": zero, "classification": zero}
    for number, (wanted, labels, crowds) in enumerate(truth):
        overlaps = box_iou(boxes[number].detach(), wanted)
        silent = in_crowds(boxes[number].detach(), crowds)
        if len(wanted):
            silent |= overlaps.amax(dim=1) > _GOOD
        chosen = _responsible(said, wanted)
        silent[chosen] = True
        terms["background"] = terms["background"] + _NO_OBJECT * objectness[number, ~silent].square().sum()
        if not len(wanted):
            continue
        found = overlaps[chosen, torch.arange(len(wanted), device=overlaps.device)]
        terms["objectness"] = terms["objectness"] + _OBJECT * (objectness[number, chosen] - found).square().sum()
        goal = centred(wanted)
        within = ((goal[:, :2] - said.corners[chosen]) / said.cell).clamp(0, 1)
        growth = (goal[:, 2:] / said.priors[chosen]).log()
        mine = torch.cat([offsets[number, chosen, :2].sigmoid(), offsets[number, chosen, 2:]], dim=1)
        small = 2 - goal[:, 2:].prod(dim=1, keepdim=True)  # so that small boxes count as much as large ones
        away = (mine - torch.cat([within, growth], dim=1)).square()
        terms["localisation"] = terms["localisation"] + _PLACE * (small * away).sum()
        entropy = F.cross_entropy(said.logits[number, chosen].float(), labels, reduction="sum")
        terms["classification"] = terms["classification"] + _CLASS * entropy
    return {name: value / len(truth) for name, value in terms.items()}


def _responsible(said: Cells, wanted: Tensor) -> Tensor:
    """Which prior of which cell is responsible for each object ``(M, 4)``: ``(M,)``."""
    middles, sides = centred(wanted).split(2, dim=1)
    away = (middles[:, None] - said.corners) / said.cell
    inside = ((away >= 0) & (away < 1)).all(dim=2)
    # As if their middles were the same.
    shared = torch.minimum(sides[:, None], said.priors).prod(dim=2)
    alike = shared / (sides.prod(dim=1, keepdim=True) + said.priors.prod(dim=1) - shared)
    chosen: Tensor = alike.masked_fill(~inside, -1).argmax(dim=1)
    return chosen


_LOSSES: dict[type, Callable[[Any, Sequence[Truth]], dict[str, Tensor]]] = {MultiBox: multibox, Cells: cells}

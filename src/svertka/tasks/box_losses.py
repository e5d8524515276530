"""How the kinds of `svertka.layers.detector` are learnt: the losses as published, each for what a decoder says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from svertka.layers.boxes import VARIANCES, centred, encode, iou
from svertka.layers.detector import Cells, Grid, Looked, MultiBox, Regions
from svertka.layers.matching import BACKGROUND, IGNORED, bipartite, by_thresholds, in_crowds

COUNTED, DIFFICULT, CROWD, PROPOSED = 0, 1, 2, 3
"""What kind of box a target is: one like others, one that does not count when judged, many objects in one; or no object
but a region that was proposed to the network."""

ABSENT = -1
"""The class of a target that is there to fill a batch only."""

# Of YOLO.
_COORD, _NOOBJ = 5.0, 0.5
# Of SSD.
_MATCHED = 0.5  # IoU from which on an anchor is to find an object
_NEGATIVES = 3  # for each positive
# Of YOLOv2, as its code has them.
_GOOD = 0.6  # IoU from which on a box that is not responsible for an object is not held against the network
_OBJECT, _NO_OBJECT, _PLACE, _CLASS = 5.0, 1.0, 1.0, 1.0

# Of Faster R-CNN.
_ANCHOR_LOW, _ANCHOR_HIGH = 0.3, 0.7  # IoU of an anchor that is background, and of one that is an object
_ANCHORS, _REGIONS = 256, 128  # of an image that are learnt from, at most
_ANCHORS_RIGHT, _REGIONS_RIGHT = 0.5, 0.25  # share of these that show an object, at most
_REGION = 0.5  # IoU from which on a region shows an object
NEAR = 0.1  # IoU with an object that a region must have to be told from it, in Fast R-CNN
_ROUND = 1 / 9  # up to where the loss of a place is round


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
        objects = there[~crowd & (there[:, 5] != PROPOSED)]
        found.append(Truth(objects[:, 1:5], objects[:, 0].long(), there[crowd, 1:5]))
    return found


def proposals(targets: Tensor) -> Tensor:
    """The regions that were proposed of every image, ``(N, R, 4)``; without area where there are fewer.

    R is 0 where none were proposed.
    """
    there = (targets[..., 0] != ABSENT) & (targets[..., 5] == PROPOSED)
    order = there.int().argsort(dim=1, descending=True, stable=True)[:, : int(there.sum(dim=1).max())]
    return (targets[..., 1:5] * there[..., None]).gather(1, order[..., None].expand(-1, -1, 4))


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
        matches = bipartite(iou(boxes, said.anchors), _MATCHED)
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


def grid(said: Grid, truth: Sequence[Truth]) -> dict[str, Tensor]:
    """The loss of YOLO: squared differences, each term a sum over cells, the mean over images.

    The cell in which an object's middle lies finds one object; of its boxes, the one that overlaps the object most is
    responsible for it (the most similar one where none overlaps it), and is to be as sure as it overlaps. All other
    boxes are to be sure of nothing.
    """
    boxes, confidences = said.boxes(), said.confidences.float()
    zero = confidences.new_zeros(())
    terms = {"objectness": zero, "background": zero, "localisation": zero, "classification": zero}
    for number, (wanted, labels, crowds) in enumerate(truth):
        silent = in_crowds(boxes[number].detach().flatten(0, 1), crowds).reshape(confidences.shape[1:])
        cell, first = _cells_of(said, wanted)
        wanted, labels = wanted[first], labels[first]
        goal = centred(wanted)
        goal = torch.cat([(goal[:, :2] - said.corners[cell]) / said.cell, goal[:, 2:].sqrt()], dim=1)
        away = (said.sides[number, cell].float() - goal[:, None]).square().sum(dim=2)
        rows = torch.arange(len(wanted), device=cell.device)
        every = iou(boxes[number, cell].detach().flatten(0, 1), wanted)
        overlaps = every.reshape(len(wanted), confidences.shape[2], len(wanted))[rows, :, rows]
        best = torch.where(overlaps.amax(dim=1) > 0, overlaps.argmax(dim=1), away.argmin(dim=1))
        silent[cell, best] = True
        terms["localisation"] = terms["localisation"] + _COORD * away[rows, best].sum()
        sure = (confidences[number, cell, best] - overlaps[rows, best]).square().sum()
        terms["objectness"] = terms["objectness"] + sure
        terms["background"] = terms["background"] + _NOOBJ * confidences[number, ~silent].square().sum()
        probabilities = said.probabilities[number, cell].float()
        right = F.one_hot(labels, probabilities.shape[1])
        terms["classification"] = terms["classification"] + (probabilities - right).square().sum()
    return {name: value / len(truth) for name, value in terms.items()}


def _cells_of(said: Grid, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """In which cells objects ``(M, 4)`` have their middles, and the first in each, by number: ``(K,)`` twice."""
    columns, rows = (1 / said.cell).round().long().tolist()
    x, y = (centred(wanted)[:, :2] / said.cell).long().unbind(dim=1)
    places = (y.clamp(max=rows - 1) * columns + x.clamp(max=columns - 1)).tolist()
    firsts = {place: number for number, place in reversed(list(enumerate(places)))}
    found = torch.tensor(list(firsts.items()), dtype=torch.int64, device=wanted.device).reshape(-1, 2)
    return found[:, 0], found[:, 1]


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
        overlaps = iou(boxes[number].detach(), wanted)
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
    goal = centred(wanted)
    middles, sides = goal[:, :2], goal[:, 2:]
    away = (middles[:, None] - said.corners) / said.cell
    inside = ((away >= 0) & (away < 1)).all(dim=2)
    # As if their middles were the same.
    shared = torch.minimum(sides[:, None], said.priors).prod(dim=2)
    alike = shared / (sides.prod(dim=1, keepdim=True) + said.priors.prod(dim=1) - shared)
    chosen: Tensor = alike.masked_fill(~inside, -1).argmax(dim=1)
    return chosen


def regions(said: Regions, truth: Sequence[Truth]) -> dict[str, Tensor]:
    """The loss of Faster R-CNN, of both stages at once; each term is a mean over images.

    Of the anchors of an image, 256 are drawn, at most half of which show objects.
    """
    images = [_two_stages(said, number, one) for number, one in enumerate(truth)]
    return {name: torch.stack([terms[name] for terms in images]).mean() for name in images[0]}


def _two_stages(said: Regions, number: int, truth: Truth) -> dict[str, Tensor]:
    boxes, _, crowds = truth
    anchors, objectness = said.anchors, said.objectness[number].float()
    matches = by_thresholds(iou(boxes, anchors), _ANCHOR_LOW, _ANCHOR_HIGH, keep_best=True)
    matches = torch.where(in_crowds(anchors, crowds) & (matches == BACKGROUND), IGNORED, matches)
    right, wrong = _sample(matches, _ANCHORS, _ANCHORS_RIGHT)
    chosen = torch.cat([right, wrong])
    wanted = torch.cat([torch.ones(len(right)), torch.zeros(len(wrong))]).to(objectness.device)
    goal = encode(boxes[matches[right]], anchors[right])
    ways = F.smooth_l1_loss(said.ways[number, right].float(), goal, reduction="sum", beta=_ROUND)
    terms = {
        "objectness": F.binary_cross_entropy_with_logits(objectness[chosen], wanted, reduction="sum"),
        "proposals": ways,
    }
    terms = {name: term / max(len(chosen), 1) for name, term in terms.items()}
    return terms | _looked(said, number, truth)


def looked(said: Looked, truth: Sequence[Truth]) -> dict[str, Tensor]:
    """The loss of Fast R-CNN; each term is a mean over regions, and over images."""
    images = [_looked(said, number, one) for number, one in enumerate(truth)]
    return {name: torch.stack([terms[name] for terms in images]).mean() for name in images[0]}


def _looked(said: Looked | Regions, number: int, truth: Truth) -> dict[str, Tensor]:
    boxes, labels, crowds = truth
    there = (said.regions[number, :, 2:] > said.regions[number, :, :2]).all(dim=1)
    places, logits = said.regions[number, there], said.logits[number, there].float()
    matches = by_thresholds(iou(boxes, places), _REGION, _REGION, keep_best=False)
    shows = matches != BACKGROUND
    classes = torch.zeros_like(matches)
    classes[shows] = labels[matches[shows]] + 1
    weighs = ~(in_crowds(places, crowds) & ~shows)
    offsets = said.offsets[number, there][shows, classes[shows]].float()
    goal = encode(boxes[matches[shows]], places[shows], VARIANCES)
    count = max(int(weighs.sum()), 1)
    entropy = F.cross_entropy(logits, classes, reduction="none")
    return {
        "classification": (entropy * weighs).sum() / count,
        "localisation": F.smooth_l1_loss(offsets, goal, reduction="sum", beta=_ROUND) / count,
    }


def choose_regions(proposals: Tensor, truth: Sequence[Truth], *, least: float = 0.0) -> Tensor:
    """Regions to learn from, ``(N, 128, 4)``: a quarter that show an object, at most, and others; without area to fill.

    The objects' own boxes are proposals too, so that there are some that show them from the start.

    Args:
        proposals: ``(N, P, 4)``; those without area are none.
        truth: Of each image.
        least: IoU with an object that others must have, in an image with objects.
    """
    chosen = proposals.new_zeros(len(truth), _REGIONS, 4)
    for rows, proposed, (boxes, _, _) in zip(chosen, proposals, truth, strict=True):
        places = torch.cat([proposed[(proposed[:, 2:] > proposed[:, :2]).all(dim=1)], boxes])
        overlaps = iou(boxes, places)
        matches = by_thresholds(overlaps, _REGION, _REGION, keep_best=False)
        if len(boxes):
            matches[overlaps.amax(dim=0) < least] = IGNORED
        drawn = torch.cat(_sample(matches, _REGIONS, _REGIONS_RIGHT))
        rows[: len(drawn)] = places[drawn]
    return chosen


def _sample(matches: Tensor, most: int, share: float) -> tuple[Tensor, Tensor]:
    """Draw some that show an object, at most this share of ``most``, and as many that show none as are left."""
    right, wrong = ((matches >= 0).nonzero()[:, 0], (matches == BACKGROUND).nonzero()[:, 0])
    right = right[torch.randperm(len(right))[: int(most * share)].to(right.device)]
    return right, wrong[torch.randperm(len(wrong))[: most - len(right)].to(wrong.device)]


_LOSSES: dict[type, Callable[[Any, Sequence[Truth]], dict[str, Tensor]]] = {
    Grid: grid,
    Looked: looked,
    MultiBox: multibox,
    Cells: cells,
    Regions: regions,
}

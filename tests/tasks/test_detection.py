"""Boxes as a task: targets, losses by hand, average precision beside pycocotools, errors, thresholds, priors."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import Tensor
from torchvision.ops import box_iou

from svertka.annotations import Box, Boxes
from svertka.errors import UserError
from svertka.exhibits import Curves, Table
from svertka.layers.boxes import VARIANCES, encode
from svertka.layers.detector import Cells, Found, Grid, Looked, MultiBox
from svertka.results import Detection, Detections
from svertka.runtime.preprocess import Preprocess
from svertka.tasks.box_losses import (
    ABSENT,
    COUNTED,
    CROWD,
    DIFFICULT,
    box_losses,
    choose_regions,
    proposals,
    truths,
)
from svertka.tasks.box_matches import (
    BACKGROUND,
    BADLY_PLACED,
    BOTH,
    DOUBLED,
    RIGHT,
    UNCOUNTED,
    WRONG_CLASS,
    best_thresholds,
    match,
)
from svertka.tasks.box_priors import likeness, shape_clusters
from svertka.tasks.detection import DetectionTask, box_shapes
from svertka.tasks.making import task_for
from svertka.tasks.task import Choices, Evaluation

NAMES = ("cat", "dog", "mouse")
Rows = NDArray[np.float32]


def rows(*told: tuple[float, ...]) -> Rows:
    return np.array(told, np.float32).reshape(-1, 6)


def targets(*images: Rows) -> Tensor:
    most = max(1, *(len(image) for image in images))
    padded = np.zeros((len(images), most, 6), np.float32)
    padded[..., 0] = ABSENT
    for place, image in zip(padded, images, strict=True):
        place[: len(image)] = image
    return torch.from_numpy(padded)


# Targets


def test_targets_are_shares_of_the_image() -> None:
    task = DetectionTask(NAMES)
    found = task.targets(
        [
            Boxes((Box("dog", 10, 20, 50, 100), Box("cat", 0, 0, 100, 200, difficult=True)), (200, 100)),
            Boxes((), (5, 5)),
            Boxes((Box("mouse", 1, 1, 2, 3, crowd=True),), (4, 4)),
        ]
    )
    assert found.shape == (3, 2, 6)
    np.testing.assert_allclose(found[0, 0], [1, 0.1, 0.1, 0.5, 0.5, COUNTED])
    np.testing.assert_allclose(found[0, 1], [0, 0, 0, 1, 1, DIFFICULT])
    assert (found[1, :, 0] == ABSENT).all()
    np.testing.assert_allclose(found[2, 0], [2, 0.25, 0.25, 0.5, 0.75, CROWD])


def test_regions_that_were_proposed_travel_with_the_boxes() -> None:
    regions = np.array([[0.1, 0.1, 0.4, 0.5], [0.2, 0.3, 0.6, 0.9]], np.float32)
    other = regions / 2
    task = DetectionTask(NAMES)
    boxes = tuple(Box("dog", 10, 20, 50, 60 + number) for number in range(3))
    found = torch.from_numpy(task.targets([Boxes(boxes, (200, 100), regions), Boxes((), (5, 5), other)]))
    assert found.shape == (2, 5, 6)
    assert [len(truth.boxes) for truth in truths(found)] == [3, 0]
    assert torch.equal(proposals(found), torch.from_numpy(np.stack([regions, other])))
    assert proposals(found[:, :3]).shape == (2, 0, 4)
    given = task.run(lambda *given: given, torch.zeros(2, 3, 8, 8), found)
    assert torch.equal(given[1], proposals(found))
    assert len(task.run(lambda *given: given, torch.zeros(2, 3, 8, 8), found[:, :3])) == 1
    score = task.score()
    score.update(Found(torch.zeros(2, 1, 4), torch.zeros(2, 1, 3)), found, torch.arange(2))
    assert score.arrays()["objects"].shape == (2, 3, 6)
    assert score.evaluate(score.arrays()).details["per_class"][1]["boxes"] == 3


def test_an_unknown_class_is_named() -> None:
    with pytest.raises(UserError, match="does not know the class 'horse'"):
        DetectionTask(NAMES).targets([Boxes((Box("horse", 0, 0, 1, 1),), (2, 2))])
    with pytest.raises(UserError, match="not all images have boxes"):
        DetectionTask(NAMES).targets(["cat"])


def test_images_with_boxes_ask_for_this_task() -> None:
    labels = [Boxes((Box("cat", 0, 0, 1, 1), Box("dog", 0, 0, 2, 4, crowd=True)), (4, 2)), Boxes((), (4, 2))]
    task = task_for(labels, ("cat", "dog"), Preprocess(height=8, width=8))
    assert isinstance(task, DetectionTask)
    assert box_shapes(labels).tolist() == [[0.5, 0.25]]
    with pytest.raises(UserError, match="boxes are learnt as they are"):
        task_for(labels, ("cat", "dog"), Preprocess(height=8, width=8), Choices(balanced=True))
    with pytest.raises(UserError, match="pictures or several kinds"):
        task_for([*labels, "cat"], ("cat", "dog"), Preprocess(height=8, width=8))


# Losses


def anchors() -> Tensor:
    at = torch.linspace(0.1, 0.9, 9)
    middles = torch.cartesian_prod(at, at)
    return torch.cat([middles - 0.1, middles + 0.1], dim=1)


def test_multibox_by_hand() -> None:
    generator = torch.Generator().manual_seed(0)
    said = MultiBox(torch.randn(1, 81, 4, generator=generator), torch.randn(1, 81, 4, generator=generator), anchors())
    objects = rows((1, 0.22, 0.2, 0.41, 0.4, COUNTED), (2, 0.6, 0.63, 0.8, 0.8, COUNTED))
    terms = box_losses(said, truths(targets(objects)))
    overlaps = box_iou(torch.from_numpy(objects[:, 1:5]), anchors())
    wanted = torch.zeros(81, dtype=torch.int64)
    places = torch.zeros(())
    for place in range(81):
        best = overlaps[:, place].argmax()
        if overlaps[best, place] >= 0.5:
            wanted[place] = int(objects[best, 0]) + 1
            goal = encode(torch.from_numpy(objects[best, 1:5]), anchors()[place], VARIANCES)
            places = places + F.smooth_l1_loss(said.offsets[0, place], goal, reduction="sum")
    positive = int((wanted > 0).sum())
    assert 2 <= positive < 20
    entropy = F.cross_entropy(said.logits[0], wanted, reduction="none")
    hardest = entropy[wanted == 0].sort(descending=True).values[: 3 * positive]
    torch.testing.assert_close(terms["localisation"], places / positive)
    torch.testing.assert_close(terms["classification"], (entropy[wanted > 0].sum() + hardest.sum()) / positive)


def test_an_image_without_objects_teaches_what_background_is() -> None:
    said = MultiBox(torch.zeros(2, 81, 4, requires_grad=True), torch.zeros(2, 81, 4), anchors())
    terms = box_losses(said, truths(targets(rows(), rows())))
    assert terms["localisation"] == 0
    assert terms["classification"].item() == pytest.approx(6 * np.log(4), rel=1e-5)


def test_of_a_crowd_nothing_is_learnt() -> None:
    logits = torch.zeros(1, 81, 4)
    logits[..., 0] = 5.0
    inside = ((anchors()[:, 2:] <= 0.51).all(dim=1)).nonzero()[0]
    logits[0, inside, 1] = 50.0  # very wrong, were it background
    crowd = rows((0, 0.0, 0.0, 0.5, 0.5, CROWD))
    said = MultiBox(logits, torch.zeros(1, 81, 4), anchors())
    assert box_losses(said, truths(targets(crowd)))["classification"] < 0.1
    assert box_losses(said, truths(targets(rows())))["classification"] > 10


def cells(count: int = 1, side: int = 4, classes: int = 3) -> Cells:
    generator = torch.Generator().manual_seed(1)
    priors = torch.tensor([[0.2, 0.2], [0.5, 0.3]])
    step = torch.arange(side) / side
    rows_, columns = torch.meshgrid(step, step, indexing="ij")
    corners = torch.stack([columns.flatten(), rows_.flatten()], dim=1).repeat_interleave(2, dim=0)
    total = 2 * side * side
    return Cells(
        torch.randn(count, total, generator=generator),
        torch.randn(count, total, classes, generator=generator),
        torch.randn(count, total, 4, generator=generator) / 4,
        corners,
        torch.tensor([1 / side, 1 / side]),
        priors.repeat(side * side, 1),
    )


def test_cells_by_hand() -> None:
    said = cells()
    objects = rows((1, 0.3, 0.3, 0.45, 0.5, COUNTED), (2, 0.4, 0.6, 0.95, 0.85, COUNTED))
    terms = box_losses(said, truths(targets(objects)))
    # The middles are (0.375, 0.4) and (0.675, 0.725): cells (1, 1) and (2, 2), with the small and the wide prior.
    places = [2 * (1 * 4 + 1) + 0, 2 * (2 * 4 + 2) + 1]
    overlaps = box_iou(said.boxes()[0], torch.from_numpy(objects[:, 1:5]))
    sure = said.objectness[0].sigmoid()
    objectness = sum(5 * (sure[place] - overlaps[place, number]) ** 2 for number, place in enumerate(places))
    torch.testing.assert_close(terms["objectness"], objectness)
    quiet = (overlaps.amax(dim=1) <= 0.6) & torch.tensor([place not in places for place in range(32)])
    torch.testing.assert_close(terms["background"], (sure[quiet] ** 2).sum())
    entropy = F.cross_entropy(said.logits[0, places], torch.tensor([1, 2]), reduction="sum")
    torch.testing.assert_close(terms["classification"], entropy)
    localisation = torch.zeros(())
    for place, (x, y, wide, high) in zip(places, ((0.375, 0.4, 0.15, 0.2), (0.675, 0.725, 0.55, 0.25)), strict=True):
        corner, prior, offsets = said.corners[place], said.priors[place], said.offsets[0, place]
        within = (torch.tensor([x, y]) - corner) * 4
        growth = (torch.tensor([wide, high]) / prior).log()
        away = (offsets[:2].sigmoid() - within).square().sum() + (offsets[2:] - growth).square().sum()
        localisation = localisation + (2 - wide * high) * away
    torch.testing.assert_close(terms["localisation"], localisation, atol=1e-5, rtol=1e-5)


def test_cells_find_the_boxes_that_they_are_taught() -> None:
    said = cells()
    wanted = torch.tensor([0.3, 0.3, 0.45, 0.5])
    place, corner, prior = 10, said.corners[10], said.priors[10]
    within = ((wanted[:2] + wanted[2:]) / 2 - corner) * 4
    said.offsets[0, place] = torch.cat([torch.logit(within), ((wanted[2:] - wanted[:2]) / prior).log()])
    said.objectness[0, place] = 9.0
    found = said.found()
    torch.testing.assert_close(found.boxes[0, place], wanted)
    assert found.scores[0, place].sum() == pytest.approx(torch.tensor(9.0).sigmoid().item())


def test_regions_by_hand() -> None:
    generator = torch.Generator().manual_seed(4)
    regions = torch.tensor([[0.1, 0.1, 0.5, 0.5], [0.55, 0.5, 0.9, 0.9], [0.0, 0.6, 0.3, 1.0], [0, 0, 0, 0]])[None]
    said = Looked(torch.randn(1, 4, 4, generator=generator), torch.randn(1, 4, 4, 4, generator=generator) / 5, regions)
    objects = rows((1, 0.12, 0.1, 0.5, 0.52, COUNTED), (2, 0.5, 0.5, 0.9, 0.9, COUNTED))
    terms = box_losses(said, truths(targets(objects)))
    entropy = F.cross_entropy(said.logits[0, :3], torch.tensor([2, 3, 0]))
    torch.testing.assert_close(terms["classification"], entropy)
    away = torch.zeros(())
    for region, (label, *sides, _) in enumerate(objects.tolist()):
        goal = encode(torch.tensor(sides), regions[0, region], VARIANCES)
        away = away + F.smooth_l1_loss(said.offsets[0, region, int(label) + 1], goal, reduction="sum", beta=1 / 9)
    torch.testing.assert_close(terms["localisation"], away / 3)


def test_regions_to_learn_from_are_near_objects_where_there_are_some() -> None:
    proposed = torch.tensor([[0.1, 0.1, 0.5, 0.5], [0.3, 0.1, 0.7, 0.5], [0.7, 0.7, 0.9, 0.9]])[None]
    truth = truths(targets(rows((1, 0.1, 0.1, 0.5, 0.52, COUNTED))))
    near = choose_regions(proposed, truth, least=0.1)[0]
    expected = torch.cat([proposed[0, :2], truth[0].boxes]).tolist()
    assert sorted(row for row in near.tolist() if any(row)) == sorted(expected)
    assert proposed[0, 2].tolist() in choose_regions(proposed, truth)[0].tolist()
    assert proposed[0, 2].tolist() in choose_regions(proposed, truths(targets(rows())), least=0.1)[0].tolist()


def filled_grid(count: int = 1) -> Grid:
    """Two by two cells of two boxes each."""
    generator = torch.Generator().manual_seed(2)
    return Grid(
        0.5 + torch.randn(count, 4, 2, 4, generator=generator) / 10,
        torch.rand(count, 4, 2, generator=generator),
        torch.rand(count, 4, 3, generator=generator),
        torch.tensor([[0.0, 0.0], [0.5, 0.0], [0.0, 0.5], [0.5, 0.5]]),
        torch.tensor([0.5, 0.5]),
    )


def test_a_grid_by_hand() -> None:
    said = filled_grid()
    # Middles (0.75, 0.2), (0.7, 0.3) and (0.2, 0.9): the cell at the upper right finds the first of two, only.
    told = (1, 0.65, 0.1, 0.85, 0.3, COUNTED), (2, 0.6, 0.2, 0.8, 0.4, COUNTED), (0, 0.1, 0.85, 0.3, 0.95, COUNTED)
    terms = box_losses(said, truths(targets(rows(*told))))
    sums = dict.fromkeys(("objectness", "background", "localisation", "classification"), torch.zeros(()))
    responsible = set()
    for cell, (label, x, y, wide, high) in {1: (1, 0.75, 0.2, 0.2, 0.2), 2: (0, 0.2, 0.9, 0.2, 0.1)}.items():
        own = torch.tensor([[x - wide / 2, y - high / 2, x + wide / 2, y + high / 2]])
        overlaps = box_iou(said.boxes()[0, cell], own)[:, 0]
        assert overlaps.max() > 0
        best = int(overlaps.argmax())
        responsible.add((cell, best))
        goal = torch.tensor([x % 0.5 * 2, y % 0.5 * 2, wide**0.5, high**0.5])
        sums["localisation"] = sums["localisation"] + 5 * (said.sides[0, cell, best] - goal).square().sum()
        sums["objectness"] = sums["objectness"] + (said.confidences[0, cell, best] - overlaps[best]) ** 2
        right = torch.eye(3)[label]
        sums["classification"] = sums["classification"] + (said.probabilities[0, cell] - right).square().sum()
    for cell in range(4):
        for box in range(2):
            if (cell, box) not in responsible:
                sums["background"] = sums["background"] + 0.5 * said.confidences[0, cell, box] ** 2
    for name, expected in sums.items():
        torch.testing.assert_close(terms[name], expected)
    nothing = box_losses(said, truths(targets(rows())))
    torch.testing.assert_close(nothing["background"], 0.5 * said.confidences.square().sum())
    assert nothing["localisation"] == nothing["objectness"] == nothing["classification"] == 0


def test_where_no_box_overlaps_an_object_the_most_similar_is_responsible() -> None:
    said = filled_grid()
    said.sides[0, 0] = torch.tensor([[0.9, 0.9, 0.1, 0.1], [0.1, 0.1, 0.1, 0.1]])
    terms = box_losses(said, truths(targets(rows((0, 0.3, 0.3, 0.34, 0.34, COUNTED)))))
    away = (said.sides[0, 0, 0] - torch.tensor([0.64, 0.64, 0.2, 0.2])).square().sum()
    torch.testing.assert_close(terms["localisation"], 5 * away)


def test_a_grid_finds_the_boxes_that_it_is_taught() -> None:
    said = filled_grid()
    said.sides[0, 3, 1] = torch.tensor([0.5, 0.2, 0.3**0.5, 0.4**0.5])
    said.confidences[0, 3, 1], said.probabilities[0, 3] = 0.8, torch.tensor([0.1, 1.2, 1.5])
    found = said.found()
    torch.testing.assert_close(found.boxes[0, 7], torch.tensor([0.6, 0.4, 0.9, 0.8]))
    torch.testing.assert_close(found.scores[0, 7], torch.tensor([0.08, 0.96, 1.0]))


def test_a_grid_has_finite_gradients_whatever_is_there() -> None:
    said = filled_grid(2)
    learnt = said._replace(**{name: getattr(said, name).clone().requires_grad_() for name in said._fields[:3]})
    images = rows((0, 0, 0, 1, 1, COUNTED), (1, 0.999, 0.999, 1, 1, COUNTED), (1, 0.2, 0.2, 0.4, 0.4, CROWD)), rows()
    torch.stack(list(box_losses(learnt, truths(targets(*images))).values())).sum().backward()
    for name in said._fields[:3]:
        gradient = getattr(learnt, name).grad
        assert gradient.isfinite().all()
        assert gradient.any()


@pytest.mark.parametrize("said", [MultiBox(torch.zeros(2, 81, 4), torch.zeros(2, 81, 4), anchors()), cells(2)])
def test_losses_of_a_batch_have_finite_gradients_whatever_is_there(said: MultiBox | Cells) -> None:
    learnt = said._replace(logits=said.logits.clone().requires_grad_(), offsets=said.offsets.clone().requires_grad_())
    images = rows((0, 0, 0, 1, 1, COUNTED), (1, 0.999, 0.999, 1, 1, COUNTED), (1, 0.2, 0.2, 0.4, 0.4, CROWD)), rows()
    total = sum(box_losses(learnt, truths(targets(*images))).values())
    assert isinstance(total, Tensor)
    total.backward()
    assert learnt.logits.grad is not None
    assert learnt.offsets.grad is not None
    assert learnt.logits.grad.isfinite().all()
    assert learnt.offsets.grad.isfinite().all()
    assert learnt.offsets.grad.any()


# Judging


def invented(seed: int, images: int = 12) -> tuple[list[Rows], list[Rows]]:
    """Objects, and boxes of which some are near them."""
    rng = np.random.default_rng(seed)
    objects, boxes = [], []
    for _ in range(images):
        count = int(rng.integers(0, 7))
        corner, sides = rng.random((count, 2)) * 0.6, 0.05 + rng.random((count, 2)) * 0.35
        kind = rng.choice([COUNTED, COUNTED, COUNTED, DIFFICULT, CROWD], count)
        own = np.column_stack([rng.integers(0, 3, count), corner, corner + sides, kind]).astype(np.float32)
        objects.append(own.reshape(-1, 6))
        near = own[rng.integers(0, count, 3 * count), 1:5] if count else np.empty((0, 4))
        near = near + rng.normal(0, 0.03, near.shape)
        start = rng.random((4, 2)) * 0.7
        found = np.concatenate([near, np.concatenate([start, start + 0.05 + rng.random((4, 2)) * 0.25], axis=1)])
        found = found[(found[:, 2:] > found[:, :2]).all(axis=1)]
        scores = np.sort(rng.random(len(found)))[::-1]
        labels = rng.integers(0, 3, len(found))
        boxes.append(np.column_stack([labels, scores, found]).astype(np.float32))
    return boxes, objects


def judged(boxes: list[Rows], objects: list[Rows], **options: object) -> Evaluation:
    task = DetectionTask(NAMES, **options)
    score = task.score()
    wanted = targets(*objects)
    for number, told in enumerate(boxes):
        scores = np.zeros((1, len(told), 3), np.float32)
        scores[0, np.arange(len(told)), told[:, 0].astype(int)] = told[:, 1]
        said = Found(torch.from_numpy(told[None, :, 2:].copy()), torch.from_numpy(scores))
        score.update(said, wanted[number : number + 1], torch.tensor([number]))
    return score.evaluate(score.arrays())


def reference(evaluation: Evaluation, objects: list[Rows]) -> tuple[float, float]:
    """mAP and mAP at 0.5 by pycocotools as it is used everywhere: in pixels, with its default parameters."""
    width, height = 640, 480

    def box(sides: list[float]) -> list[float]:
        left, top, right, bottom = sides[0] * width, sides[1] * height, sides[2] * width, sides[3] * height
        return [left, top, right - left, bottom - top]

    annotations, found = [], []
    for image, own in enumerate(objects):
        for label, *sides, kind in own.tolist():
            told = {"id": len(annotations) + 1, "image_id": image, "category_id": int(label) + 1, "bbox": box(sides)}
            annotations.append({**told, "area": told["bbox"][2] * told["bbox"][3], "iscrowd": int(kind == CROWD)})
    for image, told in enumerate(evaluation.arrays["boxes"]):
        for label, score, *sides in told[told[:, 0] != ABSENT].tolist():
            found.append({"image_id": image, "category_id": int(label) + 1, "bbox": box(sides), "score": score})
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "info": {},
            "images": [{"id": image} for image in range(len(objects))],
            "categories": [{"id": number} for number in (1, 2, 3)],
            "annotations": annotations,
        }
        truth.createIndex()
        evaluation_ = COCOeval(truth, truth.loadRes(found), "bbox")
        evaluation_.evaluate()
        evaluation_.accumulate()
        evaluation_.summarize()
    return float(evaluation_.stats[0]), float(evaluation_.stats[1])


@pytest.mark.parametrize("seed", range(6))
def test_average_precision_is_that_of_pycocotools(seed: int) -> None:
    boxes, objects = invented(seed)
    for own in objects:
        own[own[:, 5] == DIFFICULT, 5] = COUNTED  # which pycocotools knows nothing of
    evaluation = judged(boxes, objects)
    expected = reference(evaluation, objects)
    assert 0.05 < expected[1] < 0.9
    assert evaluation.metrics["map"] == pytest.approx(expected[0], abs=1e-6)
    assert evaluation.metrics["map50"] == pytest.approx(expected[1], abs=1e-6)


def test_what_is_difficult_neither_helps_nor_harms() -> None:
    own = rows((0, 0.1, 0.1, 0.3, 0.3, COUNTED), (0, 0.6, 0.6, 0.8, 0.8, DIFFICULT))
    right = (0, 0.9, 0.1, 0.1, 0.3, 0.3)
    for boxes in (rows(right), rows((0, 0.95, 0.6, 0.6, 0.8, 0.8), right)):
        assert judged([boxes], [own]).metrics["map50"] == pytest.approx(1)
    twice = rows((0, 0.96, 0.6, 0.6, 0.8, 0.8), (0, 0.95, 0.55, 0.6, 0.8, 0.8), right)
    assert judged([twice], [own]).metrics["map50"] == pytest.approx(1)  # suppressed, for it lies over the other


def test_a_class_that_is_not_there_does_not_count() -> None:
    own = rows((0, 0.1, 0.1, 0.3, 0.3, COUNTED))
    found = judged([rows((0, 0.9, 0.1, 0.1, 0.3, 0.3))], [own])
    assert found.metrics["map50"] == pytest.approx(1)
    assert found.details["per_class"][1]["ap"] is None
    assert judged([rows()], [rows()]).metrics["map50"] == 1
    assert judged([rows()], [own]).metrics["map50"] == 0


def test_errors_are_told_apart() -> None:
    own = rows(
        (0, 0.0, 0.0, 0.2, 0.2, COUNTED),
        (1, 0.5, 0.5, 0.9, 0.9, COUNTED),
        (2, 0.3, 0.0, 0.5, 0.2, COUNTED),
        (0, 0.0, 0.8, 0.1, 0.9, DIFFICULT),
        (2, 0.0, 0.4, 0.4, 0.8, CROWD),
        (1, 0.8, 0.0, 0.9, 0.1, COUNTED),
    )
    boxes = rows(
        (0, 0.99, 0.0, 0.0, 0.2, 0.2),
        (0, 0.98, 0.0, 0.0, 0.2, 0.19),
        (0, 0.97, 0.5, 0.5, 0.9, 0.9),
        (2, 0.96, 0.38, 0.0, 0.58, 0.2),
        (0, 0.95, 0.4, 0.1, 0.6, 0.3),
        (0, 0.94, 0.0, 0.8, 0.1, 0.9),
        (2, 0.93, 0.1, 0.5, 0.2, 0.6),
        (1, 0.92, 0.3, 0.3, 0.35, 0.35),
    )
    found = match(boxes, own)
    assert found.kinds.tolist() == [
        RIGHT,
        DOUBLED,
        WRONG_CLASS,
        BADLY_PLACED,
        BOTH,
        UNCOUNTED,
        UNCOUNTED,
        BACKGROUND,
    ]
    assert found.found.tolist() == [True, False, False, False, False, False]
    assert found.missed.tolist() == [False, False, False, False, False, True]


def test_a_likelier_box_goes_first_and_takes_what_it_overlaps_most() -> None:
    own = rows((0, 0.0, 0.0, 0.2, 0.2, COUNTED), (0, 0.05, 0.0, 0.25, 0.2, COUNTED))
    boxes = rows((0, 0.9, 0.04, 0.0, 0.24, 0.2), (0, 0.8, 0.05, 0.0, 0.25, 0.2))
    found = match(boxes, own)
    assert found.kinds.tolist() == [RIGHT, RIGHT]
    assert match(boxes, rows()).kinds.tolist() == [BACKGROUND] * 2
    assert match(rows(), own).missed.tolist() == [True, True]


def test_thresholds_have_the_largest_f1() -> None:
    boxes, objects = invented(3)
    found = best_thresholds(boxes, objects, 3, 0.5)
    for number in range(3):
        best = -1.0
        for limit in np.linspace(0, 1, 401):
            told = [image[(image[:, 0] == number) & (image[:, 1] > limit)] for image in boxes]
            kinds = np.concatenate([match(one, own).kinds for one, own in zip(told, objects, strict=True)])
            there = sum(((own[:, 0] == number) & (own[:, 5] == COUNTED)).sum() for own in objects)
            best = max(best, 2 * (kinds == RIGHT).sum() / max((kinds != UNCOUNTED).sum() + there, 1))
        told = [image[(image[:, 0] == number) & (image[:, 1] > found[number])] for image in boxes]
        kinds = np.concatenate([match(one, own).kinds for one, own in zip(told, objects, strict=True)])
        there = sum(((own[:, 0] == number) & (own[:, 5] == COUNTED)).sum() for own in objects)
        assert 2 * (kinds == RIGHT).sum() / ((kinds != UNCOUNTED).sum() + there) >= best - 1e-9
    assert best_thresholds([rows()], [rows()], 2, 0.5) == [0.5, 0.5]


def test_what_is_chosen_on_validation_is_kept() -> None:
    boxes, objects = invented(4)
    evaluation = judged(boxes, objects)
    task = DetectionTask(NAMES).settled(evaluation)
    assert len(task.thresholds) == 3
    again = task.score().evaluate(evaluation.arrays)
    assert again.metrics == evaluation.metrics
    assert sum(row["f1"] for row in again.details["per_class"]) > sum(
        row["f1"] for row in evaluation.details["per_class"]
    )


def test_the_report_shows_errors_and_curves() -> None:
    boxes, objects = invented(5)
    task = DetectionTask(NAMES)
    evaluation = judged(boxes, objects)
    shown = task.exhibits(evaluation)
    assert [type(exhibit) for exhibit in shown] == [Table, Table, Curves]
    errors = evaluation.arrays["errors"]
    told = sum(
        row[name]
        for row in evaluation.details["per_class"]
        for name in ("missed", "wrong_class", "badly_placed", "both", "doubled", "background")
    )
    assert errors.sum() == told
    worst = task.examples(evaluation, 24)["Worst images"]
    assert worst[0][0] == int(errors.sum(axis=1).argmax())
    assert "objects in 12 test images" in task.sentence(evaluation, "test")
    image = np.zeros((40, 60, 3), np.uint8)
    panels = task.panels(
        image,
        Boxes((Box("cat", 5, 5, 20, 20), Box("horse", 30, 5, 20, 20))),
        lambda _: Detections((Detection("dog", 0.7, 10, 10, 30, 30),), NAMES),
    )
    assert list(panels) == ["image", "truth", "prediction"]
    assert all(panel.shape == image.shape for panel in panels.values())
    assert panels["truth"].any()
    assert panels["prediction"].any()


# Priors


def test_priors_are_the_shapes_that_there_are() -> None:
    rng = np.random.default_rng(0)
    middles = np.array([[0.05, 0.05], [0.1, 0.3], [0.3, 0.1], [0.4, 0.4], [0.8, 0.7]])
    shapes = np.concatenate([middle * (1 + rng.normal(0, 0.02, (40, 2))) for middle in middles])
    found = shape_clusters(rng.permutation(shapes), 5)
    assert found == shape_clusters(shapes, 5)
    assert likeness(np.array(found), middles).max(axis=0).min() > 0.9
    assert len(shape_clusters(shapes[:2], 5)) == 5


def test_priors_go_to_networks_that_have_them() -> None:
    task = DetectionTask(NAMES, shapes=np.full((10, 2), 0.25, np.float32))
    assert task.net_options(lambda name: name == "priors") == {"priors": [[0.25, 0.25]] * 5}
    assert task.net_options(lambda _: False) == {}
    assert DetectionTask(NAMES).net_options(lambda _: True) == {}

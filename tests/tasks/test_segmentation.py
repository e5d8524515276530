"""Masks as a task: losses by hand, void, metrics by hand and by the pixel, what the report shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from svertka.annotations import Mask
from svertka.errors import UserError
from svertka.exhibits import Table
from svertka.results import Segmentation
from svertka.runtime.preprocess import Preprocess
from svertka.tasks.making import task_for
from svertka.tasks.mask_losses import VOID, border_weights, dice_loss, pixel_weights
from svertka.tasks.segmentation import SegmentationTask, boundary_counts
from svertka.tasks.task import Choices, Evaluation

NAMES = ("background", "cat", "dog")
SIZE = Preprocess(height=32, width=32, fit="whole")


@dataclass(frozen=True)
class Numbers:
    """A mask in memory."""

    mask: NDArray[np.uint8]

    def load(self) -> NDArray[np.uint8]:
        return self.mask

    def digest(self) -> str:
        return self.mask.tobytes().hex()


def mask(numbers: object, names: tuple[str, ...] = NAMES) -> Mask:
    return Mask(Numbers(np.asarray(numbers, np.uint8)), names)


def logits_of(numbers: NDArray[np.int64], classes: int = 3, sure: float = 20.0) -> Tensor:
    return sure * torch.nn.functional.one_hot(torch.from_numpy(numbers), classes).permute(0, 3, 1, 2).float()


def evaluated(predicted: NDArray[np.int64], targets: NDArray[np.int64], classes: int = 3) -> Evaluation:
    task = SegmentationTask(NAMES[:classes], SIZE)
    score = task.score()
    for number in range(len(predicted)):
        one = slice(number, number + 1)
        score.update(
            logits_of(predicted[one], classes),
            torch.from_numpy(targets[one].astype(np.uint8)),
            torch.tensor([number]),
        )
    return score.evaluate(score.arrays())


def noise(seed: int, void: float = 0.1) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, 3, (4, 20, 30))
    predicted = np.where(rng.random(targets.shape) < 0.7, targets, rng.integers(0, 3, targets.shape))
    return predicted, np.where(rng.random(targets.shape) < void, VOID, targets)


def test_metrics_are_those_counted_by_the_pixel() -> None:
    predicted, targets = noise(0)
    found = evaluated(predicted, targets)
    said = targets != VOID
    for number, row in enumerate(found.details["per_class"]):
        mine, own = (predicted == number) & said, targets == number
        assert row["iou"] == pytest.approx((mine & own).sum() / (mine | own).sum())
        assert row["dice"] == pytest.approx(2 * (mine & own).sum() / (mine.sum() + own.sum()))
        assert row["recall"] == pytest.approx((mine & own).sum() / own.sum())
        assert row["pixels"] == own.sum()
    assert found.metrics["accuracy"] == pytest.approx((predicted == targets)[said].mean())
    assert found.metrics["miou"] == pytest.approx(np.mean([row["iou"] for row in found.details["per_class"]]))


def test_a_class_that_neither_is_nor_is_said_does_not_count() -> None:
    targets = np.zeros((1, 6, 6), np.int64)
    targets[:, 2:] = 1
    found = evaluated(targets, targets)
    assert found.metrics["miou"] == found.metrics["boundary_f1"] == 1
    assert found.details["per_class"][2]["iou"] is None


def test_memory_is_counts_however_large_images_are() -> None:
    task = SegmentationTask(NAMES, SIZE)
    score = task.score()
    score.update(torch.zeros(1, 3, 300, 400), torch.zeros(1, 300, 400, dtype=torch.uint8), torch.tensor([0]))
    assert sum(values.nbytes for values in score.arrays().values()) < 400


@pytest.mark.parametrize(("shift", "score"), [(0, 1.0), (1, 1.0), (2, 1.0), (4, 0.0)])
def test_a_border_counts_as_found_within_two_pixels(shift: int, score: float) -> None:
    targets = np.zeros((1, 40, 40), np.int64)
    predicted = targets.copy()
    targets[:, :, 20:], predicted[:, :, 20 + shift :] = 1, 1
    found = evaluated(predicted, targets)
    assert found.metrics["boundary_f1"] == pytest.approx(score)


def test_borders_of_the_image_and_of_void_are_none() -> None:
    target = np.zeros((10, 10), np.uint8)
    assert not boundary_counts(target, target, 3).any()
    target[5:] = VOID
    assert not boundary_counts(np.zeros_like(target), target, 3).any()


def test_of_void_nothing_is_learnt_and_nothing_judged() -> None:
    predicted, targets = noise(1)
    task = SegmentationTask(NAMES, SIZE, losses=("cross_entropy", "dice", "focal"), border=True)
    logits = torch.randn(4, 3, 20, 30, requires_grad=True)
    total = torch.stack(list(task.losses(logits, torch.from_numpy(targets.astype(np.uint8))).values())).sum()
    total.backward()
    assert logits.grad is not None
    said = torch.from_numpy(targets != VOID)
    assert not logits.grad.permute(0, 2, 3, 1)[~said].any()
    assert logits.grad.permute(0, 2, 3, 1)[said].any()
    everything = evaluated(predicted, np.full_like(targets, VOID))
    assert everything.metrics["miou"] == 1
    assert everything.metrics["loss"] == 0


def test_the_losses_are_those_of_their_papers() -> None:
    logits, targets = torch.randn(2, 3, 5, 6), torch.randint(0, 3, (2, 5, 6), dtype=torch.uint8)
    task = SegmentationTask(NAMES, SIZE, losses=("cross_entropy", "dice", "focal"), weights=(1, 2, 3))
    found = task.losses(logits, targets)
    weights = torch.tensor([1.0, 2, 3])
    expected = torch.nn.functional.cross_entropy(logits, targets.long(), weights)
    assert float(found["cross_entropy"]) == pytest.approx(float(expected), rel=1e-5)
    probability = logits.softmax(1)
    own = probability.gather(1, targets[:, None].long())[:, 0]
    weighted = weights[targets.long()]
    assert float(found["focal"]) == pytest.approx(
        float((-((1 - own) ** 2) * own.log() * weighted).sum() / weighted.sum()), rel=1e-5
    )
    dice = []
    for number in range(3):
        there = (targets == number).float()
        dice.append(2 * (probability[:, number] * there).sum() / (probability[:, number].sum() + there.sum()))
    assert float(found["dice"]) == pytest.approx(float(1 - torch.stack(dice).mean()), rel=1e-5)


def test_dice_of_what_is_not_in_the_batch_does_not_count() -> None:
    targets = torch.zeros(1, 4, 4, dtype=torch.long)
    sure = logits_of(targets.numpy()).softmax(1)
    assert float(dice_loss(sure, targets, torch.ones(1, 4, 4, dtype=torch.bool))) == pytest.approx(0, abs=1e-6)


def test_between_two_objects_that_nearly_touch_pixels_weigh_more() -> None:
    targets = torch.zeros(1, 20, 40, dtype=torch.uint8)
    targets[:, 4:16, 5:18] = 1
    targets[:, 4:16, 20:33] = 1
    weights = border_weights(targets)[0]
    # In the gap, one pixel from the one and two from the other: 10 · exp(−9 / 50).
    assert float(weights[10, 18]) == pytest.approx(10 * np.exp(-9 / 50), rel=1e-4)
    assert float(weights[10, 10]) == 0
    assert float(weights[10, 39]) < 1
    one = targets.clone()
    one[:, :, 20:] = 0
    assert not border_weights(one).any()


def test_logits_smaller_than_the_image_are_compared_with_its_middle() -> None:
    targets = torch.full((1, 10, 10), 1, dtype=torch.uint8)
    targets[:, 2:-2, 2:-2] = 2
    task = SegmentationTask(NAMES, SIZE, losses=("cross_entropy",))
    inside = task.losses(logits_of(np.full((1, 6, 6), 2)), targets)
    assert float(inside["cross_entropy"]) == pytest.approx(0, abs=1e-6)


def test_numbers_of_files_become_numbers_of_the_network_by_name() -> None:
    task = SegmentationTask(NAMES, SIZE)
    tables = task.targets([mask([[0]]), mask([[0]], ("dog", "background"))])
    assert tables[0, :3].tolist() == [0, 1, 2]
    assert tables[1, :2].tolist() == [2, 0]
    assert (tables[1, 2:] == VOID).all()
    with pytest.raises(UserError, match="does not know the class 'fox'"):
        task.targets([mask([[0]], ("fox",))])
    with pytest.raises(UserError, match="not all images have a mask"):
        task.targets(["cat"])


def test_rare_classes_weigh_more_if_all_are_to_count_alike() -> None:
    weights = pixel_weights([mask([[0, 0, 0, 1]], ("background", "cat"))], ("background", "cat"))
    assert weights == pytest.approx([4 / 2 / 3, 4 / 2 / 1])
    task = task_for([mask([[0, 0, 0, 1]], ("background", "cat"))], ("background", "cat"), SIZE, Choices(balanced=True))
    assert isinstance(task, SegmentationTask)
    assert task.weights is not None
    assert task.weights.tolist() == pytest.approx(weights)


@pytest.mark.parametrize("asked", [{"losses": ("dice",)}, {"border": True}])
def test_a_loss_of_masks_is_refused_for_classes(asked: dict[str, object]) -> None:
    with pytest.raises(UserError, match="a loss is named"):
        task_for(["cat", "dog"], ("cat", "dog"), SIZE, Choices(**asked))  # type: ignore[arg-type]


def test_large_images_are_judged_piece_by_piece() -> None:
    task = SegmentationTask(NAMES, SIZE)
    sizes = []

    def forward(images: Tensor) -> Tensor:
        sizes.append(tuple(images.shape[-2:]))
        return images

    images = torch.rand(1, 3, 1200, 40)
    assert torch.equal(task.run(forward, images, torch.zeros(1, 1200, 40)), images)
    assert max(height for height, _ in sizes) == 512


def test_the_report_shows_image_truth_prediction_and_errors_side_by_side() -> None:
    predicted, targets = noise(2, void=0)
    task = SegmentationTask(NAMES, SIZE)
    found = evaluated(predicted, targets)
    table = task.exhibits(found)[0]
    assert isinstance(table, Table)
    assert [row[0] for row in table.rows] == list(NAMES)
    worst = task.examples(found, 8)["Worst images"]
    shares = [(predicted[number] == targets[number]).mean() for number, _, _ in worst]
    assert len(worst) == 2
    assert shares[0] <= shares[1]
    image = np.full((20, 30, 3), 128, np.uint8)
    result = Segmentation(predicted[0].astype(np.uint8), NAMES)
    panels = task.panels(image, mask(targets[0]), lambda _: result)
    assert list(panels) == ["image", "truth", "prediction", "errors"]
    red = (panels["errors"] == [220, 30, 30]).all(axis=2)
    assert np.array_equal(red, predicted[0] != targets[0])
    assert "pixels" in task.sentence(found, "test")

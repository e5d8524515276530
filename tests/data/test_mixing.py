"""Mixup and cutmix: a function of (seed, epoch, index), and targets that say what was mixed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from svertka.data.augmentation.mixing import Mixing, cutmix, mixup
from svertka.data.batching.batches import Loader, Part, Pixels
from svertka.data.cache.images import Images
from svertka.data.cache.mapped import HeldRows
from svertka.errors import UserError
from svertka.runtime.preprocess import Preprocess
from svertka.tasks.classification import Classification
from svertka.tasks.multilabel import MultiLabel
from svertka.tasks.task import Task

COUNT, SIDE = 40, 8
CLASSES = tuple("abcd")


def part(*names: str, task: Task | None = None, targets: NDArray[Any] | None = None) -> Part:
    """Images of one shade each, by which one can tell what became of them."""
    preprocess = Preprocess(height=SIDE, width=SIDE, channels=1, mean=(0.0,), std=(1.0,))
    shades = np.repeat(np.arange(COUNT, dtype=np.uint8) * 5, SIDE * SIDE).reshape(COUNT, SIDE, SIDE, 1)
    images = Images((), preprocess, HeldRows(shades), ("",) * COUNT, {}, ((0, 0),) * COUNT)
    targets = np.arange(COUNT) % 4 if targets is None else targets
    mixing = Mixing(names, (task or Classification(CLASSES)).mixed, 3) if names else None
    return Part(Pixels(images, np.arange(COUNT), preprocess, ("flip",), 3), targets, 3, mixing)


@pytest.mark.parametrize("names", [("mixup",), ("cutmix",), ("mixup", "cutmix")], ids=str)
def test_a_sample_comes_out_the_same_in_any_company(names: tuple[str, ...]) -> None:
    seen: dict[int, tuple[bytes, bytes]] = {}
    for batch in (1, 7, 16, COUNT):
        for found in Loader(part(*names), batch).training(epoch=2):
            for image, target, index in zip(found.inputs, found.targets, found.indices.tolist(), strict=True):
                told = image.numpy().tobytes(), target.numpy().tobytes()
                assert seen.setdefault(index, told) == told
    assert len(seen) == COUNT


def test_epochs_differ() -> None:
    loader = Loader(part("mixup"), COUNT)
    images = []
    for epoch in (0, 1):
        (batch,) = loader.training(epoch)
        images.append(batch.inputs[batch.indices.argsort()])
    assert not torch.equal(images[0], images[1])


@pytest.mark.parametrize("names", [("mixup",), ("cutmix",)], ids=str)
def test_the_target_says_how_much_of_what_is_in_the_image(names: tuple[str, ...]) -> None:
    mixed = part(*names)
    (batch,) = Loader(mixed, COUNT).training(epoch=0)
    assert mixed.mixing is not None
    indices = batch.indices.numpy()
    partners = mixed.mixing.partners(indices, 0, COUNT)
    assert len(set(partners.tolist())) > COUNT / 3
    shares = []
    for image, target, own, other in zip(batch.inputs, batch.targets, indices, partners, strict=True):
        if own == other:
            continue
        share = float(image.mean() * 51 - other) / (own - other)  # 51: 255 of which a step is 5
        shares.append(share)
        expected = np.zeros(4)
        expected[own % 4] += share
        expected[other % 4] += 1 - share
        assert target.numpy() == pytest.approx(expected, abs=1e-3)
        if names == ("cutmix",):
            assert set((image * 51).round().unique().tolist()) <= {own, other}
    assert min(shares) < 0.3
    assert max(shares) > 0.7


def test_mixups_shares_are_those_of_the_beta_distribution() -> None:
    draws = np.linspace(0, 1, 2001)[None].repeat(3, axis=0)
    ones = np.ones((2001, 1, 1, 1), np.float32)
    mixed, shares = mixup(ones, 0 * ones, draws)
    assert mixed[:, 0, 0, 0] == pytest.approx(shares, abs=1e-6)
    assert shares.mean() == pytest.approx(0.5, abs=1e-3)
    assert shares.var() == pytest.approx(0.25 / 1.4, abs=2e-3)  # ab / ((a + b)² (a + b + 1))


def test_cutmix_by_hand() -> None:
    ones = np.ones((1, 1, 10, 20), np.float32)
    mixed, shares = cutmix(ones, 0 * ones, np.array([[0.84], [0.5], [0.5]]))
    assert shares.tolist() == [0.84]
    assert (mixed[0, 0, 3:7, 6:14] == 0).all()
    assert (mixed == 0).sum() == 32
    _, shares = cutmix(ones, 0 * ones, np.array([[0.84], [0.0], [0.0]]))  # in the corner, a quarter of it is inside
    assert shares.tolist() == [0.96]


def test_judging_mixes_nothing() -> None:
    (batch,) = Loader(part(), COUNT).training(epoch=0)
    assert batch.targets.dtype == torch.int64


def test_losses_of_mixtures() -> None:
    task = Classification(CLASSES)
    logits = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    own, other, shares = np.array([0, 1, 2]), np.array([3, 1, 0]), np.array([0.25, 0.5, 1.0])
    soft = torch.from_numpy(task.mixed(own, other, shares))
    each = [F.cross_entropy(logits, torch.from_numpy(targets), reduction="none") for targets in (own, other)]
    weight = torch.from_numpy(shares)
    expected = (weight * each[0] + (1 - weight) * each[1]).mean()
    assert task.losses(logits, soft)["cross_entropy"].item() == pytest.approx(expected.item(), abs=1e-6)
    hard = torch.from_numpy(task.mixed(own, other, np.ones(3)))
    assert task.losses(logits, hard)["cross_entropy"].item() == pytest.approx(each[0].mean().item(), abs=1e-6)


def test_targets_of_several_labels() -> None:
    task = MultiLabel(CLASSES)
    own, other = np.eye(4, dtype=np.float32)[:2], np.ones((2, 4), np.float32)
    assert task.mixed(own, other, np.array([0.75, 0.0])).tolist() == [[1, 0.25, 0.25, 0.25], [1, 1, 1, 1]]


def test_a_task_that_does_not_learn_from_mixtures_says_so() -> None:
    class Plain(Classification):
        name = "plain"
        mixed = Task.mixed

    with pytest.raises(UserError, match="plain does not learn from mixed images; leave mixup and cutmix out"):
        next(Loader(part("mixup", task=Plain(CLASSES)), 4).training(epoch=0))

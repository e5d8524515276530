"""Choosing among boxes in numpy is what torchvision does."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torchvision.ops import batched_nms, box_iou, clip_boxes_to_image, nms

from svertka.errors import UserError
from svertka.results import Detection, Detections
from svertka.runtime.boxes import choose, ious, suppress
from svertka.runtime.card import Card
from svertka.runtime.decoding import decode
from svertka.runtime.outputs import OutputSpec
from svertka.runtime.preprocess import Preprocess

CARD = Card(
    net="ssd",
    arguments={},
    task="detection",
    output=OutputSpec(classes=("cat", "dog")),
    input=Preprocess(height=32, width=32),
    licence="CC0-1.0",
    provenance={},
    metrics={},
    golden=(),
    weights="",
)


def drawn(count: int, seed: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    corner = rng.random((count, 2)) * 1.1 - 0.1
    return np.concatenate([corner, corner + rng.random((count, 2)) * 0.4], axis=1).astype(np.float32)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("overlap", [0.3, 0.45, 0.7])
def test_suppression_is_torchvisions(seed: int, overlap: float) -> None:
    boxes, scores = drawn(300, seed), np.sort(np.random.default_rng(seed).random(300).astype(np.float32))[::-1].copy()
    theirs = nms(torch.from_numpy(boxes), torch.from_numpy(scores), overlap)
    assert suppress(boxes, overlap).tolist() == theirs.tolist()


def test_overlaps_are_torchvisions() -> None:
    one, other = drawn(40, 0), drawn(30, 1)
    expected = box_iou(torch.from_numpy(one), torch.from_numpy(other)).numpy()
    np.testing.assert_allclose(ious(one, other), expected, atol=1e-6)
    assert ious(one[:0], other).shape == (0, 30)
    assert (ious(np.zeros((1, 4), np.float32), np.zeros((1, 4), np.float32)) == 0).all()


@pytest.mark.parametrize("seed", range(5))
def test_choosing_is_what_torchvisions_ssd_does(seed: int) -> None:
    boxes, scores = drawn(500, seed), np.random.default_rng(seed).random((500, 3)).astype(np.float32) ** 2
    chosen = choose(boxes, scores, least=[0.05] * 3)
    clipped = clip_boxes_to_image(torch.from_numpy(boxes), (1, 1))
    all_boxes, all_scores, labels = [], [], []
    for number in range(3):
        column = torch.from_numpy(scores[:, number])
        kept = torch.where(column > 0.05)[0]
        best, places = column[kept].topk(min(400, len(kept)))
        all_boxes.append(clipped[kept][places])
        all_scores.append(best)
        labels.append(torch.full_like(places, number))
    theirs = torch.cat(all_boxes), torch.cat(all_scores), torch.cat(labels)
    solid = (theirs[0][:, 2] > theirs[0][:, 0]) & (theirs[0][:, 3] > theirs[0][:, 1])
    theirs = tuple(part[solid] for part in theirs)
    places = batched_nms(*theirs, 0.45)[:100]
    assert chosen.classes.tolist() == theirs[2][places].tolist()
    np.testing.assert_array_equal(chosen.scores, theirs[1][places].numpy())
    np.testing.assert_array_equal(chosen.boxes, theirs[0][places].numpy())


def test_detections_are_in_pixels_of_the_image() -> None:
    boxes = np.array([[[0.1, 0.2, 0.5, 0.6], [0.11, 0.2, 0.5, 0.6], [0.5, 0.5, 1.2, 0.9], [0, 0, 1, 1]]], np.float32)
    scores = np.array([[[0.6, 0.0], [0.7, 0.1], [0.2, 0.9], [0.5, 0.5]]], np.float32)
    (found,) = decode({"boxes": boxes, "scores": scores}, CARD, [(100, 200)])
    assert isinstance(found, Detections)
    told = [(item.name, round(item.score, 3), round(item.left, 3), item.right) for item in found.objects]
    assert told == [("dog", 0.9, 100.0, 200.0), ("cat", 0.7, 22.0, 100.0)]  # 0.5 is not more than the threshold
    assert found.line() == "1 × cat, 1 × dog"
    lower = dataclasses.replace(CARD, thresholds=(0.75, 0.4))
    (found,) = decode({"boxes": boxes, "scores": scores}, lower, [(100, 200)])
    assert [item.name for item in found.objects] == ["dog", "dog"]


def test_nothing_found_says_so() -> None:
    (found,) = decode(
        {"boxes": np.zeros((1, 3, 4), np.float32), "scores": np.ones((1, 3, 2), np.float32)}, CARD, [(9, 9)]
    )
    assert found.line() == "nothing found"
    assert found.to_json() == {"objects": []}
    image = np.zeros((9, 9, 3), np.uint8)
    assert np.array_equal(found.draw(image), image)


@pytest.mark.parametrize(
    "outputs",
    [
        {},
        {"boxes": np.zeros((1, 3, 4), np.float32)},
        {"boxes": np.zeros((1, 3, 4), np.float32), "scores": np.zeros((1, 2, 2), np.float32)},
        {"boxes": np.zeros((1, 3, 4), np.float32), "scores": np.zeros((1, 3, 5), np.float32)},
        {"boxes": np.full((1, 3, 4), np.nan, np.float32), "scores": np.zeros((1, 3, 2), np.float32)},
    ],
)
def test_outputs_that_are_no_boxes_are_refused(outputs: dict[str, NDArray[np.float32]]) -> None:
    with pytest.raises(UserError, match="boxes of shape"):
        decode(outputs, CARD, [(9, 9)])


def test_detections_check_themselves() -> None:
    one = Detection("cat", 0.5, 0, 0, 3, 3)
    with pytest.raises(ValueError, match="comes first"):
        Detections((one, dataclasses.replace(one, score=0.6)), ("cat",))
    with pytest.raises(ValueError, match="between 0 and 1"):
        Detections((dataclasses.replace(one, score=1.5),), ("cat",))
    with pytest.raises(ValueError, match="without area"):
        Detections((dataclasses.replace(one, right=0),), ("cat",))
    with pytest.raises(ValueError, match="unknown class"):
        Detections((one,), ("dog",))


def test_boxes_are_drawn_where_they_are() -> None:
    image = np.full((60, 80, 3), 128, np.uint8)
    found = Detections((Detection("cat", 0.9, 20, 30, 60, 50),), ("cat",))
    drawn_on = found.draw(image)
    changed = (drawn_on != image).any(axis=2)
    assert changed[30, 20:60].all()
    assert changed[49, 20:60].all()
    assert not changed[51:].any()
    assert not changed[:, :19].any()
    assert not changed[33:47, 23:57].any()
    assert (image == 128).all()

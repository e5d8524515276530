"""What two engines say of boxes is compared whatever their order."""

from __future__ import annotations

import numpy as np
import pytest

from svertka.runtime.agreement import difference
from svertka.runtime.decoding import Outputs

CLASSES, COUNT = 3, 40


def said(*, each: bool, batch: int | None = None) -> dict[str, np.ndarray]:
    """Boxes, one for all classes or one for `each`, of which a quarter is likely to be something."""
    rng = np.random.default_rng(0)
    first = () if batch is None else (batch,)
    boxes = rng.random((*first, COUNT, CLASSES, 4) if each else (*first, COUNT, 4)).astype(np.float32)
    scores = rng.random((*first, COUNT, CLASSES)).astype(np.float32)
    scores[..., : 3 * COUNT // 4, :] *= 0.04
    return {"boxes": boxes, "scores": scores}


def reordered(outputs: Outputs) -> dict[str, np.ndarray]:
    order = np.random.default_rng(1).permutation(COUNT)
    axis = outputs["scores"].ndim - 2
    return {name: np.take(values, order, axis=axis) for name, values in outputs.items()}


@pytest.mark.parametrize("batch", [None, 1, 3])
@pytest.mark.parametrize("each", [False, True])
def test_the_order_of_boxes_says_nothing(each: bool, batch: int | None) -> None:
    expected = said(each=each, batch=batch)
    assert difference(reordered(expected), expected) == 0
    moved = reordered(expected)
    moved["boxes"] = moved["boxes"] + np.float32(2e-4)
    assert difference(moved, expected) == pytest.approx(2e-4, rel=0.01)


@pytest.mark.parametrize("each", [False, True])
def test_a_likely_box_that_is_another_is_a_difference(each: bool) -> None:
    expected = said(each=each)
    for name, change in (("boxes", 0.3), ("scores", -0.5)):
        found = reordered(expected)
        place = int(found["scores"].max(axis=1).argmax())
        label = int(found["scores"][place].argmax())
        found[name][place, label if each or name == "scores" else 0] += np.float32(change)
        assert difference(found, expected) > 0.05
        assert difference(expected, found) > 0.05


def test_one_that_only_one_side_has_is_a_difference() -> None:
    expected = said(each=False)
    found = {name: values.copy() for name, values in expected.items()}
    found["boxes"][0], found["scores"][0] = (0.1, 0.1, 0.9, 0.9), (0.0, 0.9, 0.0)
    assert difference(found, expected) > 0.05
    assert difference(expected, found) > 0.05


def test_what_nobody_would_tell_does_not_count() -> None:
    expected = said(each=True)
    found = reordered(expected)
    unlikely = found["scores"].max(axis=1) < 0.05
    found["boxes"][unlikely] = 0.5
    assert difference(found, expected) == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_no_number_is_a_difference_wherever_it_stands(bad: float) -> None:
    expected = said(each=True)
    found = reordered(expected)
    found["boxes"][0, 0, 0] = bad
    assert difference(found, expected) == np.inf


def test_other_outputs_are_compared_place_by_place() -> None:
    logits = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert difference({"logits": logits[::-1]}, {"logits": logits}) == 3
    assert difference({}, {"logits": logits}) == np.inf
    assert difference({"logits": logits[:1]}, {"logits": logits}) == np.inf

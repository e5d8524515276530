"""Parity: a difference is found at whatever size of batch it hides."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from svertka.deploy.parity import largest_difference, one_by_one, resized, scale
from svertka.runtime.agreement import difference
from svertka.runtime.decoding import Outputs

IMAGES = np.random.default_rng(0).normal(size=(24, 3, 4, 5)).astype(np.float32)


class Mean:
    """Gives every image its mean; with ``wrong``, something else in batches of that size."""

    name = "mean"

    def __init__(self, wrong: int | None = None) -> None:
        self.wrong = wrong

    def run(self, batch: NDArray[np.float32]) -> Outputs:
        means = batch.mean(axis=(1, 2, 3))[:, None]
        return {"logits": means + 0.5 if len(batch) == self.wrong else means}


def test_agreement_is_agreement() -> None:
    assert largest_difference(Mean(), IMAGES, one_by_one(Mean(), IMAGES)) < 1e-6


@pytest.mark.parametrize("batch", [1, 2, 3, 8])
def test_what_is_wrong_at_one_size_of_batch_alone_is_found(batch: int) -> None:
    assert largest_difference(Mean(batch), IMAGES, one_by_one(Mean(), IMAGES)) == pytest.approx(0.5)


def test_what_cannot_be_compared_is_infinitely_far() -> None:
    good = {"logits": np.zeros((2, 3), np.float32), "distance": np.zeros(2, np.float32)}
    assert difference(good, good) == 0
    assert difference({"logits": good["logits"]}, good) == float("inf")
    assert difference({**good, "distance": np.zeros((2, 1), np.float32)}, good) == float("inf")
    assert difference({**good, "distance": np.array([0, np.nan], np.float32)}, good) == float("inf")


def test_rounding_is_allowed_to_grow_with_outputs() -> None:
    assert scale({"logits": np.array([0.1, -0.2])}) == 1
    assert scale({"logits": np.array([0.1, -30.0]), "distance": np.array([2.0])}) == 30


def test_images_of_other_sizes_begin_as_they_did() -> None:
    small, large = resized(IMAGES, [(2, 3), (7, 11)])
    np.testing.assert_array_equal(small, IMAGES[:, :, :2, :3])
    assert large.shape == (24, 3, 7, 11)
    np.testing.assert_array_equal(large[:, :, 4:, 5:10], IMAGES[:, :, :3])

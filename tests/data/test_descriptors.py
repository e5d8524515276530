"""Descriptors of images made by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from svertka.data.descriptors import colours, describe, gradients


def stripes(angle: float, side: int = 32) -> NDArray[np.uint8]:
    """Waves whose grey changes in the direction ``angle``, in degrees from the right towards below."""
    y, x = np.mgrid[:side, :side]
    along = x * np.cos(np.radians(angle)) + y * np.sin(np.radians(angle))
    grey = np.round(127.5 + 120 * np.sin(along / 2))
    return np.repeat(grey[..., None], 3, axis=2).astype(np.uint8)


def by_orientation(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    return gradients(image[None]).reshape(-1, 9, 4).sum(axis=(0, 2)).astype(np.float64)


@pytest.mark.parametrize("orientation", range(9))
def test_edges_vote_for_the_orientation_that_they_run_across(orientation: int) -> None:
    votes = by_orientation(stripes(20 * orientation + 10))  # each is 20° wide, the first from 0° on
    assert votes.argmax() == orientation
    assert votes[orientation] > 2 * np.sort(votes)[-2]


def test_a_direction_between_two_orientations_is_shared() -> None:
    votes = by_orientation(stripes(40))
    assert set(np.argsort(votes)[-2:]) == {1, 2}
    assert votes[1] == pytest.approx(votes[2], rel=0.1)


def test_light_against_dark_is_as_dark_against_light() -> None:
    light = stripes(30) > 127
    found = [gradients(np.where(light, *greys).astype(np.uint8)[None]) for greys in ((200, 50), (50, 200))]
    assert np.allclose(*found, atol=1e-5)


def test_an_edge_counts_only_in_the_blocks_of_its_cell() -> None:
    image = np.full((1, 32, 32, 3), 50, np.uint8)
    image[0, 2:6, 4:] = 200
    image[0, 2:6, 8:] = 50  # within the first cell, but for the step down at its border
    found = gradients(image).reshape(3, 3, 36)
    assert np.linalg.norm(found[0, 0]) == pytest.approx(1, abs=1e-5)
    assert not found[1:].any()
    assert not found[:, 2:].any()


def test_the_colour_that_changes_most_decides() -> None:
    image = np.zeros((16, 16, 3), np.uint8)
    image[..., 0] = 16 * np.arange(16)  # red grows to the right,
    image[..., 2] = 100 + np.arange(16)[:, None]  # blue a little downwards
    assert np.flatnonzero(by_orientation(image)).tolist() == [0, 8]


def test_an_even_image_has_no_gradients() -> None:
    assert not gradients(np.full((2, 24, 16, 3), 77, np.uint8)).any()


def test_colours_are_square_roots_of_shares() -> None:
    image = np.zeros((2, 16, 16, 3), np.uint8)
    image[0, :4] = (255, 0, 0)  # a quarter is red, the rest black
    image[1] = (64, 127, 128)
    found = colours(image)
    assert found.shape == (2, 64)
    assert {place: found[0, place] for place in np.flatnonzero(found[0])} == pytest.approx({0: 0.75**0.5, 48: 0.5})
    assert np.flatnonzero(found[1]).tolist() == [1 * 16 + 1 * 4 + 2]


def test_many_images_are_described_as_each_alone() -> None:
    images = np.random.default_rng(0).integers(0, 256, (130, 16, 24, 3)).astype(np.uint8)
    together = describe(images)
    assert together.shape == (130, 36 * 1 * 2 + 64)
    assert together.dtype == np.float32
    assert np.array_equal(together, np.concatenate([describe(image[None]) for image in images]))

"""Selective search: its segments by their definition, and boxes around what stands out."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from svertka.runtime.boxes import ious
from svertka.runtime.preprocess import Preprocess
from svertka.runtime.proposals import segment, selective_search

OBJECTS = ((10, 12, 40, 50, (220, 40, 40)), (70, 20, 110, 60, (40, 60, 220)), (30, 80, 100, 115, (40, 200, 60)))


def scene(side: int = 128) -> NDArray[np.uint8]:
    """Three rectangles of their own colours on noise, on dark ground."""
    image = np.random.default_rng(0).integers(0, 30, (side, side, 3)).astype(np.uint8)
    for left, top, right, bottom, colour in OBJECTS:
        image[top:bottom, left:right] = colour
    return image


def by_definition(pixels: NDArray[np.uint8], scale: float, least: int) -> NDArray[np.int64]:
    """Felzenszwalb's and Huttenlocher's segments as their paper says it: every segment a set."""
    height, width = pixels.shape[:2]
    kernel = np.array([1, 4, 6, 4, 1]) / 16
    smooth = pixels.astype(float)
    for axis in (0, 1):
        padded = np.pad(smooth, [(2, 2) if number == axis else (0, 0) for number in range(3)], mode="edge")
        smooth = np.apply_along_axis(np.convolve, axis, padded, kernel, "valid")
    edges = []
    # In the order in which edges that weigh the same are looked at.
    for (rows, columns), (down, right) in (((0, 0), (0, 1)), ((0, 0), (1, 0)), ((0, 0), (1, 1)), ((1, 0), (-1, 1))):
        for y in range(rows, height - max(down, 0)):
            for x in range(columns, width - right):
                away = np.sqrt(np.square(smooth[y, x] - smooth[y + down, x + right]).sum())
                edges.append((round(away, 9), (y, x), (y + down, x + right)))
    edges.sort(key=lambda edge: edge[0])
    home = {(y, x): {(y, x)} for y in range(height) for x in range(width)}
    within = {id(own): 0.0 for own in home.values()}
    for small in (False, True):
        for away, one, other in edges:
            a, b = home[one], home[other]
            if a is b:
                continue
            alike = min(within[id(own)] + scale / len(own) for own in (a, b)) >= away
            if min(len(a), len(b)) < least if small else alike:
                a |= b
                within[id(a)] = away
                for place in b:
                    home[place] = a
    numbers = {own: number for number, own in enumerate(dict.fromkeys(id(own) for own in home.values()))}
    return np.array([[numbers[id(home[y, x])] for x in range(width)] for y in range(height)])


@pytest.mark.parametrize("seed", range(3))
def test_segments_are_those_of_the_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 60, (18, 23, 3)).astype(np.uint8)
    pixels[4:12, 5:16] += 120
    found, expected = segment(pixels, 40.0, 6), by_definition(pixels, 40.0, 6)
    assert found.max() > 2
    pairs = set(zip(found.ravel().tolist(), expected.ravel().tolist(), strict=True))
    assert len(pairs) == len(np.unique(found)) == len(np.unique(expected))  # the same parts, however numbered
    assert np.bincount(found.ravel()).min() >= 6


def test_what_stands_out_is_proposed() -> None:
    found = selective_search(scene(), 50)
    assert found.shape == (50, 4)
    assert found.dtype == np.float32
    there = np.array([place[:4] for place in OBJECTS], np.float32) / 128
    assert ious(there, found).max(axis=1).min() > 0.8
    grey = selective_search(scene().mean(axis=2, keepdims=True).astype(np.uint8), 50)
    assert ious(there, grey).max(axis=1).min() > 0.8


def test_boxes_are_shares_of_the_image_whatever_its_size() -> None:
    found = selective_search(np.repeat(np.repeat(scene(), 3, axis=0), 2, axis=1), 50)
    there = np.array([place[:4] for place in OBJECTS], np.float32) / 128
    assert ious(there, found).max(axis=1).min() > 0.8
    assert ((found >= 0) & (found <= 1)).all()


def test_boxes_differ_and_the_first_are_the_first_of_more() -> None:
    few, many = (selective_search(scene(), count) for count in (20, 60))
    np.testing.assert_array_equal(few, many[:20])
    there = many[many[:, 2] > many[:, 0]]
    assert len(np.unique(there, axis=0)) == len(there)


def test_what_is_remembered_in_half_precision_is_the_same() -> None:
    found = selective_search(scene(100), 100)
    np.testing.assert_array_equal(found.astype(np.float16).astype(np.float32), found)


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 200, 3), (40, 40, 1)])
def test_an_image_of_one_colour_is_one_region(shape: tuple[int, ...]) -> None:
    found = selective_search(np.full(shape, 90, np.uint8), 5)
    np.testing.assert_array_equal(found, [[0, 0, 1, 1], *[[0, 0, 0, 0]] * 4])


def test_a_preprocessing_says_how_many() -> None:
    preprocess = Preprocess(height=64, width=64, regions=7)
    (regions,) = preprocess.beside([preprocess.place(scene()), preprocess.place(scene()[:, ::-1])])
    assert regions.shape == (2, 7, 4)
    assert Preprocess(height=64, width=64).beside([scene()]) == ()
    assert Preprocess.from_json(preprocess.to_json()) == preprocess
    assert "regions" not in Preprocess(height=64, width=64).to_json()

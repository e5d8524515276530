"""Masks as results: outlines that give the mask again, areas, colours, pictures."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image

from svertka.results import Classes, ClassScore, Segmentation, class_colours, outlines

MASKS = arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12)))


def filled(polygons: list[list[int]], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """What lies within an odd number of the polygons."""
    rows, columns = np.indices(shape) + 0.5
    inside = np.zeros(shape, bool)
    for polygon in polygons:
        points = np.array(polygon).reshape(-1, 2)
        for (x, first), (other, last) in zip(points, np.roll(points, -1, axis=0), strict=True):
            assert x == other or first == last
            inside ^= (x == other) & (rows > min(first, last)) & (rows < max(first, last)) & (columns < x)
    return inside


@given(MASKS)
def test_outlines_filled_are_the_mask_again(mask: NDArray[np.bool_]) -> None:
    assert np.array_equal(filled(outlines(mask), mask.shape), mask)


def test_an_outline_has_corners_alone_and_a_hole_is_one_more() -> None:
    mask = np.ones((4, 6), bool)
    assert outlines(mask) == [[0, 0, 6, 0, 6, 4, 0, 4]]
    mask[1:3, 2:4] = False
    assert sorted(map(len, outlines(mask))) == [8, 8]


def segmentation() -> Segmentation:
    mask = np.zeros((4, 5), np.uint8)
    mask[1:3, 1:4] = 2
    return Segmentation(mask, ("background", "cat", "dog"))


def test_json_has_area_share_and_polygons_of_what_is_there() -> None:
    told = json.loads(json.dumps(segmentation().to_json()))
    assert (told["height"], told["width"]) == (4, 5)
    assert told["classes"] == [
        {"name": "background", "area": 14, "share": 0.7, "polygons": []},
        {"name": "dog", "area": 6, "share": 0.3, "polygons": [[1, 1, 4, 1, 4, 3, 1, 3]]},
    ]
    assert segmentation().line() == "background (70.0%), dog (30.0%)"


def test_the_mask_is_kept_as_numbers_and_shown_in_colours() -> None:
    written = io.BytesIO()
    result = segmentation()
    result.pictures(np.zeros((4, 5, 3), np.uint8))["mask"].save(written, "PNG")
    again = Image.open(written)
    assert np.array_equal(np.asarray(again), result.mask)
    assert np.array_equal(np.asarray(again.convert("RGB"))[1, 1], class_colours(3)[2])


def test_it_draws_itself_and_leaves_the_background() -> None:
    image = np.full((4, 5, 3), 100, np.uint8)
    drawn = segmentation().draw(image)
    assert (drawn[0] == 100).all()
    assert (drawn[1, 1] != 100).any()
    assert (image == 100).all()


def test_the_colours_are_those_of_voc() -> None:
    assert class_colours(4).tolist() == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]]


def test_pieces_are_joined_in_their_places() -> None:
    whole = segmentation()
    parts = [
        (slice(0, 4), slice(0, 2), Segmentation(whole.mask[:, :2], whole.names)),
        (slice(0, 4), slice(2, 5), Segmentation(whole.mask[:, 2:], whole.names)),
    ]
    assert np.array_equal(parts[0][2].joined(parts, 4, 5).mask, whole.mask)


def test_a_class_of_an_image_cannot_be_put_together_of_pieces() -> None:
    result = Classes((ClassScore("cat", 1.0),))
    place = slice(0, 1)
    assert result.joined([(place, place, result)], 1, 1) is result
    with pytest.raises(ValueError, match="put together"):
        result.joined([(place, place, result)] * 2, 1, 1)


@pytest.mark.parametrize("mask", [np.zeros((2, 2), np.int64), np.zeros(4, np.uint8), np.full((2, 2), 3, np.uint8)])
def test_what_is_no_mask_of_the_classes_is_refused(mask: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match=r"mask|class"):
        Segmentation(mask, ("background", "cat", "dog"))


def test_a_table_has_the_share_of_every_class_that_is_there() -> None:
    mask = np.array([[0, 2, 2, 2]], np.uint8)
    assert Segmentation(mask, ("background", "cat", "dog")).named() == [("dog", 0.75), ("background", 0.25)]

"""What is drawn on an image: in proportion to it, in a colour a class, with a key."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from svertka.results import Detection, Detections, Segmentation, boxed, drawn_colour

SIZES = [(60, 80), (480, 640), (3000, 4000), (40, 900)]


def grey(height: int, width: int) -> NDArray[np.uint8]:
    return np.full((height, width, 3), 128, np.uint8)


def of_colour(picture: NDArray[np.uint8], number: int) -> NDArray[np.bool_]:
    return (picture == drawn_colour(number)).all(axis=2)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_lines_are_in_proportion_to_the_image(height: int, width: int) -> None:
    box = (0.25 * width, 0.5 * height, 0.75 * width, 0.9 * height)
    line = of_colour(boxed(grey(height, width), [box], [""], [0]), 0)[:, width // 2]
    assert line.sum() == 2 * max(1, round((height + width) / 2 / 250))


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("corner", [(0.0, 0.0), (0.9, 0.9), (0.5, 0.02)])
def test_a_label_lies_within_the_image_and_grows_with_it(height: int, width: int, corner: tuple[float, float]) -> None:
    left, top = corner[0] * width, corner[1] * height
    bare = boxed(grey(height, width), [(left, top, width, height)], [""], [0])
    named = boxed(grey(height, width), [(left, top, width, height)], ["a"], [0])
    rows = np.flatnonzero((named != bare).any(axis=(1, 2)))
    assert len(rows)
    assert np.ptp(rows) + 1 >= (height + width) / 2 / 80


def test_every_class_has_a_colour_of_its_own_and_keeps_it() -> None:
    colours = [drawn_colour(number) for number in range(24)]
    assert len(set(colours)) == 24
    assert drawn_colour(24) == drawn_colour(0)


def test_the_first_colours_differ_in_lightness_or_blue_for_those_who_see_no_red() -> None:
    # Of who lacks the cones for long waves, red and green levels are seen as one.
    seen = [((red + 2 * green) / 3, blue) for red, green, blue in map(drawn_colour, range(8))]
    apart = [np.hypot(a[0] - b[0], a[1] - b[1]) for i, a in enumerate(seen) for b in seen[:i]]
    assert min(apart) > 20


def test_a_key_names_the_classes_that_are_there_below_the_image() -> None:
    found = Detections((Detection("dog", 0.9, 5, 30, 60, 70),), ("cat", "dog"))
    image = grey(120, 160)
    assert found.draw(image).shape == image.shape
    shown = found.shown(image)
    assert np.array_equal(shown[:120], found.draw(image))
    assert shown.shape[1:] == image.shape[1:]
    assert of_colour(shown[120:], 1).any()
    assert not of_colour(shown[120:], 0).any()


def test_nothing_found_needs_no_key() -> None:
    assert Detections((), ("cat",)).shown(grey(9, 9)).shape == (9, 9, 3)


def test_the_key_of_a_mask_leaves_the_background_out_and_is_in_the_kept_picture() -> None:
    mask = np.zeros((100, 140), np.uint8)
    mask[20:50] = 2
    found = Segmentation(mask, ("background", "road", "sky"))
    assert found.key() == [("sky", drawn_colour(2))]
    kept = found.pictures(grey(100, 140))
    assert kept["drawn"].height > 100
    assert kept["mask"].size == (140, 100)


@pytest.mark.parametrize("width", [1, 12, 40, 500])
def test_a_key_fits_images_of_any_width(width: int) -> None:
    names = tuple(f"a rather long name of class {number}" for number in range(60))
    found = Segmentation(np.arange(60, dtype=np.uint8).repeat(width).reshape(60, width), names)
    shown = found.shown(grey(60, width))
    assert shown.shape[1] == width
    assert shown.shape[0] > 60

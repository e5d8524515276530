"""Augmentation: a function of (seed, epoch, index), and pixels by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from svertka.data.augment import AUGMENTATIONS, Chance, affine, augment, crop, flip
from svertka.errors import UserError

ALL = tuple(AUGMENTATIONS)


def noise(count: int, height: int = 16, width: int = 12, channels: int = 3) -> NDArray[np.uint8]:
    return np.random.default_rng(count).integers(0, 256, (count, height, width, channels), np.uint8)


def always(*values: float) -> Chance:
    return lambda number: np.array([values[number]])


@pytest.mark.parametrize("names", [("flip",), ("crop",), ("affine",), ALL, ALL[::-1], ("crop", "crop")], ids=str)
def test_a_sample_comes_out_the_same_in_any_company(names: tuple[str, ...]) -> None:
    batch, indices = noise(10), np.arange(10) * 7
    together = augment(batch, names, seed=3, epoch=2, indices=indices)
    for chosen in ([4], [9, 0], [3, 5, 1, 2], list(range(10))[::-1]):
        alone = augment(batch[chosen], names, seed=3, epoch=2, indices=indices[chosen])
        assert np.array_equal(alone, together[chosen])


@pytest.mark.parametrize("name", ALL)
def test_seed_epoch_and_index_all_count(name: str) -> None:
    batch = np.repeat(noise(1), 8, axis=0)
    results = [
        augment(batch, (name,), seed=seed, epoch=epoch, indices=np.arange(start, start + 8)).tobytes()
        for seed, epoch, start in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 8))
    ]
    assert len(set(results)) == 4


def test_the_same_name_twice_draws_twice() -> None:
    batch = np.repeat(noise(1), 16, axis=0)
    once = augment(batch, ("flip",), seed=0, epoch=0, indices=np.arange(16))
    twice = augment(once, ("flip",), seed=0, epoch=0, indices=np.arange(16))
    both = augment(batch, ("flip", "flip"), seed=0, epoch=0, indices=np.arange(16))
    assert np.array_equal(twice, batch)
    assert not np.array_equal(both, batch)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("shape", [(3, 16, 12, 3), (2, 5, 9, 1), (1, 1, 1, 3)], ids=str)
def test_shape_and_type_are_kept_and_the_batch_untouched(name: str, shape: tuple[int, ...]) -> None:
    batch = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    before = batch.copy()
    result = augment(batch, (name,), seed=0, epoch=0, indices=np.arange(len(batch)))
    assert (result.shape, result.dtype) == (shape, np.uint8)
    assert np.array_equal(batch, before)


@pytest.mark.parametrize("name", ALL)
def test_a_plain_image_stays_plain(name: str) -> None:
    batch = np.full((20, 9, 7, 3), (10, 128, 255), np.uint8)
    assert np.array_equal(augment(batch, (name,), seed=0, epoch=0, indices=np.arange(20)), batch)


def test_flip_by_hand() -> None:
    batch = noise(2)
    result = flip(batch, lambda _: np.array([0.49, 0.5]))
    assert np.array_equal(result[0], batch[0, :, ::-1])
    assert np.array_equal(result[1], batch[1])


def test_flip_mirrors_about_half() -> None:
    batch = np.repeat(noise(1), 1000, axis=0)
    result = augment(batch, ("flip",), seed=0, epoch=0, indices=np.arange(1000))
    assert 440 < (result != batch).any(axis=(1, 2, 3)).sum() < 560


def test_crop_by_hand() -> None:
    batch = noise(1, 16, 8)  # up to 2 down, up to 1 right
    assert np.array_equal(crop(batch, always(0.5, 0.5)), batch)
    shifted = crop(batch, always(0.999, 0))[0]  # two rows further down, one column to the left
    assert np.array_equal(shifted[:14, 1:], batch[0, 2:, :7])
    assert np.array_equal(shifted[14, 1:], batch[0, 15, :7])
    assert np.array_equal(shifted[:14, 0], batch[0, 2:, 0])


def test_crop_reaches_every_offset_alike() -> None:
    batch = np.zeros((5000, 8, 8, 1), np.uint8)
    batch[:, 4, 4] = 255
    result = augment(batch, ("crop",), seed=0, epoch=0, indices=np.arange(5000))
    counts = (result == 255).sum(axis=0)[3:6, 3:6, 0]
    assert counts.sum() == 5000
    assert counts.min() > 450


MIDDLE = (0.5, 0.5, 0.5, 0.5)


@pytest.mark.parametrize("shape", [(1, 16, 12, 3), (1, 7, 31, 1)], ids=str)
def test_affine_in_the_middle_of_its_ranges_changes_nothing(shape: tuple[int, ...]) -> None:
    batch = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    assert np.array_equal(affine(batch, always(*MIDDLE)), batch)


@pytest.mark.parametrize("size", [(100, 100), (60, 120)], ids=str)
def test_affine_turns_by_ten_degrees_whatever_the_proportions(size: tuple[int, int]) -> None:
    height, width = size
    level, upright = np.zeros((2, 1, height, width, 1), np.uint8)
    level[0, height // 2 - 1 : height // 2 + 1] = 255
    upright[0, :, width // 2 - 1 : width // 2 + 1] = 255
    for chance, degrees in ((0.0, -10), (1 - 1e-9, 10)):
        rows, columns = np.nonzero(affine(level, always(chance, *MIDDLE[1:]))[0, :, :, 0] > 127)
        assert np.rad2deg(np.arctan(np.polyfit(columns, rows, 1)[0])) == pytest.approx(-degrees, abs=0.5)
        rows, columns = np.nonzero(affine(upright, always(chance, *MIDDLE[1:]))[0, :, :, 0] > 127)
        assert np.rad2deg(np.arctan(np.polyfit(rows, columns, 1)[0])) == pytest.approx(degrees, abs=0.5)


def test_affine_scales_by_a_tenth_and_drifts_by_six_hundredths() -> None:
    batch = np.zeros((1, 100, 100, 1), np.uint8)
    batch[0, 40:60, 40:60] = 255

    def extent(*chances: float) -> tuple[int, int, int, int]:
        rows, columns = np.nonzero(affine(batch, always(*chances))[0, :, :, 0] > 127)
        return int(rows.min()), int(rows.max()) + 1, int(columns.min()), int(columns.max()) + 1

    assert extent(0.5, 1, 0.5, 0.5) == (39, 61, 39, 61)
    assert extent(0.5, 0, 0.5, 0.5) == (41, 59, 41, 59)
    assert extent(0.5, 0.5, 1, 0.5) == (40, 60, 34, 54)
    assert extent(0.5, 0.5, 0.5, 0) == (46, 66, 40, 60)


def test_an_unknown_name_is_named_with_the_nearest() -> None:
    with pytest.raises(UserError, match="unknown augmentation 'flipp'; did you mean flip"):
        augment(noise(1), ("flipp",), seed=0, epoch=0, indices=np.arange(1))


def test_none_changes_nothing() -> None:
    batch = noise(2)
    assert augment(batch, (), seed=0, epoch=0, indices=np.arange(2)) is batch

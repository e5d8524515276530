"""Augmentation: a function of (seed, epoch, index), and pixels by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from svertka.data.augmentation.augment import AUGMENTATIONS, augment, augment_together
from svertka.data.augmentation.changes import Chance, affine, colour, crop, flip, resized_crop, rotation
from svertka.errors import UserError

ALL = tuple(AUGMENTATIONS)
MOVING = tuple(name for name in ALL if AUGMENTATIONS[name].moves and name != "randaugment")


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


@pytest.mark.parametrize("name", MOVING)
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


@pytest.mark.parametrize("name", [*MOVING, "randaugment"])
@pytest.mark.parametrize("size", [(24, 24), (20, 36)], ids=str)
def test_masks_and_boxes_move_with_the_pixels(name: str, size: tuple[int, int]) -> None:
    """A bright rectangle: where the image is bright, the mask says so, and the box is around it."""
    height, width = size
    count = 60
    images = np.zeros((count, height, width, 3), np.uint8)
    masks = np.zeros((count, height, width), np.uint8)
    generator = np.random.default_rng(0)
    boxes = []
    for number in range(count):
        left, top = generator.integers(0, width - 9), generator.integers(0, height - 9)
        right, bottom = left + generator.integers(5, 10), top + generator.integers(5, 10)
        images[number, top:bottom, left:right] = 255
        masks[number, top:bottom, left:right] = 1
        boxes.append(np.array([[left, top, right, bottom]], float))
    moved = augment_together(images, (name,), seed=4, epoch=1, indices=np.arange(count), masks=masks, boxes=boxes)
    same = augment(images, (name,), seed=4, epoch=1, indices=np.arange(count))
    assert np.array_equal(moved.images, same)
    assert moved.masks is not None
    assert (moved.masks != masks).any()
    apart = []
    for number in range(count):
        inside, bright = moved.masks[number] == 1, moved.images[number, :, :, 0] > 127
        seen = moved.masks[number] != 255
        if name != "randaugment":
            apart.append(np.mean(inside[seen] != bright[seen]))
            assert apart[-1] <= 0.08
        rows, columns = np.nonzero(inside)
        if len(moved.boxes[number]) and len(rows):
            ((left, top, right, bottom),) = moved.boxes[number].tolist()
            assert columns.min() >= left - 1
            assert columns.max() + 1 <= right + 1
            assert rows.min() >= top - 1
            assert rows.max() + 1 <= bottom + 1
    if apart:
        assert np.mean(apart) < 0.02
    if name in ("flip", "flip_vertical"):
        assert not any(apart)


@pytest.mark.parametrize(
    "names", [("flip",), ("flip_vertical",), ("crop",), ("flip", "crop", "flip_vertical")], ids=str
)
def test_whole_moves_are_exact(names: tuple[str, ...]) -> None:
    batch = noise(20, 16, 12, 1)
    masks = batch[..., 0] % 200
    moved = augment_together(batch, names, seed=0, epoch=0, indices=np.arange(20), masks=masks)
    assert moved.masks is not None
    seen = moved.masks != 255
    assert np.array_equal(moved.masks[seen], (moved.images[..., 0] % 200)[seen])
    assert seen.mean() > 0.8
    assert seen.all() == ("crop" not in names)


def test_boxes_by_hand() -> None:
    batch = noise(1, 10, 20)
    boxes = [np.array([[1.0, 2.0, 5.0, 7.0], [0.0, 0.0, 20.0, 10.0]])]
    for seed in range(4):
        moved = augment_together(batch, ("flip",), seed=seed, epoch=0, indices=np.zeros(1, int), boxes=boxes)
        mirrored = not np.array_equal(moved.images, batch)
        assert moved.boxes[0].tolist() == ([[15, 2, 19, 7]] if mirrored else [[1, 2, 5, 7]]) + [[0, 0, 20, 10]]
    assert moved.boxes[0].dtype == np.float32


def test_a_box_is_clipped_and_dropped_where_less_than_a_quarter_is_left() -> None:
    batch = noise(400, 16, 16)
    boxes = [np.array([[0.0, 4.0, 4.0, 8.0], [4.0, 4.0, 12.0, 12.0]])] * 400
    moved = augment_together(batch, ("crop", "crop"), seed=0, epoch=0, indices=np.arange(400), boxes=boxes)
    widths = {
        round(float(found[0, 2] - found[0, 0]))
        for found, kept in zip(moved.boxes, moved.kept, strict=True)
        if 0 in kept
    }
    assert widths == {1, 2, 3, 4}
    assert {tuple(kept.tolist()) for kept in moved.kept} == {(0, 1), (1,)}


def test_no_boxes_and_empty_boxes_are_kept_apart() -> None:
    moved = augment_together(noise(2), ALL, seed=0, epoch=0, indices=np.arange(2), boxes=[np.empty((0, 4))] * 2)
    assert [found.shape for found in moved.boxes] == [(0, 4), (0, 4)]
    assert augment_together(noise(2), ALL, seed=0, epoch=0, indices=np.arange(2)).boxes == []


@pytest.mark.parametrize(
    "name", [name for name, known in AUGMENTATIONS.items() if not (known.moves or known.points or known.around)]
)
def test_what_moves_nothing_leaves_masks_and_boxes(name: str) -> None:
    batch, masks, boxes = noise(6), noise(6)[..., 0], [np.array([[1.0, 2.0, 3.0, 4.0]])] * 6
    moved = augment_together(batch, (name,), seed=0, epoch=0, indices=np.arange(6), masks=masks, boxes=boxes)
    assert moved.masks is masks
    assert all(np.array_equal(found, boxes[0]) for found in moved.boxes)
    assert not np.array_equal(moved.images, batch)


def test_rotation_turns_by_thirty_degrees() -> None:
    image = np.zeros((1, 101, 101, 1), np.uint8)
    image[0, 48:53] = 255
    for chance, degrees in ((0.0, -30), (1 - 1e-9, 30)):
        rows, columns = np.nonzero(rotation(image, always(chance))[0, 20:80, 20:80, 0] > 127)
        assert np.rad2deg(np.arctan(np.polyfit(columns, rows, 1)[0])) == pytest.approx(-degrees, abs=1)


def test_resized_crop_takes_what_it_is_told() -> None:
    batch = np.zeros((1, 40, 40, 1), np.uint8)
    batch[0, 20:, 20:] = 200  # the lower right quarter
    assert (resized_crop(batch, always(0.0, 0.5, 1 - 1e-9, 1 - 1e-9)) == 200).all()
    assert np.array_equal(resized_crop(batch, always(1 - 1e-12, 0.5, 0.5, 0.5)), batch)


def test_colour_in_the_middle_of_its_ranges_changes_nearly_nothing() -> None:
    batch = noise(1)
    assert np.abs(colour(batch, always(*MIDDLE)).astype(int) - batch).max() <= 2
    dark = colour(batch, always(0.0, 0.5, 0.5, 0.5))
    assert np.abs(dark - 0.6 * batch).max() <= 3


def test_erasing_covers_a_rectangle_of_half_of_the_images() -> None:
    batch = noise(400, 20, 20)
    changed = (augment(batch, ("erasing",), seed=0, epoch=0, indices=np.arange(400)) != batch).any(axis=3)
    share = changed.mean(axis=(1, 2))
    assert 150 < (share > 0).sum() < 250
    assert share[share > 0].min() > 0.005
    assert share.max() <= 0.36
    for found in changed[share > 0][:20]:
        rows, columns = np.flatnonzero(found.any(axis=1)), np.flatnonzero(found.any(axis=0))
        assert found[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].mean() > 0.95


def test_randaugment_draws_all_of_its_operations() -> None:
    from svertka.data.augmentation.changes import _RAND_OPERATIONS, _rand_drawn
    from svertka.data.chance import uniform

    drawn, sign = _rand_drawn(1, lambda number: uniform(0, 0, np.arange(3000), number))
    assert sorted(set(drawn.tolist())) == list(range(len(_RAND_OPERATIONS)))
    assert np.bincount(drawn).min() > 150
    assert 0.45 < (sign > 0).mean() < 0.55

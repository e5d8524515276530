"""Whole images and their masks: kept as they are, cut and moved together, covered by pieces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from svertka.annotations import Mask
from svertka.data.batching.batches import Loader, Part
from svertka.data.batching.laid import Crops, Pieces, Whole
from svertka.data.cache.mask_images import load_masks
from svertka.data.preparing import Prepared, prepare
from svertka.data.readers.masks import read_masks
from svertka.runtime.preprocess import Preprocess

SIZES = ((40, 50), (64, 33), (20, 90))
PIECE = Preprocess(height=32, width=32, fit="whole")
TABLE = np.arange(256, dtype=np.uint8)


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SVERTKA_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images whose red is the class of the pixel times 40."""
    rng = np.random.default_rng(0)
    for place in ("images", "masks"):
        (tmp_path / "data" / place).mkdir(parents=True)
    for number, size in enumerate(SIZES):
        classes = np.kron(rng.integers(0, 6, (10, 10)), np.ones((9, 9), int))[: size[0], : size[1]].astype(np.uint8)
        image = np.stack([classes * 40, rng.integers(0, 256, classes.shape, np.uint8), classes], axis=2)
        Image.fromarray(image).save(tmp_path / "data" / "images" / f"{number}.png")
        Image.fromarray(classes).save(tmp_path / "data" / "masks" / f"{number}.png")
    return tmp_path / "data"


def prepared(folder: Path) -> Prepared:
    return prepare(folder, PIECE, val_fraction=0, seed=0)


def agree(images: NDArray[np.float32], masks: NDArray[np.generic]) -> None:
    said = masks != 255
    assert said.mean() > 0.5
    red = np.rint(images[:, 0] * 255 / 40)
    assert np.array_equal(red[said], masks[said])


def test_whole_images_and_masks_are_kept_and_found_again(folder: Path) -> None:
    first, second = prepared(folder), prepared(folder)
    for found in (first, second):
        assert found.images.shapes == tuple((*size, 3) for size in sorted(SIZES, key=SIZES.index))
        assert found.masks is not None
        for number, size in enumerate(SIZES):
            (mask,) = found.masks.each(np.array([number]))
            assert mask.shape == (*size, 1)
            assert np.array_equal(mask[..., 0], np.asarray(Image.open(folder / "masks" / f"{number}.png")))


def test_they_are_decoded_anew_where_nothing_is_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = prepared(folder)
    monkeypatch.setenv("SVERTKA_CACHE_GB", "0.000001")
    monkeypatch.setenv("SVERTKA_CACHE", str(folder / "other"))
    anew = prepared(folder)
    assert anew.images.pixels is None
    for number in range(len(SIZES)):
        position = np.array([number])
        assert np.array_equal(kept.images.each(position)[0], anew.images.each(position)[0])


def test_void_and_every_number_survive_the_cache(tmp_path: Path) -> None:
    for place in ("images", "masks"):
        (tmp_path / place).mkdir()
    numbers = np.array([[0, 1, 2, 255]], np.uint8)
    Image.fromarray(numbers).save(tmp_path / "masks" / "a.png")
    Image.new("RGB", (4, 1)).save(tmp_path / "images" / "a.png")
    (sample,) = read_masks(tmp_path).parts["all"]
    assert isinstance(sample.annotation, Mask)
    assert np.array_equal(load_masks([sample.annotation]).take(np.array([0]))[0, ..., 0], numbers)


def test_an_image_whose_mask_has_another_size_is_left_out(folder: Path) -> None:
    Image.new("L", (7, 7)).save(folder / "masks" / "1.png")
    found = prepared(folder)
    assert [item.file for item in found.skipped] == ["images/1.png"]
    assert "7×7" in found.skipped[0].error
    assert found.counts == {"train": 2}


@pytest.mark.parametrize("names", [(), ("flip",), ("flip", "flip_vertical", "crop"), ("erasing",)])
def test_images_and_masks_are_cut_and_moved_together(folder: Path, names: tuple[str, ...]) -> None:
    found = prepared(folder)
    assert found.masks is not None
    crops = Crops(found.images, found.masks, np.arange(3), PIECE, [name for name in names if name != "erasing"])
    tables = np.stack([TABLE] * 3)
    seen = []
    for epoch in range(4):
        images, masks = crops.pair(np.arange(3), epoch, tables)
        assert images.shape == (3, 3, 32, 32)
        agree(images, masks)
        seen.append(images.tobytes())
    assert len(set(seen)) == 4
    again, _ = crops.pair(np.array([2]), 3, tables[:1])
    assert np.array_equal(again[0], crops.pair(np.arange(3), 3, tables)[0][2])


def test_bent_images_and_masks_stay_together(folder: Path) -> None:
    found = prepared(folder)
    assert found.masks is not None
    crops = Crops(found.images, found.masks, np.arange(3), PIECE, ("elastic",))
    images, masks = crops.pair(np.arange(3), 0, np.stack([TABLE] * 3))
    said = masks != 255
    # Images are taken between pixels, masks at the nearest one: they may differ at borders of classes alone.
    assert np.mean(np.rint(images[:, 0] * 255 / 40)[said] == masks[said]) > 0.8
    plain, _ = Crops(found.images, found.masks, np.arange(3), PIECE).pair(np.arange(3), 0, np.stack([TABLE] * 3))
    assert not np.array_equal(images, plain)


def test_what_judges_comes_whole_and_one_at_a_time(folder: Path) -> None:
    found = prepared(folder)
    assert found.masks is not None
    part = Part(Whole(found.images, found.masks, np.arange(3), PIECE), np.stack([TABLE] * 3))
    batches = list(Loader(part, 2).in_order())
    assert [tuple(batch.targets.shape) for batch in batches] == [(1, *size) for size in SIZES]
    for batch in batches:
        agree(batch.inputs.numpy(), batch.targets.numpy())


def test_pieces_cover_every_pixel(folder: Path) -> None:
    found = prepared(folder)
    assert found.masks is not None
    pieces = Pieces(found.images, PIECE)
    assert len(set(pieces.digests)) == len(pieces.digests)
    for number, size in enumerate(SIZES):
        mine = pieces.of(np.array([number]))
        covered = np.zeros(size, bool)
        for _, top, left in pieces.places[mine].tolist():
            covered[max(top, 0) : top + 32, max(left, 0) : left + 32] = True
        assert covered.all()
        images, masks = pieces.take(mine), pieces.cut(found.masks, mine)[..., 0]
        assert np.array_equal(images[..., 2], masks)

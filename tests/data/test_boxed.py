"""Boxes reach the network as they lie in the image, whatever is done to it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from svertka.annotations import Box, Boxes
from svertka.data.augmentation.augment import AUGMENTATIONS, augment_together
from svertka.data.augmentation.mosaic import Mosaic
from svertka.data.batching.batches import Loader, Part
from svertka.data.batching.boxed import Boxed, RememberedBoxed
from svertka.data.batching.handling import inputs_of
from svertka.data.cache.images import load_images
from svertka.data.cache.memory import VIEWS
from svertka.data.preparing import learnable_classes, prepare
from svertka.data.samples import ImageFile
from svertka.runtime.preprocess import Preprocess
from svertka.training.recipe import Recipe

SIDE = 64
SIZE = Preprocess(height=SIDE, width=SIDE, mean=(0, 0, 0), std=(1, 1, 1))
COUNT = 12


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], NDArray[np.float32]]:
    """Images of several sizes with two bright rectangles each, and where these are."""
    folder, rng = tmp_path_factory.mktemp("squares"), np.random.default_rng(0)
    files, targets = [], np.zeros((COUNT, 3, 6), np.float32)
    targets[..., 0] = -1
    for number in range(COUNT):
        height, width = (int(side) for side in rng.integers(100, 160, 2))
        pixels = np.full((height, width, 3), 30, np.uint8)
        for place in range(2):
            left, top = int(rng.integers(5, 30)) + place * 45, int(rng.integers(5, 50))
            wide, high = (int(side) for side in rng.integers(16, 24, 2))
            pixels[top : top + high, left : left + wide, place] = 255
            sides = left / width, top / height, (left + wide) / width, (top + high) / height
            targets[number, place] = place, *sides, 0
        files.append(folder / f"{number}.png")
        Image.fromarray(pixels).save(files[-1])
    return files, targets


def seen(image: NDArray[np.float32], place: int) -> tuple[float, float, float, float] | None:
    """The rectangle around what is bright in this channel, ``(C, H, W)``, as shares."""
    bright = image[place] > 0.55
    if bright.sum() < 8:
        return None
    rows, columns = np.flatnonzero(bright.any(axis=1)), np.flatnonzero(bright.any(axis=0))
    return columns[0] / SIDE, rows[0] / SIDE, (columns[-1] + 1) / SIDE, (rows[-1] + 1) / SIDE


@pytest.mark.parametrize(
    "names", [(), ("flip",), ("flip_vertical", "crop"), ("box_crop",), ("zoom_out",), ("flip", "box_crop", "zoom_out")]
)
def test_boxes_are_where_the_pixels_are(
    squares: tuple[list[Path], NDArray[np.float32]], names: tuple[str, ...]
) -> None:
    files, targets = squares
    images = load_images([ImageFile(path) for path in files], SIZE)
    inputs = Boxed(images, np.arange(COUNT), SIZE, names)
    moved = 0
    for epoch in range(4):
        batch, boxes = inputs.pair(np.arange(COUNT), epoch, targets)
        assert boxes.shape == targets.shape
        for image, told, before in zip(batch, boxes, targets, strict=True):
            for row in told[told[:, 0] >= 0]:
                found = seen(image, int(row[0]))
                if ((row[3:5] - row[1:3]) * SIDE).min() < 5:
                    continue  # so small that its edges are grey
                assert found is not None
                assert np.abs(row[1:5] - found).max() < 2.5 / SIDE
                moved += np.abs(row[1:5] - before[int(row[0]), 1:5]).max() > 0.02
    assert bool(moved) == bool(names)
    if "box_crop" not in names:  # which goes by the boxes
        assert np.array_equal(inputs.take(np.arange(3), 1), inputs.pair(np.arange(3), 1, targets[:3])[0])


def test_what_was_remembered_of_a_view_has_its_boxes(squares: tuple[list[Path], NDArray[np.float32]]) -> None:
    files, targets = squares
    images = load_images([ImageFile(path) for path in files], SIZE)
    pixels = images.take(np.arange(COUNT))

    class Kept:
        """Remembers the pixels themselves."""

        def __init__(self, view: str) -> None:
            self.batch = SIZE.normalise(VIEWS[view](pixels))

        def __len__(self) -> int:
            return COUNT

        def take(self, indices: NDArray[np.int64], epoch: int) -> NDArray[np.float32]:
            del epoch
            return self.batch[indices]

        def views(self, indices: NDArray[np.int64], epoch: int) -> NDArray[np.int64]:
            del epoch
            return np.zeros(len(indices), np.int64)

    for view in VIEWS:
        batch, boxes = RememberedBoxed(Kept(view), (view,), (SIDE, SIDE)).pair(np.arange(COUNT), 0, targets)
        for image, told in zip(batch, boxes, strict=True):
            for row in told[told[:, 0] >= 0]:
                found = seen(image, int(row[0]))
                assert found is not None
                assert np.abs(row[1:5] - found).max() < 2.5 / SIDE


def test_a_part_shows_an_object_that_is_there() -> None:
    boxes = [np.array([[4.0, 4.0, 14.0, 12.0]])] * 200
    batch = np.zeros((200, 40, 50, 3), np.uint8)
    moved = augment_together(batch, ("box_crop",), seed=0, epoch=0, indices=np.arange(200), boxes=boxes)
    widths = np.array([found[0, 2] - found[0, 0] for found in moved.boxes if len(found)])
    assert len(widths) > 190
    assert (widths > 10.5).mean() > 0.5
    assert widths.max() > 20
    assert ((widths > 9.9) & (widths < 10.1)).mean() > 0.1  # the whole image, or no part that suits


@pytest.mark.parametrize("weights", [None, "efficientnet_lite0"])
def test_by_default_objects_are_learnt_at_the_size_that_they_have(weights: str | None) -> None:
    names = Recipe.of({"weights": weights}, kind="detector").augment
    boxes = [np.array([[20.0, 16.0, 30.0, 24.0]])] * 100
    batch = np.zeros((100, 40, 50, 3), np.uint8)
    moved = augment_together(batch, names, seed=0, epoch=0, indices=np.arange(100), boxes=boxes)
    sides = np.concatenate(moved.boxes)
    assert np.abs(sides[:, 2:] - sides[:, :2] - [10, 8]).max() < 1e-3
    assert len(np.unique(sides[:, 0])) > 5


def test_zooming_out_makes_half_of_the_images_smaller() -> None:
    batch = np.full((300, 32, 32, 3), 200, np.uint8)
    boxes = [np.array([[0.0, 0.0, 32.0, 32.0]])] * 300
    moved = augment_together(batch, ("zoom_out",), seed=0, epoch=0, indices=np.arange(300), boxes=boxes)
    sides = np.array([found[0, 2] - found[0, 0] for found in moved.boxes])
    assert 0.4 < (sides < 31.5).mean() < 0.6
    assert sides.min() < 10


def test_mosaics_keep_every_box_where_its_pixels_are(squares: tuple[list[Path], NDArray[np.float32]]) -> None:
    files, targets = squares
    images = load_images([ImageFile(path) for path in files], SIZE)
    part = Part(Boxed(images, np.arange(COUNT), SIZE, ("flip",)), targets, mosaic=Mosaic())
    (batch,) = Loader(part, COUNT).training(0)
    (again,) = Loader(part, COUNT).training(0)
    assert batch.inputs.equal(again.inputs)
    assert batch.targets.shape == (COUNT, 4 * targets.shape[1], 6)
    counts = (batch.targets[..., 0] >= 0).sum(dim=1)
    assert set(counts.tolist()) == {2, 8}
    for image, told in zip(batch.inputs.numpy(), batch.targets.numpy(), strict=True):
        for label, left, top, right, bottom, _ in told[told[:, 0] >= 0]:
            rows = slice(*(np.array([top, bottom]) * SIDE).round().astype(int).tolist())
            columns = slice(*(np.array([left, right]) * SIDE).round().astype(int).tolist())
            inside = image[int(label), rows, columns]
            assert inside.size > 0
            assert inside.mean() > 0.6


def test_boxes_are_mended_and_have_the_size_of_their_image(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for name in ("a", "b", "c", "d"):
        Image.new("RGB", (40, 30), "white" if name == "a" else "grey").save(tmp_path / f"{name}.png")
    lines = [
        "file,label,left,top,right,bottom,split",
        "a.png,cell,30,5,10,20,train",
        "a.png,cell,20,20,60,40,train",
        "a.png,cell,5,5,5,9,train",
        "b.png,cell,1,1,9,9,train",
        "c.png,,,,,,train",
        "d.png,cell,0,0,4,4,val",
    ]
    (tmp_path / "boxes.csv").write_text("\n".join(lines))
    prepared = prepare(tmp_path / "boxes.csv", SIZE, val_fraction=0.2, seed=0)
    assert prepared.task is not None
    assert prepared.task.name == "detection"
    assert learnable_classes(prepared) == ("cell",)
    first, second, third = prepared.parts["train"].labels
    assert first == Boxes((Box("cell", 10, 5, 30, 20), Box("cell", 20, 20, 40, 30)), (30, 40))
    assert isinstance(second, Boxes)
    assert third == Boxes((), (30, 40))
    assert isinstance(inputs_of(prepared, "train", SIZE, learning=True, augmentations=("flip",)), Boxed)


def test_augmentations_for_boxes_need_none() -> None:
    batch = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), np.uint8)
    for name in ("box_crop", "zoom_out"):
        assert name in AUGMENTATIONS
        moved = augment_together(batch, (name,), seed=0, epoch=0, indices=np.arange(4))
        assert moved.images.shape == batch.shape
        assert moved.boxes == []

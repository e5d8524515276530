"""A contact sheet of augmentation: some images of a data set, each beside what training makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from svertka.annotations import Boxes, Mask, names_in
from svertka.data.augmentation.augment import augment_together, check_names
from svertka.data.augmentation.mixing import MIXTURES, Mixing
from svertka.data.readers.reading import open_dataset
from svertka.data.samples import images_only
from svertka.errors import UserError
from svertka.runtime.files import replacing
from svertka.runtime.preprocess import Preprocess

if TYPE_CHECKING:
    from svertka.data.samples import Dataset, Sample

_ROWS, _VARIANTS = 8, 7
_SIDE, _GAP = 128, 4  # pixels
_TRIED = 64  # images, of which some may be unreadable
_COLOURS = np.array([[230, 60, 60], [60, 160, 230], [70, 190, 90], [240, 180, 40], [170, 90, 220]], np.uint8)
_MASK_WEIGHT = 0.45


def show_augmented(
    data: Path,
    names: Sequence[str],
    out: Path,
    *,
    format: str | None = None,  # noqa: A002 (the user's word)
    seed: int = 0,
) -> None:
    """Write a PNG: a row for each of up to eight images of different classes, the image and seven of its variants.

    The variants are those of the first seven epochs with this seed, if these were the images to learn from. Boxes and
    masks are drawn as they have moved with the pixels.

    Raises:
        UserError: There is no augmentation of that name, no image that can be read, or the file cannot be written.
    """
    names = [name for name in names if name != "none"]
    check_names(names)
    shown = _read(images_only(open_dataset(data, format)))
    if not shown:
        raise UserError("no image that can be read", where=data)
    images = np.stack([image for image, _, _ in shown])
    masks = np.stack([np.full((_SIDE, _SIDE), 255, np.uint8) if mask is None else mask for _, mask, _ in shown])
    boxes = [found for _, _, found in shown]
    columns = [[_drawn(image, mask, found) for image, mask, found in zip(images, masks, boxes, strict=True)]]
    indices = np.arange(len(shown))
    mixtures = [name for name in names if name in MIXTURES]
    for epoch in range(_VARIANTS):
        moved = augment_together(images, names, seed=seed, epoch=epoch, indices=indices, masks=masks, boxes=boxes)
        assert moved.masks is not None
        pixels = _mixed(moved.images, mixtures, indices, seed, epoch) if mixtures else moved.images
        columns.append(
            [_drawn(image, mask, found) for image, mask, found in zip(pixels, moved.masks, moved.boxes, strict=True)]
        )
    step = _SIDE + _GAP
    sheet = Image.new("RGB", (step * len(columns) + 2 * _GAP, step * len(shown) + _GAP), "white")
    for column, pictures in enumerate(columns):
        for row, picture in enumerate(pictures):
            # The original stands a little apart.
            sheet.paste(picture, (_GAP + column * step + (_GAP if column else 0), _GAP + row * step))
    with replacing(out) as file:
        sheet.save(file, "PNG")


Shown = tuple[NDArray[np.uint8], NDArray[np.uint8] | None, NDArray[np.float32]]


def _read(dataset: Dataset) -> list[Shown]:
    samples = dataset.parts.get("train") or next(iter(dataset.parts.values()))
    preprocess = Preprocess(height=_SIDE, width=_SIDE)
    shown: list[Shown] = []
    for sample in _of_different_classes(samples)[:_TRIED]:
        try:
            image, _ = sample.source.load()
            mask = sample.annotation.source.load() if isinstance(sample.annotation, Mask) else None
        except UserError:
            continue
        if mask is not None:
            mask = np.asarray(Image.fromarray(mask).resize((_SIDE, _SIDE), Image.Resampling.NEAREST))
        shown.append((preprocess.place(image), mask, _boxes(sample, image.shape[0], image.shape[1])))
        if len(shown) == _ROWS:
            break
    return shown


def _of_different_classes(samples: Sequence[Sample]) -> list[Sample]:
    firsts: dict[tuple[str, ...], Sample] = {}
    for sample in samples:
        firsts.setdefault(tuple(sorted(set(names_in(sample.annotation)))), sample)
    chosen = {id(sample) for sample in firsts.values()}
    return [*firsts.values(), *(sample for sample in samples if id(sample) not in chosen)]


def _boxes(sample: Sample, height: int, width: int) -> NDArray[np.float32]:
    boxes = sample.annotation.boxes if isinstance(sample.annotation, Boxes) else ()
    edges = np.array([[box.left, box.top, box.right, box.bottom] for box in boxes], np.float32).reshape(-1, 4)
    scale = np.array([_SIDE / width, _SIDE / height] * 2, np.float32)
    return edges[np.isfinite(edges).all(axis=1)] * scale


def _mixed(
    images: NDArray[np.uint8], names: Sequence[str], indices: NDArray[np.int64], seed: int, epoch: int
) -> NDArray[np.uint8]:
    mixing = Mixing(names, _no_targets, seed)
    inputs = images.transpose(0, 3, 1, 2).astype(np.float32)
    others = inputs[mixing.partners(indices, epoch, len(images))]
    mixing.mix(inputs, others, indices, epoch)
    return inputs.round().astype(np.uint8).transpose(0, 2, 3, 1)


def _no_targets(targets: NDArray[Any], others: NDArray[Any], shares: NDArray[np.float64]) -> NDArray[Any]:
    del others, shares
    return targets


def _drawn(image: NDArray[np.uint8], mask: NDArray[np.uint8], boxes: NDArray[np.float32]) -> Image.Image:
    said = (mask != 255) & (mask != 0)
    tinted = image.copy()
    colours = _COLOURS[(mask[said].astype(int) - 1) % len(_COLOURS)]
    tinted[said] = ((1 - _MASK_WEIGHT) * image[said] + _MASK_WEIGHT * colours).astype(np.uint8)
    picture = Image.fromarray(tinted)
    draw = ImageDraw.Draw(picture)
    for left, top, right, bottom in boxes.tolist():
        if right > left and bottom > top:
            draw.rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), outline=tuple(_COLOURS[0].tolist()))
    return picture

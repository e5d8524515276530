"""From a data set on disk to parts that can be trained on: decoded, divided, counted."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svertka.annotations import Annotation, Boxes, Mask, Picture, class_names, names_in
from svertka.data.images import Advance, Images, load_images
from svertka.data.reading import open_dataset
from svertka.data.samples import Dataset, Sample, Skipped
from svertka.data.split import split_by_class, split_by_labels
from svertka.errors import UserError
from svertka.runtime.image import ImageError
from svertka.runtime.preprocess import Preprocess

_MEASURED = 5000  # images that mean and deviation are taken from, at most


@dataclass(frozen=True)
class Division:
    """One part of a divided data set: where its samples stand, and what is said of them."""

    positions: NDArray[np.int64]
    labels: tuple[Annotation, ...]


@dataclass(frozen=True)
class Prepared:
    """A data set that is ready.

    Attributes:
        dataset: As it was read.
        samples: All that can be used, in order; positions count in them.
        images: Their pixels.
        parts: By name: ``train``, ``val``, ``test``, or ``all`` where nothing was asked to be held out.
        skipped: Files and records left out.
        fingerprint: Digest of all contents, labels and folders of a split; names and order do not matter.
        notes: Choices that were made, for the user to see.
    """

    dataset: Dataset
    samples: list[Sample]
    images: Images
    parts: dict[str, Division]
    skipped: list[Skipped]
    fingerprint: str
    notes: list[str]

    @property
    def counts(self) -> dict[str, int]:
        """Number of images by part."""
        return {part: len(division.positions) for part, division in self.parts.items()}

    def per_class(self, part: str) -> dict[str, int]:
        """Number of images by class in a part."""
        return dict(Counter(name for label in self.parts[part].labels for name in names_in(label)))


def prepare(
    path: Path,
    preprocess: Preprocess,
    *,
    val_fraction: float,
    seed: int,
    divide_if: str | None = None,
    format: str | None = None,  # noqa: A002 (the user's word)
    advance: Advance | None = None,
) -> Prepared:
    """Read, decode and divide the data set at ``path``.

    Args:
        path: A data set as `open_dataset` takes it.
        preprocess: Its geometry.
        val_fraction: Share of the training images to hold out where the data set names no validation part.
        seed: Of that division.
        divide_if: Divide an undivided data set only if it has this fingerprint.
        format: The format to insist on.
        advance: Told how decoding goes.

    Raises:
        UserError: There is nothing usable, or it cannot be divided.
    """
    dataset = open_dataset(path, format)
    parts_of, samples = _flat(dataset)
    images = load_images([sample.source for sample in samples], preprocess, advance=advance)
    skipped = dataset.skipped + [
        Skipped(samples[position].name, _without_place(error)) for position, error in sorted(images.errors.items())
    ]
    if len(images.errors) == len(samples):
        raise UserError(
            f"none of the {len(samples)} images can be read; the first, {skipped[-len(samples)].file}: "
            f"{skipped[-len(samples)].error}",
            where=path,
        )
    positions: dict[str, list[int]] = {}
    for position, part in enumerate(parts_of):
        if position not in images.errors:
            positions.setdefault(part, []).append(position)
    labels = [sample.annotation for sample in samples]
    notes = list(dataset.notes)
    fingerprint = _fingerprint(positions, labels, images.digests)
    if divide_if in (None, fingerprint):
        _divide(positions, labels, images.digests, val_fraction, seed, notes)
    parts = {
        part: Division(np.asarray(positions[part], np.int64), tuple(labels[position] for position in positions[part]))
        for part in ("train", "val", "test", "all")
        if positions.get(part)
    }
    return Prepared(dataset, samples, images, parts, skipped, fingerprint, notes)


def learnable_classes(prepared: Prepared) -> tuple[str, ...]:
    """The classes of the training part.

    Raises:
        UserError: There is no training part, only one class, or another part has classes that training lacks.
    """
    root = prepared.dataset.root
    if "train" not in prepared.parts:
        raise UserError("nothing to train on", where=root, mend="name a folder or a split 'train'")
    classes = class_names(prepared.parts["train"].labels)
    if len(classes) < 2:
        raise UserError(
            f"only one class, {classes[0]!r}" if classes else "no image has a label",
            where=root,
            mend="a classifier needs at least two: a folder for each, or a name for each in the CSV",
        )
    for part in ("val", "test"):
        extra = sorted(prepared.per_class(part).keys() - set(classes)) if part in prepared.parts else []
        if extra:
            raise UserError(
                f"{part} has the class {extra[0]!r}, which train lacks",
                where=root,
                mend="add it to train or remove it",
            )
    return classes


def measure(prepared: Prepared) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of the training images by channel, in units where white is 1."""
    positions = prepared.parts["train"].positions
    positions = positions[:: max(1, len(positions) // _MEASURED)]
    counts = np.zeros((prepared.images.preprocess.channels, 256), np.int64)
    for start in range(0, len(positions), 64):
        pixels = prepared.images.take(positions[start : start + 64])
        for channel in range(len(counts)):
            counts[channel] += np.bincount(pixels[..., channel].ravel(), minlength=256)
    values = np.arange(256) / 255
    share = counts / counts.sum(axis=1, keepdims=True)
    mean = share @ values
    deviation = np.sqrt(np.maximum(share @ values**2 - mean**2, 0))
    # A set of images of one colour would ask for a division by nought.
    return tuple(np.round(mean, 4).tolist()), tuple(np.round(np.maximum(deviation, 1e-3), 4).tolist())


def _flat(dataset: Dataset) -> tuple[list[str], list[Sample]]:
    # A CSV may name a split for some records only; what has none is there to learn from.
    undivided = "all" if set(dataset.parts) == {"all"} else "train"
    pairs = [
        (undivided if part == "all" else part, sample) for part, samples in dataset.parts.items() for sample in samples
    ]
    return [part for part, _ in pairs], [sample for _, sample in pairs]


def _divide(
    positions: dict[str, list[int]],
    labels: list[Annotation],
    digests: tuple[str, ...],
    fraction: float,
    seed: int,
    notes: list[str],
) -> None:
    if "all" in positions:
        positions["train"] = positions.pop("all")
    if "val" in positions or "train" not in positions or not fraction:
        return
    pool = positions["train"]
    chosen, contents = [labels[position] for position in pool], [digests[position] for position in pool]
    if all(isinstance(label, str) for label in chosen):
        learn, held = split_by_class(
            [label for label in chosen if isinstance(label, str)], contents, fraction=fraction, seed=seed
        )
    else:
        learn, held = split_by_labels([names_in(label) for label in chosen], contents, fraction=fraction, seed=seed)
        rare = sorted(set(class_names(chosen)) - set(class_names(chosen[position] for position in held)))
        if rare:
            notes.append(f"too few different images to hold one out: {', '.join(rare)}")
    positions["train"] = [pool[position] for position in learn]
    if held:
        positions["val"] = [pool[position] for position in held]
    notes.append(f"{fraction:.0%} of the training images are held out for validation, class by class, seed {seed}")


def _fingerprint(positions: dict[str, list[int]], labels: list[Annotation], digests: tuple[str, ...]) -> str:
    lines: list[Any] = sorted(
        [part, _said(labels[position]), digests[position]] for part, chosen in positions.items() for position in chosen
    )
    return hashlib.sha256(json.dumps(lines).encode()).hexdigest()


def _said(annotation: Annotation) -> str | tuple[str, ...]:
    """A class or labels as they are; of anything else, a digest that changes with it."""
    match annotation:
        case Boxes():
            told: Any = sorted(json.dumps(dataclasses.astuple(box)) for box in annotation.boxes)
        case Mask():
            told = [_digest(annotation.source.digest), annotation.names]
        case Picture():
            told = _digest(lambda: annotation.source.load()[1])
        case _:
            return annotation
    return f"{type(annotation).__name__} {hashlib.sha256(json.dumps(told).encode()).hexdigest()}"


def _digest(find: Callable[[], str]) -> str:
    try:
        return find()
    except ImageError:
        return ""  # as of an image that cannot be read


def _without_place(error: str) -> str:
    # The file is named beside the error already.
    return error.split(": ", 1)[-1]

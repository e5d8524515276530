"""From a data set on disk to parts that can be trained on: decoded, divided, counted."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from svertka.annotations import Annotation, ImageSource, class_names, names_in
from svertka.data.cache.fingerprint import fingerprint_of
from svertka.data.cache.images import Images, load_images
from svertka.data.cache.loaded import Advance
from svertka.data.cache.regions import proposed
from svertka.data.checks.findings import some
from svertka.data.files.unread import unread_note
from svertka.data.readers.reading import open_dataset
from svertka.data.samples import Dataset, Sample, Skipped, flat
from svertka.data.splitting.grouping import groups_of
from svertka.data.splitting.likeness import SIDE, Looks, shrink
from svertka.data.splitting.split import (
    Written,
    divide_by_group,
    read_split,
    split_by_class,
    split_by_labels,
    write_split,
)
from svertka.errors import UserError
from svertka.runtime.preprocess import Preprocess
from svertka.task_records.record import TaskRecord, handling_of, record_for
from svertka.wording import counted, none_can

_COMPARED = 20_000  # images that are compared with one another, at most: time grows with the square
_MEASURED = 5000  # images that mean and deviation are taken from, at most


class Preparation(Protocol):
    """How data with one kind of annotation are prepared; see `svertka.data.batching.handling.Handling`."""

    least_classes: int
    """Classes that there is something to learn from."""

    each: str
    """What is said of an image, in a word."""

    too_few: str
    """What to do where there are fewer classes."""

    def decoded(self, labels: Sequence[Annotation], images: Images, advance: Advance | None) -> Images | None:
        """Images that belong to the annotations, decoded; what does not fit its image is an error of ``images``."""
        ...

    def placed(
        self, annotation: Annotation, size: tuple[int, int], regions: NDArray[np.float32] | None = None
    ) -> Annotation:
        """An annotation as it can be learnt from and judged by.

        Args:
            annotation: As it was read.
            size: Height and width of its image, upright, in pixels.
            regions: That are proposed of it, if any are.
        """
        ...


@dataclass(frozen=True)
class Division:
    """One part of a divided data set: where its samples stand, and what is said of them.

    Annotations are as they can be learnt from, by `Preparation.placed`.
    """

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
        looks: What the images look like.
        groups: The group of each sample, where one was asked for.
    """

    dataset: Dataset
    samples: list[Sample]
    images: Images
    parts: dict[str, Division]
    skipped: list[Skipped]
    fingerprint: str
    notes: list[str]
    looks: Looks
    groups: list[str] | None = None
    masks: Images | None = None
    """Images that belong to the annotations, such as the masks of whole images, in the order of the samples."""
    wanted: str | None = None
    """The name of the task that is wanted, if one is."""

    @cached_property
    def task(self) -> TaskRecord | None:
        """The task that is wanted, or that its annotations ask for; None if there is none for them."""
        return record_for([label for division in self.parts.values() for label in division.labels], name=self.wanted)

    @property
    def counts(self) -> dict[str, int]:
        """Number of images by part."""
        return {part: len(division.positions) for part, division in self.parts.items()}

    def split(self) -> str:
        """Which image is in which part, as text that `svertka.data.splitting.split.read_split` reads."""
        return write_split(
            Written(self.samples[position].name, part, self.images.digests[position])
            for part, division in self.parts.items()
            for position in division.positions.tolist()
        )

    @property
    def division(self) -> str:
        """Digest of which content is in which part; names and order do not matter."""
        positions = {part: division.positions.tolist() for part, division in self.parts.items()}
        return fingerprint_of(positions, [""] * len(self.samples), self.images.digests)

    def per_class(self, part: str) -> dict[str, int]:
        """Number of images by class in a part."""
        return dict(Counter(name for label in self.parts[part].labels for name in names_in(label)))


def prepare(
    path: Path,
    preprocess: Preprocess | Callable[[Sequence[ImageSource]], Preprocess],
    *,
    val_fraction: float,
    seed: int,
    group: str | None = None,
    fold: tuple[int, int] | None = None,
    split: Path | None = None,
    divide_if: str | None = None,
    format: str | None = None,  # noqa: A002 (the user's word)
    task: str | None = None,
    advance: Advance | None = None,
) -> Prepared:
    """Read, decode and divide the data set at ``path``.

    Args:
        path: A data set as `open_dataset` takes it.
        preprocess: Its geometry; or what gives one for these images.
        val_fraction: Share of the training images to hold out where the data set names no validation part.
        seed: Of that division.
        group: What images have in common that must not be divided; see `svertka.data.splitting.grouping.groups_of`.
        fold: Number of a fold from 1 on, and of all folds: what is neither of the test part nor held out by this fold
            is learnt from, whatever parts the data set names.
        split: A file that says the part of each image; see `svertka.data.splitting.split.read_split`.
        divide_if: Divide an undivided data set only if it has this fingerprint.
        format: The format to insist on.
        task: The name of the task that is wanted, if one is.
        advance: Told how decoding goes.

    Raises:
        UserError: There is nothing usable, or it cannot be divided.
    """
    dataset = open_dataset(path, format)
    parts_of, samples = flat(dataset)
    sources = [sample.source for sample in samples]
    if not isinstance(preprocess, Preprocess):
        preprocess = preprocess(sources)
    images = load_images(sources, preprocess, advance=advance)
    labels = [sample.annotation for sample in samples]
    handling: Preparation = handling_of(record_for(labels, name=task))
    masks = handling.decoded(labels, images, advance)
    skipped = dataset.skipped + [
        Skipped(samples[position].name, _without_place(error)) for position, error in sorted(images.errors.items())
    ]
    if len(images.errors) == len(samples):
        raise UserError(
            f"{none_can(len(samples), 'image')} be read; the first, {skipped[-len(samples)].file}: "
            f"{skipped[-len(samples)].error}",
            where=path,
        )
    positions: dict[str, list[int]] = {}
    for position, part in enumerate(parts_of):
        if position not in images.errors:
            positions.setdefault(part, []).append(position)
    notes = [*dataset.notes, *unread_note(dataset.unread)]
    if unused := dataset.unused_classes():
        notes.append(f"classes of the class list without an example: {some(unused)}")
    fingerprint = fingerprint_of(positions, labels, images.digests)
    groups = None
    looks = _looks(images, notes)
    if divide_if in (None, fingerprint):
        groups = None if group is None else groups_of(dataset, samples, group)
        pool = _Pool(positions, samples, looks, groups, notes)
        if split is not None:
            pool.as_written(split)
        elif fold is not None:
            pool.into_folds(*fold, seed)
        else:
            pool.hold_out(val_fraction, seed)
        positions = pool.positions
    regions = proposed(images, sorted(itertools.chain(*positions.values())), advance=advance)
    parts = {
        part: Division(
            np.asarray(positions[part], np.int64),
            tuple(
                handling.placed(labels[position], images.sizes[position], regions.get(position))
                for position in positions[part]
            ),
        )
        for part in ("train", "val", "test", "all")
        if positions.get(part)
    }
    return Prepared(dataset, samples, images, parts, skipped, fingerprint, notes, looks, groups, masks, task)


def learnable_classes(prepared: Prepared) -> tuple[str, ...]:
    """The classes of the training part.

    Raises:
        UserError: There is no training part, only one class where images have no boxes, or another part has classes
            that training lacks.
    """
    root, where = prepared.dataset.root, prepared.dataset.where
    if "train" not in prepared.parts:
        raise UserError("nothing to train on", where=root, mend="name a folder or a split 'train'")
    classes = class_names(prepared.parts["train"].labels)
    handling: Preparation = handling_of(prepared.task)
    if len(classes) < handling.least_classes:
        what = f"only one class, {classes[0]!r}" if classes else f"no image has a {handling.each}"
        raise UserError(what, where=where, mend=handling.too_few)
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
        for pixels in prepared.images.each(positions[start : start + 64]):
            for channel in range(len(counts)):
                counts[channel] += np.bincount(pixels[..., channel].ravel(), minlength=256)
    values = np.arange(256) / 255
    share = counts / counts.sum(axis=1, keepdims=True)
    mean = share @ values
    deviation = np.sqrt(np.maximum(share @ values**2 - mean**2, 0))
    # A set of images of one colour would ask for a division by nought.
    return tuple(np.round(mean, 4).tolist()), tuple(np.round(np.maximum(deviation, 1e-3), 4).tolist())


def _looks(images: Images, notes: list[str]) -> Looks:
    def shrunk() -> NDArray[np.uint8]:
        small = np.zeros((len(images.digests), SIDE, SIDE, 3), np.uint8)
        usable = np.array([place for place, digest in enumerate(images.digests) if digest], np.int64)
        for start in range(0, len(usable), 64):
            chosen = usable[start : start + 64]
            small[chosen] = [shrink(image) for image in images.each(chosen)]
        return small

    # What is small was not seen better for having been placed larger.
    side = min(images.preprocess.height, images.preprocess.width)
    sides = np.minimum(np.array(images.sides, np.int64), side)
    few = len(images.digests) <= _COMPARED
    if not few:
        notes.append(f"more than {_COMPARED:,} images: only equal files count as copies; `svertka check` compares all")
    return Looks(images.digests, shrunk, sides, compared=few and bool(np.median(sides[sides > 0]) >= SIDE // 2))


@dataclass
class _Pool:
    """Positions by part, and what decides how they are divided."""

    positions: dict[str, list[int]]
    samples: list[Sample]
    looks: Looks
    groups: list[str] | None
    notes: list[str]

    def hold_out(self, fraction: float, seed: int) -> None:
        """A share of the training part for validation, where there is none."""
        if "all" in self.positions:
            self.positions["train"] = self.positions.pop("all")
        if "val" in self.positions or "train" not in self.positions or not fraction:
            return
        pool = self.positions["train"]
        labels, keys = self._of(pool)
        if self.groups is not None:
            self._check_groups(pool, 2)
            part = divide_by_group(labels, keys, shares=(fraction, 1 - fraction), seed=seed)
            held, learn = (np.flatnonzero(part == number).tolist() for number in (0, 1))
        elif all(isinstance(self.samples[position].annotation, str) for position in pool):
            learn, held = split_by_class([label for (label,) in labels], keys, fraction=fraction, seed=seed)
        else:
            learn, held = split_by_labels(labels, keys, fraction=fraction, seed=seed)
            told = {name for index in held for name in labels[index]}
            rare = sorted({name for names in labels for name in names} - told)
            if rare:
                self.notes.append(f"too few different images to hold one out: {', '.join(rare)}")
        self.positions["train"] = [pool[index] for index in learn]
        if held:
            self.positions["val"] = [pool[index] for index in held]
        how = "class by class" if self.groups is None else "whole groups"
        self.notes.append(f"{fraction:.0%} of the training images are held out for validation, {how}, seed {seed}")

    def into_folds(self, fold: int, folds: int, seed: int) -> None:
        """The fold is held out; of all other images but those of the test part is learnt."""
        pool = sorted(position for part in ("all", "train", "val") for position in self.positions.pop(part, []))
        self._check_groups(pool, folds)
        labels, keys = self._of(pool)
        part = divide_by_group(labels, keys, shares=[1 / folds] * folds, seed=seed)
        self.positions["train"] = [pool[index] for index in np.flatnonzero(part != fold - 1).tolist()]
        self.positions["val"] = [pool[index] for index in np.flatnonzero(part == fold - 1).tolist()]
        self.notes.append(f"fold {fold} of {folds} is held out for validation, seed {seed}")

    def as_written(self, path: Path) -> None:
        """Every image into the part that a file names; images that it does not name are left out."""
        written = read_split(path)
        by_name = {line.file: line for line in written}
        by_content = {line.content: line.part for line in written if line.content}
        pool = sorted(position for chosen in self.positions.values() for position in chosen)
        divided: dict[str, list[int]] = {}
        for position in pool:
            content, line = self.looks.digests[position], by_name.get(self.samples[position].name)
            # An image may have been renamed, and another taken its name.
            if line and line.content in ("", content):
                divided.setdefault(line.part, []).append(position)
            elif content in by_content:
                divided.setdefault(by_content[content], []).append(position)
        count = sum(map(len, divided.values()))
        if not count:
            raise UserError("names none of the images", where=path, mend="give the split.csv of a run on this data set")
        self.notes.append(f"divided as {path} says")
        if count < len(pool):
            left = counted(len(pool) - count, "image that it does not name is", "images that it does not name are")
            self.notes.append(f"{left} left out")
        if count < len(written):
            self.notes.append(
                f"{counted(len(written) - count, 'image that it names is', 'images that it names are')} not here"
            )
        self.positions = divided

    def _of(self, pool: list[int]) -> tuple[list[tuple[str, ...]], list[str]]:
        keys = self.looks.keys(self.groups)
        return [names_in(self.samples[position].annotation) for position in pool], [keys[p] for p in pool]

    def _check_groups(self, pool: list[int], parts: int) -> None:
        keys = self.looks.keys(self.groups)
        count = len({keys[position] for position in pool})
        if count < parts:
            raise UserError(
                f"{counted(count, 'group')} cannot be divided into {counted(parts, 'part')}",
                mend="give a --group that tells more of them apart" if self.groups else "give fewer --folds",
            )


def _without_place(error: str) -> str:
    # The file is named beside the error already.
    return error.split(": ", 1)[-1]

"""From a data set on disk to parts that can be trained on: decoded, divided, counted."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from svertka.annotations import Annotation, Source, class_names, names_in
from svertka.data.cache.fingerprint import fingerprint_of
from svertka.data.cache.images import Images
from svertka.data.cache.loaded import Advance, Contents
from svertka.data.files.unread import unread_note
from svertka.data.readers.reading import open_dataset
from svertka.data.samples import Dataset, Sample, Skipped, flat
from svertka.data.splitting.grouping import groups_of
from svertka.data.splitting.likeness import Looks
from svertka.data.splitting.pool import Pool
from svertka.data.splitting.split import Written, write_split
from svertka.errors import UserError
from svertka.runtime.inputs import InputTransform
from svertka.task_records.record import TaskRecord, handling_of, record_for
from svertka.wording import inflected, none_can, some


class Preparation(Protocol):
    """How data of a medium with a kind of annotation are prepared; see `svertka.data.batching.handling.Handling`."""

    least_classes: int
    """Classes that there is something to learn from."""

    each: str
    """What is said of a sample, in a word."""

    too_few: str
    """What to do where there are fewer classes."""

    def load(self, sources: Sequence[Source], transform: InputTransform, advance: Advance | None) -> Contents:
        """The values of all samples; why one cannot be used is an error there.

        Args:
            sources: Of the samples.
            transform: How they will become inputs; of another medium, it is refused.
            advance: Told how it goes.
        """
        ...

    def decoded(self, labels: Sequence[Annotation], contents: Contents, advance: Advance | None) -> Images | None:
        """Images that belong to the annotations, decoded; what does not fit its sample is an error of ``contents``."""
        ...

    def looks(self, contents: Contents, notes: list[str]) -> Looks:
        """Which samples are copies of one another; notes are told of what is not looked at."""
        ...

    def regions(
        self, contents: Contents, positions: Sequence[int], advance: Advance | None
    ) -> Mapping[int, NDArray[np.float32]]:
        """The regions that are proposed of samples, by position, where a network is given some."""
        ...

    def placed(
        self, annotation: Annotation, size: tuple[int, int], regions: NDArray[np.float32] | None = None
    ) -> Annotation:
        """An annotation as it can be learnt from and judged by.

        Args:
            annotation: As it was read.
            size: Of its sample as it was read; see `svertka.data.cache.loaded.Contents`.
            regions: That are proposed of it, if any are.
        """
        ...

    def measured(self, contents: Contents, positions: NDArray[np.int64]) -> InputTransform:
        """The transform of the contents, with mean and deviation of these samples by channel."""
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
        contents: Their values: pixels of images, series.
        parts: By name: ``train``, ``val``, ``test``, or ``all`` where nothing was asked to be held out.
        skipped: Files and records left out.
        fingerprint: Digest of all contents, labels and folders of a split; names and order do not matter.
        notes: Choices that were made, for the user to see.
        looks: Which of them are copies of one another.
        groups: The group of each sample, where one was asked for.
    """

    dataset: Dataset
    samples: list[Sample]
    contents: Contents
    parts: dict[str, Division]
    skipped: list[Skipped]
    fingerprint: str
    notes: list[str]
    looks: Looks
    groups: list[str] | None = None
    masks: Images | None = None
    """Images that belong to the annotations, such as the masks of whole images, in the order of the samples."""
    asked: str | None = None
    """Name of the task, where it was asked for by that."""

    @cached_property
    def task(self) -> TaskRecord | None:
        """The task that its annotations ask for; None if there is none for them."""
        labels = [label for division in self.parts.values() for label in division.labels]
        return record_for(labels, self.dataset.media, self.asked)

    @cached_property
    def handling(self) -> Preparation:
        """How such data are handled; see `svertka.data.batching.handling.Handling`."""
        found: Preparation = handling_of(self.task, self.dataset.media)
        return found

    @property
    def images(self) -> Images:
        """The contents, of a data set of images."""
        assert isinstance(self.contents, Images)
        return self.contents

    @property
    def counts(self) -> dict[str, int]:
        """Number of samples by part."""
        return {part: len(division.positions) for part, division in self.parts.items()}

    def split(self) -> str:
        """Which sample is in which part, as text that `svertka.data.splitting.split.read_split` reads."""
        return write_split(
            Written(self.samples[position].name, part, self.contents.digests[position])
            for part, division in self.parts.items()
            for position in division.positions.tolist()
        )

    @property
    def division(self) -> str:
        """Digest of which content is in which part; names and order do not matter."""
        positions = {part: division.positions.tolist() for part, division in self.parts.items()}
        return fingerprint_of(positions, [""] * len(self.samples), self.contents.digests)

    def per_class(self, part: str) -> dict[str, int]:
        """Number of samples by class in a part."""
        return dict(Counter(name for label in self.parts[part].labels for name in names_in(label)))


def prepare(
    data: Path | Dataset,
    transform: InputTransform | Callable[[Sequence[Source], str], InputTransform],
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
    """Read, decode and divide a data set.

    Args:
        data: Where it lies, as `open_dataset` takes it; or the data set.
        transform: Its geometry; or what gives one for these samples of this medium.
        val_fraction: Share of the training samples to hold out where the data set names no validation part.
        seed: Of that division.
        group: What samples have in common that must not be divided; see `svertka.data.splitting.grouping.groups_of`.
        fold: Number of a fold from 1 on, and of all folds: what is neither of the test part nor held out by this fold
            is learnt from, whatever parts the data set names.
        split: A file that says the part of each sample; see `svertka.data.splitting.split.read_split`.
        divide_if: Divide an undivided data set only if it has this fingerprint.
        format: The format to insist on.
        task: Name of the task, where it is not the annotations that say which one it is.
        advance: Told how decoding goes.

    Raises:
        UserError: There is nothing usable, or it cannot be divided, or it is of another medium than the transform.
    """
    dataset = data if isinstance(data, Dataset) else open_dataset(data, format)
    parts_of, samples = flat(dataset)
    sources, labels = [sample.source for sample in samples], [sample.annotation for sample in samples]
    handling: Preparation = handling_of(record_for(labels, dataset.media, task), dataset.media)
    contents = handling.load(sources, _fitting(transform, dataset, sources), advance)
    masks = handling.decoded(labels, contents, advance)
    skipped = _skipped(dataset, samples, contents.errors)
    positions: dict[str, list[int]] = {}
    for position, part in enumerate(parts_of):
        if position not in contents.errors:
            positions.setdefault(part, []).append(position)
    notes = [*dataset.notes, *unread_note(dataset.unread)]
    if unused := dataset.unused_classes():
        notes.append(f"classes of the class list without an example: {some(unused)}")
    fingerprint = fingerprint_of(positions, labels, contents.digests)
    groups, looks = None, handling.looks(contents, notes)
    if divide_if in (None, fingerprint):
        groups = None if group is None else groups_of(dataset, samples, group)
        pool = Pool(positions, samples, looks, groups, notes, dataset.media)
        pool.divide(val_fraction, seed, fold=fold, split=split)
        positions = pool.positions
    parts = _divisions(handling, labels, contents, positions, advance)
    return Prepared(dataset, samples, contents, parts, skipped, fingerprint, notes, looks, groups, masks, task)


def _fitting(
    transform: InputTransform | Callable[[Sequence[Source], str], InputTransform],
    dataset: Dataset,
    sources: Sequence[Source],
) -> InputTransform:
    found = transform if isinstance(transform, InputTransform) else transform(sources, dataset.media)
    if found.media != dataset.media:
        raise UserError(
            f"the network takes {inflected(2, found.media)}, and these are {inflected(2, dataset.media)}",
            where=dataset.root,
        )
    return found


def _skipped(dataset: Dataset, samples: Sequence[Sample], errors: Mapping[int, str]) -> list[Skipped]:
    """What was left out in reading, and what cannot be loaded; something can be."""
    bad = [Skipped(samples[position].name, _without_place(error)) for position, error in sorted(errors.items())]
    if len(bad) == len(samples):
        raise UserError(
            f"{none_can(len(samples), dataset.media)} be read; the first, {bad[0].file}: {bad[0].error}",
            where=dataset.root,
        )
    return dataset.skipped + bad


def _divisions(
    handling: Preparation,
    labels: Sequence[Annotation],
    contents: Contents,
    positions: Mapping[str, Sequence[int]],
    advance: Advance | None,
) -> dict[str, Division]:
    regions = handling.regions(contents, sorted(itertools.chain(*positions.values())), advance)
    return {
        part: Division(
            np.asarray(positions[part], np.int64),
            tuple(
                handling.placed(labels[position], contents.sizes[position], regions.get(position))
                for position in positions[part]
            ),
        )
        for part in ("train", "val", "test", "all")
        if positions.get(part)
    }


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
    media = prepared.dataset.media
    handling: Preparation = handling_of(record_for(prepared.parts["train"].labels, media, prepared.asked), media)
    if len(classes) < handling.least_classes:
        what = f"only one class, {classes[0]!r}" if classes else f"no {media} has a {handling.each}"
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


def measured(prepared: Prepared) -> InputTransform:
    """The input transform, with mean and deviation of the training part by channel."""
    return prepared.handling.measured(prepared.contents, prepared.parts["train"].positions)


def _without_place(error: str) -> str:
    # The file is named beside the error already.
    return error.split(": ", 1)[-1]

"""The images that a model is explained by: of a data set, of files, or those that its model file brings along."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from svertka.data.cache.images import load_images
from svertka.data.samples import ImageFile
from svertka.errors import UserError
from svertka.runtime.card import image_input
from svertka.runtime.image import IMAGE_SUFFIXES
from svertka.runtime.tiling import mirrored
from svertka.wording import none_can
from svertka.workflows.evaluation_data import choose_part, divided_as_trained
from svertka.workflows.image_files import image_files

if TYPE_CHECKING:
    from torch import Tensor

    from svertka.annotations import Annotation
    from svertka.runtime.card import Card
    from svertka.runtime.preprocess import Preprocess
    from svertka.workflows.progress import Display

_BATCH = 8  # what lies between two layers still fits into the processor's cache


class _Placed(Protocol):
    def each(self, positions: NDArray[np.int64]) -> list[NDArray[np.uint8]]: ...


@dataclass(frozen=True)
class _Held:
    images: Sequence[NDArray[np.uint8]]

    def each(self, positions: NDArray[np.int64]) -> list[NDArray[np.uint8]]:
        return [self.images[position] for position in positions.tolist()]


@dataclass(frozen=True)
class Material:
    """Images, numbered from 0 on.

    Attributes:
        source: Their pixels, as the network's geometry places them.
        positions: Where each stands in the source.
        names: What each is called.
        labels: What is said of each; None where nothing is.
        judged: Numbers of those that the network has not learnt from, as far as that is known.
        part: What part of the data set these are; empty where there is no data set.
        skipped: Files that were left out, each with ``file`` and ``error``.
        preprocess: Of the network.
    """

    source: _Placed
    positions: NDArray[np.int64]
    names: tuple[str, ...]
    labels: tuple[Annotation, ...] | None
    judged: NDArray[np.int64]
    part: str
    skipped: tuple[dict[str, str], ...]
    preprocess: Preprocess

    def __len__(self) -> int:
        return len(self.positions)

    def pixels(self, numbers: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Images as the network sees them, ``(n, height, width, channels)`` uint8; of whole ones, the middle."""
        height, width = self.preprocess.height, self.preprocess.width
        return np.stack([middle(image, height, width) for image in self.source.each(self.positions[numbers])])

    def batch(self, numbers: NDArray[np.int64]) -> Tensor:
        """The same as input of the network, ``(n, channels, height, width)`` float32."""
        import torch

        return torch.from_numpy(self.preprocess.normalise(self.pixels(numbers)))

    def batches(self, numbers: NDArray[np.int64]) -> Iterator[Tensor]:
        """`batch`, some images at a time, in order."""
        for start in range(0, len(numbers), _BATCH):
            yield self.batch(numbers[start : start + _BATCH])

    def group(self, number: int) -> str:
        """The class or the labels that are said of an image; empty where there are none."""
        label = None if self.labels is None else self.labels[number]
        if isinstance(label, tuple):
            return ", ".join(label)
        return label if isinstance(label, str) else ""

    def examples(self, count: int) -> NDArray[np.int64]:
        """Some of the judged images: one of each class in turn, so far as classes are known."""
        by_group: dict[str, list[int]] = {}
        for number in self.judged.tolist():
            by_group.setdefault(self.group(number), []).append(number)
        turns = sorted((turn, place) for place, members in enumerate(by_group.values()) for turn in range(len(members)))
        groups = list(by_group.values())
        return np.array([groups[place][turn] for turn, place in turns[:count]], np.int64)


def material(given: Sequence[Path], model: Path, card: Card, display: Display, *, format: str | None) -> Material:  # noqa: A002
    """The images that are given: files and folders of them, or a data set; without any, the model file's golden inputs.

    Args:
        given: What is named.
        model: Model file or a run's folder.
        card: Of the model.
        display: Is told how it goes.
        format: Format of the data set to insist on.

    Raises:
        UserError: There is no image that can be read.
    """
    if not given:
        return _golden(card)
    if len(given) == 1 and not _is_image(given[0]):
        try:
            return _data_set(given[0], model, card, display, format)
        except UserError:
            # A folder of images that belong to no class is no data set.
            if format is not None or not given[0].is_dir() or not image_files(given[0]):
                raise
    return _files([file for place in given for file in image_files(place)], card, display)


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.is_dir()


def _golden(card: Card) -> Material:
    preprocess = image_input(card)
    placed = [preprocess.place(golden.input) for golden in card.golden]
    if not placed:
        raise UserError("the model file brings no images along", mend="name image files, or a data set")
    everything = np.arange(len(placed))
    names = tuple(f"golden input {number}" for number in range(1, len(placed) + 1))
    return Material(_Held(placed), everything, names, None, everything, "", (), preprocess)


def _data_set(path: Path, model: Path, card: Card, display: Display, format: str | None) -> Material:  # noqa: A002
    prepared = divided_as_trained(path, model, card, display, format=format)
    part = choose_part(prepared, "auto")
    positions = np.sort(np.concatenate([division.positions for division in prepared.parts.values()]))
    return Material(
        prepared.images,
        positions,
        tuple(prepared.samples[position].name for position in positions.tolist()),
        tuple(prepared.samples[position].annotation for position in positions.tolist()),
        np.searchsorted(positions, prepared.parts[part].positions).astype(np.int64),
        part,
        tuple(item.to_json() for item in prepared.skipped),
        image_input(card),
    )


def _files(files: Sequence[Path], card: Card, display: Display) -> Material:
    if not files:
        raise UserError("no image was given", mend="name image files, a folder of them, or a data set")
    preprocess = image_input(card)
    images = load_images([ImageFile(file) for file in files], preprocess, advance=display.advance)
    skipped = tuple({"file": str(files[position]), "error": error} for position, error in sorted(images.errors.items()))
    positions = np.array([position for position in range(len(files)) if position not in images.errors], np.int64)
    if not len(positions):
        raise UserError(f"{none_can(len(files), 'image')} be read; the first: {skipped[0]['error']}")
    names = tuple(str(files[position]) for position in positions.tolist())
    return Material(images, positions, names, None, np.arange(len(positions)), "", skipped, preprocess)


def middle(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """The middle of an image ``(H, W, channels)``, mirrored at its borders where that is more than there is."""
    if image.shape[:2] == (height, width):
        return image
    rows = mirrored((image.shape[0] - height) // 2, height, image.shape[0])
    columns = mirrored((image.shape[1] - width) // 2, width, image.shape[1])
    return image[rows[:, None], columns]

"""Which image files are meant, and reading them a batch at a time; needs no torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from svertka.annotations import natural
from svertka.runtime.image import IMAGE_SUFFIXES, ImageError, read_image

_BATCH = 16


class ReadBatch(NamedTuple):
    """Some files, and what was read of them.

    Attributes:
        files: All of them.
        images: Decoded, ``(H, W, 3)`` uint8 RGB, by position among the files.
        errors: Why there is no image, by position.
    """

    files: Sequence[Path]
    images: dict[int, NDArray[np.uint8]]
    errors: dict[int, str]


def image_files(given: Path) -> list[Path]:
    """The file itself; of a folder all images in it, in natural order."""
    if not given.is_dir():
        return [given]
    found = [path for path in given.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()]
    return sorted(found, key=lambda path: natural(path.as_posix()))


def read_batches(files: Sequence[Path]) -> Iterator[ReadBatch]:
    """Read files, a few at a time, in order."""
    for start in range(0, len(files), _BATCH):
        batch = ReadBatch(files[start : start + _BATCH], {}, {})
        for position, file in enumerate(batch.files):
            try:
                batch.images[position] = read_image(file)
            except ImageError as error:
                batch.errors[position] = error.what
        yield batch

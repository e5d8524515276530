"""What a data set is once it has been read: images by name, each with its annotation."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from svertka.runtime.image import decode, read_file

Annotation = str | tuple[str, ...]
"""What is said of an image: its class; or, where an image may have several labels, their names in natural order."""


class ImageSource(Protocol):
    """Where the pixels of a sample come from."""

    def stamp(self) -> str:
        """Something that changes when the image is replaced, found without reading it."""
        ...

    def load(self) -> tuple[NDArray[np.uint8], str]:
        """The decoded image ``(H, W, 3)`` uint8 RGB, and a digest of what it was decoded from."""
        ...


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image in a file of its own."""

    path: Path

    def stamp(self) -> str:
        """See `ImageSource.stamp`."""
        try:
            status = self.path.stat()
        except OSError:
            return f"{self.path} absent"
        # The whole path, for a relative one names another file elsewhere; ctime, for some programs that change an
        # image put its mtime back.
        path = os.path.abspath(self.path)  # noqa: PTH100 (pathlib's follows links)
        return f"{path} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"

    def load(self) -> tuple[NDArray[np.uint8], str]:
        """See `ImageSource.load`."""
        data = read_file(self.path)
        return decode(data, where=self.path), hashlib.blake2b(data, digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Sample:
    """One image and what is said of it.

    Attributes:
        name: Its name within the data set, unique; for a file, the path below the data set's folder.
        source: Its pixels.
        label: Its class, or its labels.
    """

    name: str
    source: ImageSource
    label: Annotation


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file or record that was left out, and why."""

    file: str
    error: str

    def to_json(self) -> dict[str, str]:
        """As a JSON object."""
        return {"file": self.file, "error": self.error}


@dataclass(frozen=True)
class Dataset:
    """A data set as it lies on disk.

    Attributes:
        root: Its folder or file.
        format: What it was read as, in words.
        parts: Samples by part: ``train``, ``val``, ``test``, or ``all`` where nobody has split it yet.
        notes: Choices made while reading, for the user to see.
        skipped: Files and records left out.
    """

    root: Path
    format: str
    parts: dict[str, list[Sample]]
    notes: list[str] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)


def names_in(label: Annotation) -> tuple[str, ...]:
    """The names in an annotation: one, or any number."""
    return (label,) if isinstance(label, str) else label


def class_names(labels: Iterable[Annotation]) -> tuple[str, ...]:
    """The distinct names in natural order: 2 before 10."""
    return tuple(sorted({name for label in labels for name in names_in(label)}, key=natural))


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """A sort key under which numbers within names are compared as numbers."""
    pieces: list[tuple[int, int, str]] = []
    digits = ""
    for character in [*name, ""]:
        if character.isascii() and character.isdigit():
            digits += character
            continue
        if digits:
            pieces.append((0, len(digits.lstrip("0")), f"{digits.lstrip('0')} {digits}"))
            digits = ""
        pieces.append((1, 0, character))
    return tuple(pieces)

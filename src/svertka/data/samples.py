"""What a data set is once it has been read: samples by name, images or series, each with its annotation."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from svertka.annotations import Annotation, Source, class_names, names_in
from svertka.errors import UserError
from svertka.plugins import lacks
from svertka.runtime.image import decode, read_file
from svertka.runtime.series import load_series
from svertka.signatures import checked_class
from svertka.wording import inflected


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image in a file of its own."""

    path: Path

    def stamp(self) -> str:
        """See `ImageSource.stamp`."""
        return file_stamp(self.path)

    def read(self) -> bytes:
        """The file as it is."""
        return read_file(self.path)

    def load(self) -> tuple[NDArray[np.uint8], str]:
        """See `ImageSource.load`."""
        data = self.read()
        return decode(data, where=self.path), digest_of(data)


@dataclass(frozen=True, slots=True)
class SeriesFile:
    """A series in a file of its own: ``.csv`` or ``.npy``."""

    path: Path

    def stamp(self) -> str:
        """See `svertka.annotations.Source.stamp`."""
        return file_stamp(self.path)

    def load(self) -> tuple[NDArray[np.float32], str]:
        """See `svertka.annotations.Source.load`: the series, and a digest of its values, however they were written."""
        values = load_series(self.path).values
        return values, digest_of(repr(values.shape).encode() + values.tobytes())


@dataclass(frozen=True, slots=True)
class FileSlice:
    """An image that stands somewhere in a file.

    Attributes:
        path: The file.
        offset, size: Where its bytes are.
        stamp_of_file: `file_stamp` of the file; many images share one.
        name: What an error calls it.
    """

    path: Path
    offset: int
    size: int
    stamp_of_file: str
    name: str

    def stamp(self) -> str:
        """See `ImageSource.stamp`."""
        return f"{self.stamp_of_file} {self.offset} {self.size}"

    def read(self) -> bytes:
        """The image's file as it is."""
        return read_file(self.path, self.offset, self.size)

    def load(self) -> tuple[NDArray[np.uint8], str]:
        """See `ImageSource.load`."""
        data = self.read()
        return decode(data, where=self.name), digest_of(data)


def file_stamp(path: Path) -> str:
    """Something that changes when the file is replaced, found without reading it."""
    try:
        status = path.stat()
    except OSError:
        return f"{path} absent"
    # The whole path, for a relative one names another file elsewhere; ctime, for some programs that change an image
    # put its mtime back.
    whole = os.path.abspath(path)  # noqa: PTH100 (pathlib's follows links)
    return f"{whole} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"


def digest_of(data: bytes) -> str:
    """The digest by which equal images are known."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def class_lines(path: Path) -> list[str]:
    """The lines of ``classes.txt``, a class name each in the order of their numbers; none where there is no such file.

    Raises:
        UserError: It is no text.
    """
    if not path.is_file():
        return []
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"not a readable text ({error})", where=path, mend="save it as UTF-8") from error
    return [line.strip() for line in text.split("\n")]


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample, such as an image or a series, and what is said of it.

    Attributes:
        name: Its name within the data set, unique; for a file, the path below the data set's folder.
        source: Its value.
        annotation: What is said of it.
    """

    name: str
    source: Source
    annotation: Annotation


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file or record that was left out, and why."""

    file: str
    error: str

    def to_json(self) -> dict[str, str]:
        """As a JSON object."""
        return {"file": self.file, "error": self.error}


@dataclass(frozen=True, slots=True)
class Unread:
    """Something that annotation files state and the reader does not take.

    Attributes:
        what: What it is, with its name in the file.
        count: How often it is stated.
        first: The first record that states it.
        minor: Whether training could not use it anyway, as it could a label or an outline.
    """

    what: str
    count: int
    first: str
    minor: bool = False

    def line(self) -> str:
        """In one line of text."""
        return f"{self.what}: {self.count:,}, the first in {self.first}"

    def to_json(self) -> dict[str, str | int]:
        """As a JSON object."""
        return {"what": self.what, "count": self.count, "first": self.first}


@dataclass(frozen=True)
class Dataset:
    """A data set as it lies on disk.

    Attributes:
        root: Its folder or file.
        format: What it was read as, in words.
        parts: Samples by part: ``train``, ``val``, ``test``, or ``all`` where nobody has split it yet.
        notes: Choices made while reading, for the user to see.
        skipped: Files and records left out.
        classes: The class list of the source, in its order and with classes that occur nowhere; empty where it has
            none. Labels may go beyond it.
        class_ids: The ids that COCO gives to these classes; empty for other formats.
        unread: What the annotation files state and the reader does not take.
        files: The files that the annotations of all images are in; none where each image has its own, or a folder.
        media: What its samples are: ``image``, or ``series``.
    """

    root: Path
    format: str
    parts: dict[str, list[Sample]]
    notes: list[str] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    classes: tuple[str, ...] = ()
    class_ids: tuple[int, ...] = ()
    unread: tuple[Unread, ...] = ()
    files: tuple[Path, ...] = ()
    media: str = "image"

    @property
    def where(self) -> Path:
        """Where to look when something is wrong with the annotations; see `place_of`."""
        return place_of(self.root, self.files)

    def class_list(self) -> tuple[str, ...]:
        """All classes: those of the source's list in its order, then other labels as `class_names` orders them."""
        used = class_names(sample.annotation for samples in self.parts.values() for sample in samples)
        return tuple(dict.fromkeys((*self.classes, *used)))

    def unused_classes(self) -> tuple[str, ...]:
        """Classes of the source's list that no sample has."""
        if not self.classes:
            return ()
        used = {name for samples in self.parts.values() for sample in samples for name in names_in(sample.annotation)}
        return tuple(name for name in self.classes if name not in used)


def place_of(root: Path, files: Sequence[Path]) -> Path:
    """The file that annotations are in, where there is just one; else the folder."""
    return files[0] if len(files) == 1 else root


def images_only(dataset: Dataset) -> Dataset:
    """The data set, once it is sure that it is of images.

    Raises:
        UserError: It is not, and what is asked for is done to images alone.
    """
    if dataset.media != "image":
        raise UserError(f"these are {inflected(2, dataset.media)}, and this is for images", where=dataset.root)
    return dataset


def flat(dataset: Dataset) -> tuple[list[str], list[Sample]]:
    """The samples of all parts, and the part of each."""
    # A CSV may name a split for some records only; what has none is there to learn from.
    undivided = "all" if set(dataset.parts) == {"all"} else "train"
    pairs = [
        (undivided if part == "all" else part, sample) for part, samples in dataset.parts.items() for sample in samples
    ]
    return [part for part, _ in pairs], [sample for _, sample in pairs]


@checked_class
@dataclass(frozen=True)
class Format:
    """A format of data sets, one way to lay them out, and its reader.

    Attributes:
        name: What `open_dataset` is told to insist on it.
        title: What it is, in a few words.
        fits: Whether a folder or file looks like it; quick, and never wrong about another format.
        read: Reads it; raises a `svertka.errors.UserError` if nothing in it can be used.
    """

    registers: ClassVar[str] = "format"

    name: str
    title: str
    fits: Callable[[Path], bool]
    read: Callable[[Path], Dataset]

    def check_parts(self) -> None:
        """See `svertka.plugins.Registrable.check_parts`."""
        if not isinstance(self.title, str) or not self.title:
            raise lacks("format", self.name, "title", "a few words")
        for part in ("fits", "read"):
            if not callable(getattr(self, part)):
                raise lacks("format", self.name, part, "a function of a path")

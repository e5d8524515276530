"""Which files are meant, of images or series, and reading them a batch at a time; needs no torch."""

from __future__ import annotations

import glob
import itertools
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from svertka.annotations import natural
from svertka.errors import UserError
from svertka.runtime.image import IMAGE_SUFFIXES, ImageError, read_image
from svertka.runtime.video import VIDEO_SUFFIXES, frames

_BATCH = 16


class ReadBatch(NamedTuple):
    """Some files, and what was read of them.

    Attributes:
        files: All of them.
        values: Decoded, images ``(H, W, 3)`` uint8 RGB or series ``(T, C)`` float32, by position among the files.
        errors: Why there is none, by position.
    """

    files: Sequence[Path]
    values: dict[int, NDArray[Any]]
    errors: dict[int, str]


def image_files(given: Path, suffixes: Collection[str] = IMAGE_SUFFIXES) -> list[Path]:
    """The file itself; of a folder all images in it, in natural order.

    Args:
        given: File or folder.
        suffixes: What the files in a folder end in; those of images, if not given.
    """
    if not given.is_dir():
        return [given]
    found = [path for path in given.rglob("*") if path.suffix.lower() in suffixes and path.is_file()]
    return sorted(found, key=lambda path: natural(path.as_posix()))


def matching_files(given: Path, suffixes: Collection[str] = IMAGE_SUFFIXES) -> list[Path]:
    """As `image_files`, also for a pattern such as ``photos/**/*.jpg``, which matches files and folders.

    Raises:
        UserError: A pattern matches nothing.
    """
    if given.exists() or not glob.has_magic(str(given)):
        return image_files(given, suffixes)
    names = glob.glob(_literal_start(given), recursive=True)  # noqa: PTH207 (a pattern may be absolute)
    found = sorted(map(Path, names), key=lambda path: natural(path.as_posix()))
    if not found:
        raise UserError("nothing matches", where=given)
    # Of `**`, folders match beside what is in them.
    return list(dict.fromkeys(file for path in found for file in image_files(path, suffixes)))


def _literal_start(pattern: Path) -> str:
    """The pattern, with folders that are really there taken by their names, be there brackets in these or not."""
    place = Path(pattern.anchor)
    parts = list(pattern.parts[len(place.parts) :])
    while parts and (place / parts[0]).exists():
        place /= parts.pop(0)
    return str(Path(glob.escape(str(place)), *parts))


def read_batches(files: Sequence[Path], read: Callable[[Path], NDArray[Any]] = read_image) -> Iterator[ReadBatch]:
    """Read files, a few at a time, in order.

    Args:
        files: Of one medium.
        read: Reads one; raises a `svertka.errors.UserError` of one that cannot be used.
    """
    for start in range(0, len(files), _BATCH):
        batch = ReadBatch(files[start : start + _BATCH], {}, {})
        for position, file in enumerate(batch.files):
            try:
                batch.values[position] = read(file)
            except UserError as error:
                batch.errors[position] = error.what
        yield batch


def read_with_videos(files: Sequence[Path], every: float) -> Iterator[ReadBatch]:
    """As `read_batches`; a video becomes frames, called ``clip@12.00s.mp4``.

    Args:
        files: Images and videos.
        every: Seconds from one frame of a video to the next.

    Raises:
        UserError: There is a video, and nothing here to read it with.
    """
    for video, some in itertools.groupby(files, key=lambda file: file.suffix.lower() in VIDEO_SUFFIXES):
        if not video:
            yield from read_batches(list(some))
            continue
        for file in some:
            yield from _frame_batches(file, every)


def _frame_batches(file: Path, every: float) -> Iterator[ReadBatch]:
    seen = frames(file, every)
    more = True
    while more:
        names: list[Path] = []
        batch = ReadBatch(names, {}, {})
        try:
            for seconds, picture in itertools.islice(seen, _BATCH):
                batch.values[len(names)] = picture
                names.append(file.with_name(f"{file.stem}@{seconds:.2f}s{file.suffix}"))
            more = len(names) == _BATCH
        except ImageError as error:
            batch.errors[len(names)] = error.what
            names.append(file)
            more = False
        if names:
            yield batch

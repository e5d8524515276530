"""Pairs of pictures, to learn to turn one into the other: side by side in one file, or in two folders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from svertka.annotations import Picture
from svertka.data.files.layout import images_below, part_in, relative, subfolders, unwrapped
from svertka.data.files.records import dataset_of
from svertka.data.samples import Dataset, Format, ImageFile, Sample, Skipped
from svertka.runtime.image import ImageError, image_size, read_file
from svertka.wording import counted

_FOLDERS = (
    ("A", "B"),
    ("trainA", "trainB"),
    ("valA", "valB"),
    ("testA", "testB"),
    ("input", "target"),
    ("source", "target"),
)
_LOOKED_AT = 16  # files whose size tells whether they hold two pictures


@dataclass(frozen=True, slots=True)
class HalfImage:
    """The left or right half of an image file."""

    file: ImageFile
    right: bool

    def stamp(self) -> str:
        """See `svertka.annotations.ImageSource`."""
        return f"{self.file.stamp()} {self.right}"

    def load(self) -> tuple[NDArray[np.uint8], str]:
        """See `svertka.annotations.ImageSource`.

        Raises:
            ImageError: The file cannot be read, or its width is odd.
        """
        pixels, digest = self.file.load()
        half, rest = divmod(pixels.shape[1], 2)
        if rest or not half:
            raise ImageError(f"{counted(pixels.shape[1], 'pixel')} across, which do not halve", where=self.file.path)
        return np.ascontiguousarray(pixels[:, half:] if self.right else pixels[:, :half]), f"{digest} {self.right:d}"


def is_pairs(path: Path) -> bool:
    """Whether a folder has ``A/`` and ``B/`` with images of the same names and sizes, or only images twice as wide as
    high."""
    if not path.is_dir():
        return False
    root = unwrapped(path)
    if two := _two_folders(root):
        return all(_same(_by_name(a, root), _by_name(b, root)) for _, a, b in two)
    return bool(one := _one_folder(root)) and all(_wide(folder, root) for _, folder in one)


def read_pairs(path: Path) -> Dataset:
    """Read pictures A|B side by side in one file, as pix2pix has them, or ``A/`` and ``B/`` with files of the same
    names.

    The folders may be called ``trainA/`` and ``trainB/``, or ``input/`` and ``target/``, with parts above or below. A
    becomes B.

    Raises:
        UserError: There is no pair.
    """
    root = unwrapped(path)
    notes = [] if root == path else [f"read from {root}"]
    skipped: list[Skipped] = []
    parts: dict[str, list[Sample]] = {}
    for part, folder_a, folder_b in _two_folders(root):
        first, second = _by_name(folder_a, root), _by_name(folder_b, root)
        for stem, file in first.items():
            if stem in second:
                inner = part_in(stem.split("/")[0]) if part == "all" and "/" in stem else None
                sample = Sample(relative(file, root), ImageFile(file), Picture(ImageFile(second[stem])))
                parts.setdefault(inner or part, []).append(sample)
            else:
                skipped.append(Skipped(relative(file, root), f"{folder_b.name} has no file of that name"))
        alone = second.keys() - first.keys()
        skipped += [
            Skipped(relative(second[stem], root), f"{folder_a.name} has no file of that name") for stem in sorted(alone)
        ]
    if parts:
        return dataset_of(root, "pairs in two folders", parts, notes, skipped)
    for part, folder in _one_folder(root):
        for file in images_below(folder, root, recurse=False):
            source = ImageFile(file)
            sample = Sample(relative(file, root), HalfImage(source, False), Picture(HalfImage(source, True)))
            parts.setdefault(part, []).append(sample)
    return dataset_of(root, "pairs side by side", parts, notes, skipped)


def _two_folders(root: Path) -> list[tuple[str, Path, Path]]:
    parts = [(part, folder) for folder in subfolders(root) if (part := part_in(folder.name)) is not None]
    found = []
    for part, folder in [("all", root), *parts]:
        here = {place.name: place for place in subfolders(folder)}
        for first, second in _FOLDERS:
            if first in here and second in here:
                own = part_in(first.removesuffix("A")) if first.endswith("A") else None
                found.append((own or part, here[first], here[second]))
    return found


def _one_folder(root: Path) -> list[tuple[str, Path]]:
    parts = [(part, folder) for folder in subfolders(root) if (part := part_in(folder.name)) is not None]
    places = parts if parts and len(parts) == len(subfolders(root)) else [] if subfolders(root) else [("all", root)]
    return [] if any(subfolders(folder) for _, folder in places) else places


def _by_name(folder: Path, root: Path) -> dict[str, Path]:
    return {file.relative_to(folder).with_suffix("").as_posix(): file for file in images_below(folder, root)}


def _same(first: dict[str, Path], second: dict[str, Path]) -> bool:
    # Two classes may be called A and B, and number their files alike: their images are hardly of the same sizes each.
    if not first or first.keys() != second.keys():
        return False
    names = list(first)[:: max(1, len(first) // _LOOKED_AT)]
    return all(_size(first[name]) == _size(second[name]) != None for name in names)  # noqa: E711 (all three)


def _wide(folder: Path, root: Path) -> bool:
    files = images_below(folder, root, recurse=False)
    sizes = [_size(file) for file in files[:: max(1, len(files) // _LOOKED_AT)]]
    return bool(sizes) and all(size is not None and size[1] == 2 * size[0] for size in sizes)


def _size(file: Path) -> tuple[int, int] | None:
    try:
        return image_size(read_file(file))
    except ImageError:
        return None


PAIRS = Format("pairs", "pairs of pictures", is_pairs, read_pairs)

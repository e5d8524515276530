"""Files that an annotation names: looked for below the data set's folder, and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

from svertka.data.layout import images_below
from svertka.data.records import RecordError

_LONG = 100  # characters of a name that are shown


def below(root: Path, name: str, *, folder: Path | None = None) -> Path:
    """The file that an annotation calls ``name``.

    Args:
        root: The data set's folder; links that lead out of it are not followed.
        name: A path, relative to ``folder``.
        folder: By default ``root``.

    Raises:
        RecordError: It lies outside, or there is no such file.
    """
    try:
        file = Path(os.path.normpath((folder or root) / name))
        real, real_root = file.resolve(), root.resolve()
        inside = real.is_relative_to(real_root)
        if inside and not file.is_relative_to(root):  # said by its whole path
            file = root / real.relative_to(real_root)
        exists = inside and file.is_file()
    except (OSError, ValueError, RuntimeError):  # too long, with a zero byte, a loop of links
        raise RecordError(f"{name[:_LONG]!r} is no name of a file") from None
    if not inside:
        raise OutsideError(f"{name[:_LONG]} lies outside the data set's folder")
    if not exists:
        raise RecordError(f"{name[:_LONG]} does not exist")
    return file


class OutsideError(RecordError):
    """A path leads out of the data set's folder."""


class ImageFinder:
    """Finds the images that annotations name.

    Args:
        root: The data set's folder.
        folders: Where names are looked for, in this order. What is in none of them is looked for by its last part
            alone, anywhere below ``root``.
    """

    def __init__(self, root: Path, folders: Sequence[Path]) -> None:
        self.root, self.folders = root, tuple(dict.fromkeys(folders))

    def find(self, name: str, *, beside: Path | None = None) -> Path:
        """The image called ``name``; ``beside`` is a folder where it is looked for first.

        Raises:
            RecordError: It lies outside, there is none, or there are several.
        """
        name = name.replace("\\", "/")
        outside: OutsideError | None = None
        for folder in self.folders if beside is None else (beside, *self.folders):
            try:
                return below(self.root, name, folder=folder)
            except OutsideError as error:
                outside = error
            except RecordError as error:
                if "no name" in str(error):
                    raise
        if outside is not None:
            raise outside
        return self._only(name.rsplit("/", 1)[-1], self._by_name, name)

    def find_stem(self, stem: str) -> Path:
        """The image called ``stem``, whatever its suffix.

        Raises:
            RecordError: There is none, or there are several.
        """
        return self._only(stem, self._by_stem, stem)

    def _only(self, key: str, known: dict[str, list[Path]], name: str) -> Path:
        found = known.get(key, [])
        if len(found) > 1:
            raise RecordError(f"{name[:_LONG]} is there {len(found)} times, in several folders")
        if not found:
            raise RecordError(f"{name[:_LONG]} does not exist")
        return found[0]

    @cached_property
    def images(self) -> list[Path]:
        """All images below the root."""
        return images_below(self.root, self.root)

    @cached_property
    def _by_name(self) -> dict[str, list[Path]]:
        return _grouped((path.name, path) for path in self.images)

    @cached_property
    def _by_stem(self) -> dict[str, list[Path]]:
        inside = [path for path in self.images if path.parent in self.folders]
        return _grouped((path.stem, path) for path in inside or self.images)


def _grouped(pairs: Iterable[tuple[str, Path]]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for key, path in pairs:
        found.setdefault(key, []).append(path)
    return found

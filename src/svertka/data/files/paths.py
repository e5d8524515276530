"""Finding the files that an annotation names, below the data set's folder and nowhere else; all readers do it here.

A name is taken as it stands where there is such a file. Otherwise it may differ in the case of letters (Windows wrote
``0.jpg`` for ``0.JPG``) or lack its suffix (``shot.1.2`` for ``shot.1.2.jpg``), as long as one file alone fits.
"""

from __future__ import annotations

import difflib
import functools
import os
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

from svertka.data.files.layout import images_below, part_in, relative
from svertka.data.files.records import RecordError
from svertka.runtime.image import IMAGE_SUFFIXES

_LONG = 100  # characters of a name that are shown
_SHOWN = 3  # of several files that fit
_COMPARED = 2000  # files of a folder that a hint is looked for among


class OutsideError(RecordError):
    """A path leads out of the data set's folder."""


class _NoNameError(RecordError):
    """What stands for a file is no name of one."""


def below(root: Path, name: str, *, folder: Path | None = None) -> Path:
    """The file that an annotation calls ``name``.

    Args:
        root: The data set's folder; links that lead out of it are not followed.
        name: A path, relative to ``folder``.
        folder: By default ``root``.

    Raises:
        RecordError: It lies outside, there is no such file, or several fit as well.
    """
    found = _exact(root, name, folder or root) or _alike(root, name, folder or root)
    if found is None:
        raise RecordError(f"{name[:_LONG]} does not exist{_hint(Path(folder or root, name))}")
    return found


class ImageFinder:
    """Finds the images that annotations name.

    Args:
        root: The data set's folder.
        folders: Where names are looked for, in this order.
        anywhere: Whether what is in none of the folders is looked for by its last part alone, anywhere below ``root``.
    """

    def __init__(self, root: Path, folders: Sequence[Path], *, anywhere: bool = True) -> None:
        self.root, self.folders, self.anywhere = root, tuple(dict.fromkeys(folders)), anywhere

    def find(self, name: str, *, beside: Path | None = None, within: str | None = None) -> Path:
        """The image called ``name``, whatever the case of its letters, with its suffix or without.

        Args:
            name: As the annotation has it; Windows' separators are separators too.
            beside: A folder where it is looked for first.
            within: Name of the subset or folder that it is in, which tells files of one name apart.

        Raises:
            RecordError: It lies outside, there is none, or there are several.
        """
        name = name.replace("\\", "/")
        outside: OutsideError | None = None
        folders = self.folders if beside is None else (beside, *self.folders)
        for look in (_exact, _alike):
            for folder in folders:
                try:
                    found = look(self.root, name, folder)
                except OutsideError as error:
                    outside = error
                    continue
                if found is not None and (within is None or self._is_only(found, within)):
                    return found
        if outside is not None:
            raise outside
        last = name.rsplit("/", 1)[-1]
        tried = [self._by_name.get(last, []), self._by_folded_name.get(last.lower(), [])]
        if not _has_image_suffix(last):
            tried += [self._by_stem.get(last, []), self._by_folded_stem.get(last.lower(), [])]
        for files in filter(None, tried):
            return self._one_of(files, name, within)
        raise RecordError(f"{name[:_LONG]} does not exist{_hint(*(Path(folder, name) for folder in folders))}")

    def find_stem(self, stem: str, *, beside: Path | None = None, within: str | None = None) -> Path:
        """The image called ``stem``, whatever its suffix; see `find`.

        Raises:
            RecordError: There is none, or there are several.
        """
        for files in filter(None, (self._by_stem.get(stem, []), self._by_folded_stem.get(stem.lower(), []))):
            files = [file for file in files if file.parent == beside] or files
            files = [file for file in files if file.parent in self.folders] or files
            return self._one_of(files, stem, within)
        raise RecordError(f"{stem[:_LONG]} does not exist")

    def named(self, name: str, *, within: str | None = None) -> tuple[str, Path]:
        """`find`, and what the sample is called: ``name`` where it is exact, else the file's own path.

        Raises:
            RecordError: See `find`.
        """
        found = self.find(name, within=within)
        return (name if found == self.root / name else relative(found, self.root)), found

    def _is_only(self, found: Path, within: str) -> bool:
        # A file of that name in the folder of another subset is not meant.
        others = self._by_folded_name.get(found.name.lower(), [])
        return len(others) < 2 or _lies_within(found, self.root, within) or not self._in_subset(others, within)

    def _one_of(self, files: list[Path], name: str, within: str | None) -> Path:
        if len(files) > 1:
            wanted = [part.lower() for part in name.split("/")]
            shared = [_shared_end([part.lower() for part in file.parts], wanted) for file in files]
            files = [file for file, count in zip(files, shared, strict=True) if count == max(shared)]
        if len(files) > 1 and within is not None:
            files = self._in_subset(files, within) or files
        if len(files) > 1:
            shown = ", ".join(relative(file, self.root) for file in files[:_SHOWN])
            more = ", …" if len(files) > _SHOWN else ""
            raise RecordError(f"{name[:_LONG]} is there {len(files)} times: {shown}{more}")
        return files[0]

    def _in_subset(self, files: Iterable[Path], within: str) -> list[Path]:
        return [file for file in files if _lies_within(file, self.root, within)]

    @cached_property
    def images(self) -> list[Path]:
        """All images that are looked among: those below the root, or in the folders."""
        if self.anywhere:
            return images_below(self.root, self.root)
        inside = [folder for folder in self.folders if folder.is_dir()]
        return [image for folder in inside for image in images_below(folder, self.root, recurse=False)]

    @cached_property
    def _by_name(self) -> dict[str, list[Path]]:
        return _grouped((path.name, path) for path in self.images)

    @cached_property
    def _by_folded_name(self) -> dict[str, list[Path]]:
        return _grouped((path.name.lower(), path) for path in self.images)

    @cached_property
    def _by_stem(self) -> dict[str, list[Path]]:
        return _grouped((path.stem, path) for path in self.images)

    @cached_property
    def _by_folded_stem(self) -> dict[str, list[Path]]:
        return _grouped((path.stem.lower(), path) for path in self.images)


def _exact(root: Path, name: str, folder: Path) -> Path | None:
    file, inside = _placed(root, name, folder)
    if not inside:
        raise OutsideError(f"{name[:_LONG]} lies outside the data set's folder")
    try:
        if file.exists() and not (file.is_file() or file.is_dir()):
            raise _NoNameError(f"{name[:_LONG]} is not a regular file")
        return file if file.is_file() else None
    except (OSError, ValueError):  # too long for this system
        raise _NoNameError(f"{name[:_LONG]!r} is no name of a file") from None


def _alike(root: Path, name: str, folder: Path) -> Path | None:
    """The only file that differs from ``name`` in the case of letters, or has an image's suffix where it has none."""
    file, inside = _placed(root, name, folder)
    if not inside or not file.is_relative_to(root):
        return None
    place = root
    *folders, last = file.relative_to(root).parts or ("",)
    for part in folders:
        inner = _listing(place).folders.get(part.lower(), [])
        exact = [entry for entry in inner if entry == part] or inner
        if len(exact) != 1:
            return None
        place = place / exact[0]
    listing = _listing(place)
    fitting = listing.files.get(last.lower(), [])
    if not fitting and not _has_image_suffix(last):
        fitting = [entry for entry in listing.stems.get(last.lower(), []) if Path(entry).stem == last]
        fitting = fitting or listing.stems.get(last.lower(), [])
    if len(fitting) > 1:
        raise RecordError(f"{name[:_LONG]} does not exist, and {' and '.join(fitting[:_SHOWN])} are there")
    return _exact(root, str(place.relative_to(root) / fitting[0]), root) if fitting else None


def _placed(root: Path, name: str, folder: Path) -> tuple[Path, bool]:
    """Where ``name`` would be, and whether that is below ``root``, also once links are followed."""
    try:
        file = Path(os.path.normpath(folder / name))
        real, real_root = file.resolve(), root.resolve()
        inside = real.is_relative_to(real_root)
        if inside and not file.is_relative_to(root):  # named by its whole path
            file = root / real.relative_to(real_root)
    except (OSError, ValueError, RuntimeError):  # too long, with a zero byte, a loop of links
        raise _NoNameError(f"{name[:_LONG]!r} is no name of a file") from None
    return file, inside


class _Listing:
    """What is in a folder: names by their lower case, and by the lower case of their stem."""

    def __init__(self, folder: Path) -> None:
        self.files: dict[str, list[str]] = {}
        self.folders: dict[str, list[str]] = {}
        self.stems: dict[str, list[str]] = {}
        with os.scandir(folder) as entries:
            for entry in entries:
                kind = self.folders if entry.is_dir(follow_symlinks=False) else self.files
                kind.setdefault(entry.name.lower(), []).append(entry.name)
                if kind is self.files and _has_image_suffix(entry.name):
                    self.stems.setdefault(Path(entry.name).stem.lower(), []).append(entry.name)


def _listing(folder: Path) -> _Listing:
    try:
        return _cached_listing(str(folder), folder.stat().st_mtime_ns)
    except (OSError, ValueError):
        return _EMPTY


@functools.lru_cache(maxsize=64)
def _cached_listing(folder: str, changed: int) -> _Listing:
    del changed  # another listing where something came or went
    return _Listing(Path(folder))


_EMPTY = _Listing.__new__(_Listing)
_EMPTY.files, _EMPTY.folders, _EMPTY.stems = {}, {}, {}


def _hint(*places: Path) -> str:
    """What is there instead, for an error's end."""
    for place in places:
        names = [name for entries in _listing(place.parent).files.values() for name in entries]
        if len(names) <= _COMPARED:
            close = difflib.get_close_matches(place.name, names, n=1, cutoff=0.8)
            if close:
                return f"; {close[0]} does"
    return ""


def _has_image_suffix(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES  # noqa: PTH122 (speed)


def _lies_within(file: Path, root: Path, within: str) -> bool:
    wanted, part = within.lower(), part_in(within)
    folders = file.relative_to(root).parts[:-1]
    return any(folder.lower() == wanted or (part is not None and part_in(folder) == part) for folder in folders)


def _shared_end(parts: Sequence[str], wanted: Sequence[str]) -> int:
    count = 0
    while count < min(len(parts), len(wanted)) and parts[-1 - count] == wanted[-1 - count]:
        count += 1
    return count


def _grouped(pairs: Iterable[tuple[str, Path]]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for key, path in pairs:
        found.setdefault(key, []).append(path)
    return found

"""Class folders: the name of a folder is the class of the images in it."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

from svertka.annotations import natural
from svertka.data.files.layout import PART_SPELLINGS, linked_subfolders
from svertka.data.readers.archives import archive_kind
from svertka.data.samples import Dataset, Format, ImageFile, Sample, Skipped
from svertka.errors import UserError
from svertka.runtime.image import IMAGE_SUFFIXES
from svertka.wording import counted, inflected

_MOST = 10_000  # files that are looked at where none is an image


def read_folders(root: Path, *, nested: bool = False) -> Dataset:
    """Read ``root/CLASS/…`` or ``root/{train,val,test}/CLASS/…``; nested, ``root/GROUP/CLASS/…``, class GROUP/CLASS.

    Images may lie in folders below the class folder. Hidden files are passed over; so are links to folders, which
    may lead anywhere and in circles. Links to files are followed, even out of the folder, and such are told of: a data
    set is often made of them, so as not to copy what lies elsewhere, and here it is the folder's owner who names files;
    in every other format names come from a file that may be another's, and links in an archive are refused. Bytes in a
    name that are no text stand as ``\\xff`` in names and labels.

    Raises:
        UserError: There are no class folders with images.
    """
    notes: list[str] = []
    root, folders = _descend(root, notes)
    parts = _part_folders(root, folders)
    chosen: dict[str, str] = {"all": ""}
    ignored: list[str] = []
    if parts:
        chosen = parts
        notes += [f"{part}: {folder}{os.sep}" for part, folder in chosen.items()]
        ignored = sorted(set(folders) - set(chosen.values()))
    skipped: list[Skipped] = []
    samples: dict[str, list[Sample]] = {}
    loose = _images(root, recurse=False)
    linked = linked_subfolders(root)
    for part, folder in chosen.items():
        place = root / folder
        samples[part] = []
        if folder:
            loose += _images(place, recurse=False)
            linked += linked_subfolders(place)
        for name in _subfolders(place):
            for file in _images(place / name, recurse=True):
                relative = file.relative_to(root).as_posix()
                label = file.parent.relative_to(place).as_posix() if nested else name
                samples[part].append(Sample(_printable(relative), ImageFile(file), _printable(label)))
    if loose:
        notes.append(
            f"{counted(len(loose), 'image lies', 'images lie')} in no class folder and "
            f"{inflected(len(loose), 'is', 'are')} left out, such as {loose[0].name}"
        )
    if ignored:
        notes.append(f"ignored folders: {', '.join(ignored)}")
    if linked:
        notes.append(f"links to folders are passed over: {', '.join(linked)}")
    if not any(samples.values()):
        if not loose and not linked:
            _refuse_without_images(root)
        raise UserError(
            "no images in class folders" + (" (links to folders are passed over)" if linked else ""),
            where=root,
            mend="put each class's images into a folder of its name: FOLDER/CLASS/IMAGE.jpg",
        )
    outside = [sample.name for part in samples.values() for sample in part if _leads_out(sample, root)]
    if outside:
        notes.append(f"links to files outside the folder, which are read: {len(outside):,}, such as {outside[0]}")
    if nested:
        notes.append("a class is a folder in a folder; --format folders takes the outer one for the class")
    return Dataset(root, "nested class folders" if nested else "class folders", samples, notes, skipped)


def part_in_name(file: Path, folder: Path) -> str:
    """The part that a file's name, or that of a folder it lies in below ``folder``, tells of; ``all`` if none does."""
    names = [*reversed(file.relative_to(folder).parent.parts), file.name]
    words = [word for name in names for word in re.split(r"[^a-z]+", name.lower())]
    return next((part for word in words for part, spelt in PART_SPELLINGS.items() if word in spelt), "all")


def is_nested(root: Path) -> bool:
    """Whether all images lie two folders deep, in folders of equally many images, some of them side by side.

    So Omniglot's characters lie in their alphabets; photographs of a class that were sorted by day differ in number.
    """
    if not root.is_dir():
        return False
    root, folders = _descend(root, [])
    if set(_part_folders(root, folders).values()):
        return False
    counts: set[int] = set()
    beside = 0
    for outer in folders:
        if _images(root / outer, recurse=False):
            return False
        inner = _subfolders(root / outer)
        beside = max(beside, len(inner))
        for name in inner:
            if _subfolders(root / outer / name):
                return False
            counts.add(len(_images(root / outer / name, recurse=False)))
            if len(counts) > 1:
                return False
    return len(folders) > 1 and beside > 1 and counts != {0}


def _descend(root: Path, notes: list[str]) -> tuple[Path, list[str]]:
    # Archives often wrap everything in one folder more.
    folders = _subfolders(root)
    while len(folders) == 1 and not _images(root, recurse=False):
        inner = root / folders[0]
        if not _subfolders(inner) or _images(inner, recurse=False):
            break
        root, folders = inner, _subfolders(inner)
        notes.append(f"read from {root}")
    return root, folders


def _part_folders(root: Path, folders: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for part, spellings in PART_SPELLINGS.items():
        named = [folder for folder in folders if folder.lower() in spellings]
        if len(named) > 1:
            raise UserError(f"{' and '.join(named)} are both a folder for {part}", where=root, mend="keep one of them")
        if named:
            found[part] = named[0]
    if len(found) == 1 and not _subfolders(root / next(iter(found.values()))):
        return {}  # "train" can be a class, beside "bus" and "car"
    return found


def _subfolders(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        folders = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    return sorted((name for name in folders if not name.startswith((".", "__"))), key=natural)


def _leads_out(sample: Sample, root: Path) -> bool:
    path = sample.source.path if isinstance(sample.source, ImageFile) else root
    return path.is_symlink() and not path.resolve().is_relative_to(root.resolve())


def _refuse_without_images(root: Path) -> None:
    # What there is instead may say what went wrong: numbers were given, or archives were not opened.
    held: Counter[str] = Counter()
    for place, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        held.update(Path(name).suffix.lower() for name in files if not name.startswith("."))
        for name in sorted(files) if Path(place) == root else ():
            if archive_kind(root / name):
                raise UserError("no images, but archives", where=root, mend=f"give one of them: {root / name}")
        if held.total() > _MOST:
            break
    kinds = [(kind, count) for kind, count in held.most_common() if kind]
    if kinds:
        told = ", ".join(f"{count:,} {kind}" for kind, count in kinds[:3])
        raise UserError(
            f"no images: what it holds are files of other kinds ({told})",
            where=root,
            mend="give a folder of images; numbers alone, such as series over time, are not read",
        )


def _printable(name: str) -> str:
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _images(folder: Path, *, recurse: bool) -> list[Path]:
    found: list[Path] = []
    for place, folders, files in os.walk(folder):
        folders[:] = sorted((name for name in folders if not name.startswith(".")), key=natural) if recurse else []
        for name in sorted(files, key=natural):
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES:  # noqa: PTH122 (speed)
                found.append(Path(place, name))
    return found


NESTED = Format("nested", "class folders in folders", is_nested, lambda root: read_folders(root, nested=True))
FOLDERS = Format("folders", "class folders", Path.is_dir, read_folders)

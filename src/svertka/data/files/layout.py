"""How data sets lie on disk: folders of parts, folders of images, one folder around everything."""

from __future__ import annotations

import os
import re
from pathlib import Path

from svertka.annotations import natural
from svertka.runtime.image import IMAGE_SUFFIXES

PART_SPELLINGS = {
    "train": {"train", "training", "trn"},
    "val": {"val", "valid", "validation", "dev"},
    "test": {"test", "testing", "tst"},
}
"""Folder names, in lower case, that are taken for a part of a split."""


IMAGE_FOLDERS = (
    "images",
    "image",
    "imgs",
    "img",
    "jpegimages",
    "leftimg8bit",
    "photos",
    "original",
    "originals",
    "rgb",
)
"""Names of folders, in lower case, that hold the images of a format and are no class."""
MASK_FOLDERS = (
    *("masks", "mask", "segmentationclass", "segmentationclasspng", "segmentations", "gt", "gtfine", "gtcoarse"),
    *("groundtruth", "ground_truth", "ground-truth", "seg", "segs", "segmentation", "matte", "mattes", "ann", "anns"),
    *("labels", "label", "annotations", "annotation", "annot", "annots"),
)
"""Names of folders, in lower case, that hold masks or other annotations of a format and are no class."""
_OF_MASKS = "annotations?|annots?|labels?|masks?|gt|segmentations?|seg"


def masks_of_part(name: str) -> str | None:
    """The part whose masks a folder of this name holds: ``train`` of ``trainannot``, ``train_labels``, ``masks-train``;
    none of other names.
    """
    found = re.fullmatch(rf"([a-z]+?)[_\- ]?({_OF_MASKS})|({_OF_MASKS})[_\- ]?([a-z]+)", name.lower())
    word = (found[1] or found[4]) if found else None
    return next((part for part, spellings in PART_SPELLINGS.items() if word in spellings), None)


def is_structure(name: str) -> bool:
    """Whether a folder of this name holds a piece of some format, such as images or masks, rather than a class."""
    return name.lower() in {*IMAGE_FOLDERS, *MASK_FOLDERS, "imagesets"} or masks_of_part(name) is not None


def part_in(name: str) -> str | None:
    """The part of a split that the words of a name speak of: ``val`` for ``instances_val2017``."""
    words = re.split(r"[^a-z]+", name.lower())
    return next((part for part, spellings in PART_SPELLINGS.items() if spellings.intersection(words)), None)


def parts_in(folder: Path) -> dict[str, list[Path]]:
    """Folders in ``folder`` by the part that they are for; ``all`` is the folder itself where there are none."""
    found: dict[str, list[Path]] = {}
    for child in subfolders(folder):
        part = part_in(child.name)
        if part is not None:
            found.setdefault(part, []).append(child)
    return found or {"all": [folder]}


def subfolders(folder: Path) -> list[Path]:
    """The folders in a folder, without hidden ones and links."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False) and not _hidden(entry.name)]
    return [folder / name for name in sorted(names, key=natural)]


def linked_subfolders(folder: Path) -> list[str]:
    """Names of the links to folders in a folder, without hidden ones and links that lead round to themselves."""
    with os.scandir(folder) as entries:
        links = [entry.name for entry in entries if entry.is_symlink() and not _hidden(entry.name)]
    return sorted((name for name in links if (folder / name).is_dir()), key=natural)


def child(folder: Path, *names: str) -> Path | None:
    """The folder in ``folder`` that has one of these names, in whatever case."""
    known = {path.name.lower(): path for path in subfolders(folder)}
    return next((known[name] for name in names if name in known), None)


def files_in(folder: Path, suffix: str, root: Path) -> list[Path]:
    """Files directly in a folder, in natural order, without hidden ones and links that lead out of ``root``."""
    with os.scandir(folder) as entries:
        names = [
            entry.name
            for entry in entries
            if entry.name.lower().endswith(suffix) and not _hidden(entry.name) and _inside(entry, root)
        ]
    return [folder / name for name in sorted(names, key=natural)]


def images_below(folder: Path, root: Path, *, recurse: bool = True) -> list[Path]:
    """Images in a folder and those below it, in natural order, without hidden ones and links that lead out of
    ``root``."""
    found: list[Path] = []
    waiting = [folder]
    while waiting:
        place = waiting.pop()
        with os.scandir(place) as entries:
            names = [
                entry.name
                for entry in entries
                if os.path.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES  # noqa: PTH122 (speed)
                and not _hidden(entry.name)
                and _inside(entry, root)
            ]
        found += [place / name for name in sorted(names, key=natural)]
        if recurse:
            waiting += reversed(subfolders(place))
    return found


def unwrapped(root: Path) -> Path:
    """The folder that matters, where archives have wrapped it in others that hold nothing else."""
    for _ in range(4):
        with os.scandir(root) as entries:
            visible = [entry for entry in entries if not _hidden(entry.name)]
        if len(visible) != 1 or not visible[0].is_dir(follow_symlinks=False) or part_in(visible[0].name):
            break
        root = root / visible[0].name
    return root


def relative(path: Path, root: Path) -> str:
    """The name of a file below the data set's folder; bytes that are no text stand as ``\\xff``."""
    return os.fsencode(path.relative_to(root).as_posix()).decode("utf-8", "backslashreplace")


def _hidden(name: str) -> bool:
    return name.startswith((".", "__MACOSX"))


def _inside(entry: os.DirEntry[str], root: Path) -> bool:
    try:
        if entry.is_symlink():
            return Path(entry.path).resolve().is_relative_to(root.resolve()) and entry.is_file()
        return entry.is_file()
    except (OSError, RuntimeError):
        return False

"""The texts of YOLO: which belongs to which image, and which to none."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from svertka.data.files.documents import read_text
from svertka.data.files.layout import child, files_in, images_below, part_in, subfolders
from svertka.data.files.records import RecordError
from svertka.runtime.image import IMAGE_SUFFIXES

MAX_LABELS = 4 << 20
"""Bytes of an image's text: a hundred thousand boxes."""

_LINE = re.compile(r"\s*\d+(\s+[-+0-9.eE]+){4,}\s*")
_NO_LABELS = ("classes.txt", "obj.names", "labels.txt")


def text_of(image: Path, root: Path) -> Path:
    """Where the labels of an image are: in ``labels/`` for one in ``images/``, else beside it."""
    pieces = list(image.relative_to(root).parts)
    for place in range(len(pieces) - 2, -1, -1):
        if pieces[place].lower() == "images":
            pieces[place] = {"images": "labels", "Images": "Labels", "IMAGES": "LABELS"}.get(pieces[place], "labels")
            return root.joinpath(*pieces).with_suffix(".txt")
    return image.with_suffix(".txt")


def some_labels(root: Path) -> Iterator[Path]:
    """Some texts that stand where labels are."""
    places = [child(root, "labels"), *(child(folder, "labels") for folder in subfolders(root))]
    for place in filter(None, places):
        for folder in (place, *subfolders(place)):
            yield from files_in(folder, ".txt", root)[:5]
    for folder in (root, *(folder for folder in subfolders(root) if part_in(folder.name))):
        for file in files_in(folder, ".txt", root)[:5]:
            if any(file.with_suffix(suffix).is_file() for suffix in IMAGE_SUFFIXES):
                yield file


def is_labels(file: Path) -> bool:
    """Whether a text begins with a line of labels."""
    try:
        lines = [line for line in read_text(file, MAX_LABELS).splitlines() if line.strip()]
    except RecordError:
        return False
    return bool(lines) and _LINE.fullmatch(lines[0]) is not None


def texts_without_image(root: Path, images: set[Path]) -> list[Path]:
    """Texts of labels that belong to no image of the folder.

    Args:
        root: The data set's folder.
        images: Those that are read; others in the folder have their text too.
    """
    known = {text_of(image, root) for image in (*images, *images_below(root, root))}
    beside = {text.parent for text in known}
    found: list[Path] = []
    for place in _folders(root):
        of_labels = any(name.lower() == "labels" for name in place.relative_to(root).parts)
        if of_labels or place in beside:
            found += [
                text
                for text in files_in(place, ".txt", root)
                if text not in known and text.name.lower() not in _NO_LABELS and (of_labels or is_labels(text))
            ]
    return found


def _folders(root: Path) -> Iterator[Path]:
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        yield folder
        waiting += reversed(subfolders(folder))

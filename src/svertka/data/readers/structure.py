"""Telling class folders from the folders of a format: ``images/`` beside ``masks/`` are no classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from svertka.annotations import names_in
from svertka.data.files.layout import IMAGE_FOLDERS, is_structure, linked_subfolders, subfolders
from svertka.data.samples import Dataset, ImageFile
from svertka.errors import UserError
from svertka.runtime.image import ImageError, decode_samples, read_file

_SHOWN = 3
_FEW_NAMES = 2
_LOOKED_AT = 6  # images of a class
_LEVELS = 8  # different numbers that a mask has, where a photograph has dozens


def check_class_folders(dataset: Dataset, unread: Sequence[str]) -> None:
    """See that what was taken for class folders, because it looks like nothing else, are no parts of some format.

    Args:
        dataset: What was read.
        unread: Files beside it that may be annotations of some format.

    Raises:
        UserError: The folders' names are those of a format's parts.
    """
    samples = [sample for part in dataset.parts.values() for sample in part]
    names = sorted({name.split("/")[0] for sample in samples for name in names_in(sample.annotation)})
    structural = [name for name in names if is_structure(name)]
    images = [name for name in structural if name.lower() in IMAGE_FOLDERS]
    if structural == names or (images and len(structural) > len(images)):
        raise UserError(
            f"{' and '.join(f'{name}/' for name in structural)} "
            + ("are parts of a format" if len(structural) > 1 else "is a part of a format")
            + f" that was not recognised, not classes{_what_is_there(unread)}",
            where=dataset.root,
            mend=_remedy(len(structural) > len(images)),
        )
    _check_masks(dataset)


def _check_masks(dataset: Dataset) -> None:
    """See that of two classes with files of the same names, one is no folder of masks, whatever it is called.

    Raises:
        UserError: It is.
    """
    by_class: dict[str, dict[str, Path]] = {}
    for sample in (sample for part in dataset.parts.values() for sample in part):
        if isinstance(sample.source, ImageFile) and isinstance(sample.annotation, str):
            by_class.setdefault(sample.annotation, {})[sample.source.path.stem] = sample.source.path
    if len(by_class) != 2:
        return
    (first, images), (second, others) = by_class.items()
    if images.keys() != others.keys() or len(images) < _FEW_NAMES:
        return
    chosen = list(images)[:: max(1, len(images) // _LOOKED_AT)]
    like_masks = [all(_is_like_a_mask(files[stem]) for stem in chosen) for files in (images, others)]
    if like_masks[0] != like_masks[1]:
        masks, pictures = (first, second) if like_masks[0] else (second, first)
        raise UserError(
            f"{pictures}/ and {masks}/ hold files of the same names, and {masks}/ looks like their masks, not a class",
            where=dataset.root,
            mend="call the folders images and masks; --format folders takes them as classes",
        )


def _is_like_a_mask(path: Path) -> bool:
    try:
        samples = decode_samples(read_file(path), where=path)
    except ImageError:
        return False
    return samples.ndim == 2 and len(np.unique(samples)) <= _LEVELS


def linked_folders(root: Path) -> list[str]:
    """Links to folders in ``root`` and in the folders in it: nothing follows them, for they may lead anywhere."""
    if not root.is_dir():
        return []
    found = []
    for place in (root, *subfolders(root)):
        found += [(place / name).relative_to(root).as_posix() for name in linked_subfolders(place)]
    return sorted(found)


def _what_is_there(unread: Sequence[str]) -> str:
    if not unread:
        return ""
    return f"; beside it lies {', '.join(unread[:_SHOWN])}"


def _remedy(masks: bool) -> str:
    names = "give an image and its mask the same name, or " if masks else "give the table of labels itself, or "
    return f"{names}put each class's images into a folder of its name; --format folders takes these as classes"

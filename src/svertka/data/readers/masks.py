"""Masks: an image of classes for each image, in a folder of their own or beside it."""

from __future__ import annotations

import hashlib
import itertools
import string
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from svertka.annotations import Mask
from svertka.data.files.documents import read_text
from svertka.data.files.layout import (
    IMAGE_FOLDERS,
    MASK_FOLDERS,
    child,
    images_below,
    masks_of_part,
    part_in,
    relative,
    subfolders,
    unwrapped,
)
from svertka.data.files.records import RecordError, dataset_of
from svertka.data.readers.legend import Key, find_legend, read_legend
from svertka.data.samples import Dataset, Format, ImageFile, Sample, Skipped
from svertka.errors import UserError
from svertka.runtime.image import ImageError, decode_samples, read_file
from svertka.wording import counted

VOID = 255
"""Where a mask says nothing."""
FOREIGN = 254
"""What is no class, where a mask has it in a way that classes have too."""

_VARIANTS = ("labeltrainids", "labelids", "color", "instanceids", "instancetrainids")
"""Masks that Cityscapes has of one image, the best first."""
_ENDS = (*(f"gtfine_{kind}" for kind in _VARIANTS), *(f"gtcoarse_{kind}" for kind in _VARIANTS), "leftimg8bit")
_ENDS += ("mask", "masks", "label", "labels", "gt", "seg", "segmentation", "groundtruth")
_LOSSY = (".jpg", ".jpeg", ".jpe", ".jfif", ".webp")
_MANY = 1000  # different numbers, when no more are sought
_LOOKED_AT = 500  # masks that are decoded to see which numbers there are, at most
_INDEX = 64  # a grey mask of few classes whose numbers are all lower has indices; others have levels


@dataclass(frozen=True, slots=True)
class MaskFile:
    """A mask in a file of its own.

    Attributes:
        path: The file.
        keys: The numbers in the file that are a class: levels, indices, or colours as 65536 × red + 256 × green + blue;
            rising.
        classes: The number of the class of each.
        colours: Whether keys are colours.
    """

    path: Path
    keys: tuple[int, ...]
    classes: tuple[int, ...]
    colours: bool = False

    def load(self) -> NDArray[np.uint8]:
        """See `svertka.annotations.MaskSource`.

        A number that is no class stays as it is where no class has it, and becomes `FOREIGN` elsewhere; so does a
        colour.

        Raises:
            ImageError: The file cannot be read.
        """
        numbers = self._numbers()
        keys = np.asarray(self.keys)
        places = np.minimum(np.searchsorted(keys, numbers), len(keys) - 1)
        foreign = np.full(numbers.shape, FOREIGN) if self.colours else numbers
        foreign = np.where((foreign > max(self.classes)) & (foreign <= VOID), foreign, FOREIGN)
        return np.where(keys[places] == numbers, np.asarray(self.classes)[places], foreign).astype(np.uint8)

    def digest(self) -> str:
        """See `svertka.annotations.MaskSource`.

        Raises:
            ImageError: The file cannot be read.
        """
        total = hashlib.blake2b(read_file(self.path), digest_size=16)
        total.update(repr((self.keys, self.classes, self.colours)).encode())
        return total.hexdigest()

    def _numbers(self) -> NDArray[np.int64]:
        return _numbers(self.path, colours=self.colours, two=self.keys == (0, 255))


def is_masks(path: Path) -> bool:
    """Whether a folder has images in one folder and masks of the same names in another, or ``x_mask`` beside ``x``."""
    return path.is_dir() and any(len(place.pairs(path)) > 0 for place in _places(unwrapped(path)))


def read_masks(path: Path) -> Dataset:
    """Read ``images/`` and ``masks/`` (or ``image/``, ``label/`` and other spellings; parts above or below them),
    ``train/`` and ``trainannot/`` or ``train_masks/``, Cityscapes' ``leftImg8bit/`` and ``gtFine/``, VOC's
    ``SegmentationClass/``, or ``x_mask.png`` beside ``x.jpg``.

    Where no name is in both folders, ``image_01`` goes with ``gt_01``: what is left of the names once all that those of
    a folder have in common is taken away, if that leaves the same names in both.

    What is which class a legend says, where there is one; see `svertka.data.readers.legend.read_legend`. Otherwise the
    numbers in the masks do: 0 and 255 are background and foreground, small numbers and those of a palette are classes,
    and colours and other levels are a class each.

    Raises:
        UserError: There is no image with a mask.
    """
    root = unwrapped(path)
    notes = [] if root == path else [f"read from {root}"]
    skipped: list[Skipped] = []
    pairs: list[tuple[str, Path, Path]] = []
    listed = _lists(root)
    for place in _places(root):
        found = place.pairs(root)
        notes += place.notes(root)
        for image, mask in found:
            part = listed.get(image.stem) if listed else place.part
            if part is not None:
                pairs.append((part, image, mask))
    if not pairs:
        return dataset_of(root, "masks", {}, notes, skipped)
    legend = find_legend(root)
    try:
        told = read_legend(legend) if legend else None
    except RecordError as error:
        raise UserError(str(error), where=legend, mend="mend it, or take it away") from error
    if legend:
        notes.append(f"classes as {legend.name} says")
    keys, classes, names, colours = _encoding([mask for _, _, mask in pairs], told, notes)
    parts: dict[str, list[Sample]] = {}
    for part, image, mask in pairs:
        annotation = Mask(MaskFile(mask, keys, classes, colours), names)
        parts.setdefault(part, []).append(Sample(relative(image, root), ImageFile(image), annotation))
    return dataset_of(root, "masks", parts, notes, skipped)


@dataclass(frozen=True)
class _Place:
    part: str
    images: Path
    masks: Path

    def pairs(self, root: Path) -> list[tuple[Path, Path]]:
        """Images with their masks."""
        masks = self._masks(root)
        images = [(_key_of(image, self.images), image) for image in images_below(self.images, root)]
        if self.images != self.masks and not any(key in masks for key, _ in images):
            rest, masks = _without_common(dict(images)), _without_common(masks)
            images = list(rest.items()) if rest.keys() == masks.keys() else []
        return [(image, masks[key]) for key, image in images if key in masks and masks[key] != image]

    def notes(self, root: Path) -> list[str]:
        """What is left out."""
        if self.images == self.masks:
            return []
        images = {_key_of(image, self.images) for image in images_below(self.images, root)}
        found = self._masks(root)
        masks = set(found)
        if not images & masks:
            pairs = self.pairs(root)
            return [f"names differ: {pairs[0][0].name} goes with {pairs[0][1].name}"] if pairs else []
        kinds = {_variant(mask) for mask in found.values()} - {""}
        return [f"of Cityscapes' masks, those called {', '.join(sorted(kinds))} are read"] * bool(kinds) + [
            f"{counted(len(alone), *words)} left out, such as {min(alone)}"
            for words, alone in (
                (("image has no mask and is", "images have no mask and are"), images - masks),
                (("mask has no image and is", "masks have no image and are"), masks - images),
            )
            if alone
        ]

    def _masks(self, root: Path) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for mask in images_below(self.masks, root):
            if self.masks != self.images or _plain(mask.stem) != mask.stem.lower():
                key = _key_of(mask, self.masks)
                if key not in found or _rank(mask) <= _rank(found[key]):
                    found[key] = mask
        return found


def _without_common(files: dict[str, Path]) -> dict[str, Path]:
    # ``0001`` of ``image_0001`` where all begin like that. Digits that all have in common still count.
    stems = [path.stem.lower() for path in files.values()]
    start = _common_start(stems).rstrip(string.digits)
    end = _common_start([stem[len(start) :][::-1] for stem in stems])[::-1].lstrip(string.digits)
    found = {
        f"{key.rpartition('/')[0]}/{path.stem.lower()[len(start) :].removesuffix(end)}": path
        for key, path in files.items()
    }
    return found if len(found) == len(files) > 1 else {}


def _common_start(texts: list[str]) -> str:
    first, last = min(texts, default=""), max(texts, default="")
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    return "".join(letter for letter, _ in same)


def _variant(mask: Path) -> str:
    kind = mask.stem.lower().rpartition("_")[2]
    return kind if kind in _VARIANTS else ""


def _rank(mask: Path) -> int:
    return _VARIANTS.index(_variant(mask)) if _variant(mask) else -1


def _places(root: Path) -> list[_Place]:
    images, masks = child(root, *IMAGE_FOLDERS), child(root, *MASK_FOLDERS)
    if images and masks:
        inner = {part_in(folder.name): folder for folder in subfolders(masks)}
        both = [
            _Place(part, folder, inner[part])
            for folder in subfolders(images)
            if (part := part_in(folder.name)) is not None and part in inner
        ]
        return both or [_Place("all", images, masks)]
    beside = {part: folder for folder in subfolders(root) if (part := masks_of_part(folder.name)) is not None}
    parts = [
        (part, folder)
        for folder in subfolders(root)
        if (part := part_in(folder.name)) is not None and folder not in beside.values()
    ]
    if beside:
        return [_Place(part, folder, beside[part]) for part, folder in parts if part in beside]
    found = []
    for part, folder in parts or [("all", root)]:
        images, masks = child(folder, *IMAGE_FOLDERS), child(folder, *MASK_FOLDERS)
        if images and masks:
            found.append(_Place(part, images, masks))
        elif not subfolders(folder):
            found.append(_Place(part, folder, folder))
    return found


def _key_of(path: Path, folder: Path) -> str:
    inner = path.parent.relative_to(folder).as_posix().lower()
    return f"{inner}/{_plain(path.stem)}"


def _plain(stem: str) -> str:
    # The name without the word that tells masks from images.
    stem = stem.lower()
    for end in _ENDS:
        for mark in ("_", "-", "."):
            if stem.endswith(mark + end):
                return stem.removesuffix(mark + end)
            if stem.startswith(end + mark):
                return stem.removeprefix(end + mark)
    return stem


def _lists(root: Path) -> dict[str, str]:
    folder = child(root, "imagesets")
    folder = folder and child(folder, "segmentation")
    found: dict[str, str] = {}
    for part in ("train", "val", "test"):
        try:
            lines = read_text(folder / f"{part}.txt").splitlines() if folder else []
        except RecordError:
            continue
        for stem in lines:
            found.setdefault(stem.strip(), part)
    return found


def _encoding(
    masks: list[Path], legend: dict[Key, str] | None, notes: list[str]
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[str, ...], bool]:
    """Keys, their classes, the names of these, and whether keys are colours."""
    if legend is not None:
        names = tuple(dict.fromkeys(legend.values()))
        told = {_packed(key): names.index(name) for key, name in legend.items()}
        keys = tuple(sorted(told))
        return keys, tuple(told[key] for key in keys), names, any(isinstance(key, tuple) for key in legend)
    step = max(1, len(masks) // _LOOKED_AT)
    values, colours, palette = set[int](), False, False
    lossy = any(mask.suffix.lower() in _LOSSY for mask in masks)
    for mask in masks[::step]:
        try:
            found, coloured, indexed = _values(mask)
        except ImageError:
            continue
        values |= found
        colours |= coloured
        palette |= indexed
        if len(values) > _MANY:
            break
    if not colours and (lossy or values <= {0, 255}):
        return (0, 255), (0, 1), ("background", "foreground"), False
    if colours:
        values = {value if value > 255 else value * 65793 for value in values}
    elif palette or max(values - {VOID}, default=0) < _INDEX or len(values) > _INDEX // 4:
        most = max(value for value in values if value != VOID)
        if most >= FOREIGN:
            raise UserError(f"a mask has the class {most}, over the limit of {FOREIGN - 1}", where=masks[0].parent)
        return tuple(range(most + 1)), tuple(range(most + 1)), tuple(str(number) for number in range(most + 1)), False
    keys = tuple(sorted(values))
    if len(keys) > FOREIGN:
        raise UserError(
            f"masks of over {FOREIGN} different colours, which are no classes",
            where=masks[0].parent,
            mend="save them without loss, or give a legend such as classes.csv with columns name, r, g, b",
        )
    what = "colour" if colours else "grey level"
    notes.append(f"no legend: {counted(len(keys), f'{what} is', f'{what}s are')} taken for as many classes")
    names = tuple(f"#{key:06x}" if colours else str(key) for key in keys)
    return keys, tuple(range(len(keys))), names, colours


def _values(path: Path) -> tuple[set[int], bool, bool]:
    """The numbers in a mask, whether they are colours, and whether they are a palette's."""
    data = read_file(path)
    samples = decode_samples(data, where=path)
    if samples.ndim == 3 and not (samples == samples[..., :1]).all():
        return set(np.unique(_pack(samples)).tolist()), True, False
    grey = samples if samples.ndim == 2 else samples[..., 0]
    return set(np.unique(grey).tolist()), False, data[25:26] == b"\x03" and data.startswith(b"\x89PNG")


def _numbers(path: Path, *, colours: bool, two: bool) -> NDArray[np.int64]:
    samples = decode_samples(read_file(path), where=path)
    if colours:
        return _pack(samples if samples.ndim == 3 else np.repeat(samples[..., None], 3, axis=2))
    grey = (samples if samples.ndim == 2 else samples[..., 0]).astype(np.int64)
    if two and path.suffix.lower() in _LOSSY:  # between black and white lies what the compression left
        return np.where(grey >= 128, 255, 0)
    return grey


def _pack(samples: NDArray[np.uint16]) -> NDArray[np.int64]:
    wide = samples.astype(np.int64)
    return (wide[..., 0] << 16) | (wide[..., 1] << 8) | wide[..., 2]


def _packed(key: Key) -> int:
    return key if isinstance(key, int) else (key[0] << 16) | (key[1] << 8) | key[2]


MASKS = Format("masks", "images and masks", is_masks, read_masks)

"""Writing a data set in another format."""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from svertka.annotations import Annotation, Box, Boxes, ImageSource, Mask, names_in
from svertka.data.cache.loaded import Advance
from svertka.data.samples import Dataset, ImageFile, Sample, Skipped
from svertka.data.writers import formats
from svertka.data.writers.formats import ClassList, Item, Lost, lost
from svertka.data.writers.masks import write_masks
from svertka.errors import UserError, nearest
from svertka.runtime.files import make_folder, write_error
from svertka.runtime.image import IMAGE_SUFFIXES, ImageError, image_size, read_file
from svertka.wording import counted

_LONG = 100  # characters of a file's name
_EXTRAS: dict[str, Callable[[Box], object]] = {
    "polygons": lambda box: box.polygons,
    "masks": lambda box: box.runs,
    "keypoints": lambda box: box.keypoints,
    "crowd": lambda box: box.crowd,
    "difficult": lambda box: box.difficult,
}


@dataclass(frozen=True)
class Layout:
    """How a format is written.

    Attributes:
        title: In words.
        takes: Kinds of annotations that it can hold.
        keeps: What it holds of a box beside class and sides.
        image: Where an image of a part goes.
        write: Writes what is said of the images, once these are there.
        entry: What is opened as a data set, below its folder.
    """

    title: str
    takes: tuple[type, ...]
    keeps: frozenset[str]
    image: Callable[[Item], str]
    write: Callable[[Path, list[Item], ClassList], list[Lost]]
    entry: str = ""


LAYOUTS: dict[str, Layout] = {
    "folders": Layout("class folders", (str,), frozenset(), formats.folder_of, formats.write_folders),
    "coco": Layout(
        "COCO JSON",
        (Boxes,),
        frozenset(("polygons", "masks", "keypoints", "crowd")),
        lambda item: f"{item.part}/{item.file}",
        formats.write_coco,
    ),
    "voc": Layout(
        "Pascal VOC XML",
        (Boxes,),
        frozenset(("difficult",)),
        lambda item: f"JPEGImages/{item.file}",
        formats.write_voc,
    ),
    "yolo": Layout(
        "YOLO texts",
        (Boxes,),
        frozenset(("polygons",)),
        lambda item: f"images/{item.inner}{item.file}",
        formats.write_yolo,
    ),
    "masks": Layout(
        "images and masks",
        (Mask,),
        frozenset(),
        lambda item: f"images/{item.inner}{item.file}",
        write_masks,
    ),
    "csv": Layout(
        "a CSV", (str, tuple, Boxes), frozenset(), lambda item: f"images/{item.file}", formats.write_csv, "labels.csv"
    ),
}


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes:
        entry: What to open as a data set.
        title: Its format, in words.
        images: Number of images by part.
        boxes: Number of boxes.
        notes: Things to know.
        skipped: Images that were left out.
        lost: What the format cannot hold.
    """

    entry: Path
    title: str
    images: dict[str, int]
    boxes: int
    notes: list[str]
    skipped: list[Skipped]
    lost: list[Lost]


def write_dataset(dataset: Dataset, target: Path, name: str, *, advance: Advance | None = None) -> Written:
    """Write a data set into the folder ``target``.

    Files of images are linked where the disk allows it, and copied elsewhere; images that have no file of their own
    become PNG. Parts stay; where only some images have one, the others go to train.

    Args:
        dataset: What to write.
        target: A new or empty folder.
        name: One of `LAYOUTS`.
        advance: Told how it goes.

    Raises:
        UserError: The format is unknown or cannot hold such annotations, or the folder is in use or cannot be written.
    """
    if name not in LAYOUTS:
        raise UserError(f"{name!r} cannot be written", mend=nearest(name, LAYOUTS))
    layout = LAYOUTS[name]
    samples = [(part, sample) for part, samples in _parts(dataset).items() for sample in samples]
    _check_kind(dataset.root, layout, [sample.annotation for _, sample in samples])
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError("not a new or empty folder", where=target, mend="name another")
    sized = Boxes in layout.takes and any(isinstance(sample.annotation, Boxes) for _, sample in samples)
    items: list[Item] = []
    skipped: list[Skipped] = []
    used: set[str] = set()
    make_folder(target)
    for done, (part, sample) in enumerate(samples, 1):
        try:
            height, width = _size(sample.source) if sized else (0, 0)
            item = Item(part, sample.name, _file_name(sample, used), sample.annotation, height, width)
            _place(sample.source, target / layout.image(item))
            items.append(item)
        except ImageError as error:
            skipped.append(Skipped(sample.name, error.what))
        if advance:
            advance(done, len(samples))
    if not items:
        raise UserError("no image can be read", where=dataset.root)
    names = dataset.class_list()
    classes = ClassList(names, dataset.class_ids if names == dataset.classes else ())
    missing = [*layout.write(target, items, classes), *_lost(layout, items)]
    boxes = sum(len(item.annotation.boxes) for item in items if isinstance(item.annotation, Boxes))
    counts = dict(Counter(item.part for item in items))
    return Written(target / layout.entry, layout.title, counts, boxes, _turned(items), skipped, missing)


def _parts(dataset: Dataset) -> dict[str, list[Sample]]:
    if set(dataset.parts) <= {"all"} or "all" not in dataset.parts:
        return dataset.parts
    train = [*dataset.parts.get("train", []), *dataset.parts["all"]]
    return {"train": train} | {part: samples for part, samples in dataset.parts.items() if part not in ("train", "all")}


def _check_kind(root: Path, layout: Layout, annotations: list[Annotation]) -> None:
    if all(isinstance(annotation, layout.takes) for annotation in annotations):
        if str in layout.takes:
            for label in {name for annotation in annotations for name in names_in(annotation)}:
                formats.check_label(label, folders=layout.takes == (str,))
        return
    able = [name for name, other in LAYOUTS.items() if all(isinstance(one, other.takes) for one in annotations)]
    kinds = {str: "a class", tuple: "labels", Boxes: "boxes", Mask: "masks"}
    said = " or ".join(sorted({kinds.get(type(one), "pictures") for one in annotations}))
    raise UserError(
        f"its images have {said}, which {layout.title} cannot hold",
        where=root,
        mend=f"give --format {' or '.join(able)}" if able else "they are not converted yet",
    )


def _size(source: ImageSource) -> tuple[int, int]:
    if isinstance(source, ImageFile):
        return image_size(read_file(source.path))
    height, width = source.load()[0].shape[:2]
    return height, width


def _file_name(sample: Sample, used: set[str]) -> str:
    # No two with the same stem: texts of labels go by it.
    name = sample.name
    if not isinstance(sample.source, ImageFile) or Path(name).suffix.lower() not in IMAGE_SUFFIXES:
        name = f"{name}.png"
    clean = [re.sub(r"[^\w.()+-]|^\.+", "_", part) for part in name.split("/") if part not in ("", "..", ".")]
    stem, suffix = os.path.splitext("_".join(clean))  # noqa: PTH122 (a name of one part)
    short = os.path.splitext(clean[-1])[0]  # noqa: PTH122
    candidates = [short[-_LONG:], stem[-_LONG:], *(f"{stem[-_LONG:]}-{number}" for number in range(2, len(used) + 3))]
    found = next(candidate for candidate in candidates if candidate.casefold() not in used)
    used.add(found.casefold())
    return found + suffix


def _place(source: ImageSource, target: Path) -> None:
    make_folder(target.parent)
    try:
        if not isinstance(source, ImageFile):
            Image.fromarray(source.load()[0]).save(target)
            return
        file = source.path.resolve()
        if not file.is_file():
            raise ImageError("no such file", where=source.path)
        try:
            os.link(file, target)
        except OSError:  # another disk, or one without links
            shutil.copyfile(file, target)
    except OSError as error:
        raise write_error(target, error) from error


def _lost(layout: Layout, items: list[Item]) -> list[Lost]:
    found = []
    for what, held in _EXTRAS.items():
        if what not in layout.keeps:
            counts = Counter({item.name: sum(bool(held(box)) for box in item.boxes) for item in items})
            found += lost(f"boxes have {what}, which {layout.title} cannot hold", counts)
    return found


def _turned(items: list[Item]) -> list[str]:
    turned = []
    for item in items:
        size = item.annotation.size if isinstance(item.annotation, Boxes) else None
        if size is not None and size == (item.width, item.height) and item.height != item.width:
            turned.append(item.name)
    if not turned:
        return []
    give = counted(len(turned), "annotation gives", "annotations give")
    told = "width and height of the image before it was turned upright; look at the boxes"
    return [f"{give} {told}, such as {turned[0]}"]

"""How each format is written, once the images are in their place."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from svertka.annotations import Annotation, Box, Boxes, class_names
from svertka.errors import UserError
from svertka.runtime.files import make_folder, write_error, write_text

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NAMED = 3  # images in a note
_NEAR = 0.5  # pixels


@dataclass(frozen=True)
class Item:
    """An image that was written.

    Attributes:
        part: Its part.
        name: Its name in the data set that is converted.
        file: Its file name, whose stem no other image has.
        annotation: What is said of it.
        height, width: Of the upright image; 0 where nobody needs them.
    """

    part: str
    name: str
    file: str
    annotation: Annotation
    height: int
    width: int

    @property
    def inner(self) -> str:
        """The folder of its part; none where the data set is not divided."""
        return "" if self.part == "all" else f"{self.part}/"

    @property
    def boxes(self) -> tuple[Box, ...]:
        """Its boxes."""
        return self.annotation.boxes if isinstance(self.annotation, Boxes) else ()


@dataclass(frozen=True)
class ClassList:
    """All classes of a data set, those without an example too.

    Attributes:
        names: In their order.
        ids: What COCO calls them; empty where they do not come from COCO.
    """

    names: tuple[str, ...]
    ids: tuple[int, ...] = ()

    def numbers(self) -> dict[str, int]:
        """The id of each in COCO: its own, else its place from 1 on."""
        if len(self.ids) == len(self.names):
            return dict(zip(self.names, self.ids, strict=True))
        return {name: number for number, name in enumerate(self.names, 1)}


@dataclass(frozen=True)
class Lost:
    """What the new format cannot hold.

    Attributes:
        what: Of how many boxes, in words that follow their number.
        count: That number.
        files: Names of the images.
    """

    what: str
    count: int
    files: tuple[str, ...]

    def note(self) -> str:
        """In one line, with the first images."""
        named = ", ".join(self.files[:_NAMED]) + (", …" if len(self.files) > _NAMED else "")
        what = self.what.replace("boxes have", "box has", 1) if self.count == 1 else self.what
        return f"{self.count:,} {what} ({named})"

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {"what": self.what, "count": self.count, "files": list(self.files)}


def lost(what: str, counts: Counter[str]) -> list[Lost]:
    """What was lost, from the number of boxes by image; nothing where there are none."""
    files = tuple(name for name, count in counts.items() if count)
    return [Lost(what, counts.total(), files)] if files else []


def check_label(label: str, *, folders: bool) -> None:
    """Look whether a label can be written as a folder's name, or in a CSV.

    Raises:
        UserError: It cannot.
    """
    if folders and (re.search(r"[/\\\0]|^\.|^__", label) or not label.strip()):
        raise UserError(f"{label[:50]!r} cannot be the name of a folder", mend="rename the class, or give --format csv")
    if not folders and ";" in label:
        raise UserError(f"the label {label[:50]!r} has a semicolon, which parts labels in a CSV", mend="rename it")


def folder_of(item: Item) -> str:
    """Where an image goes among class folders."""
    return f"{item.inner}{item.annotation}/{item.file}"


def write_folders(target: Path, items: list[Item], classes: ClassList) -> list[Lost]:
    """Nothing beside the images but ``classes.txt``, where it is needed."""
    _write_classes(target, items, classes)
    return []


def write_coco(target: Path, items: list[Item], classes: ClassList) -> list[Lost]:
    """``annotations/instances_train.json`` and the like; images are in ``train/``. COCO's own ids of classes stay."""
    make_folder(target / "annotations")
    numbers = classes.numbers()
    points: dict[str, tuple[str, ...]] = {}
    for box in (box for item in items for box in item.boxes if box.keypoints):
        points.setdefault(box.label, tuple(name for name, *_ in box.keypoints))
    categories = [
        {"id": number, "name": name, "supercategory": ""}
        | ({"keypoints": points[name], "skeleton": []} if name in points else {})
        for name, number in numbers.items()
    ]
    odd: Counter[str] = Counter()
    for part in dict.fromkeys(item.part for item in items):
        images: list[dict[str, Any]] = []
        objects: list[dict[str, Any]] = []
        for place, item in enumerate((item for item in items if item.part == part), 1):
            images.append({"id": place, "file_name": item.file, "width": item.width, "height": item.height})
            for box in item.boxes:
                told = _coco_box(box, item, points.get(box.label, ()))
                odd[item.name] += bool(box.keypoints) and "keypoints" not in told
                objects.append({"id": len(objects) + 1, "image_id": place, "category_id": numbers[box.label], **told})
        told_all = {"images": images, "annotations": objects, "categories": categories}
        write_text(target / "annotations" / f"instances_{part}.json", json.dumps(told_all, ensure_ascii=False))
    return lost("boxes have other keypoints than the first of their class, and were written without", odd)


def write_voc(target: Path, items: list[Item], classes: ClassList) -> list[Lost]:
    """``Annotations/*.xml`` and lists in ``ImageSets/Main``; images are in ``JPEGImages/``. ``classes.txt`` has the
    class list, where that of the objects would not be it.

    Raises:
        UserError: A class has a character that XML does not know.
    """
    for name in class_names(item.annotation for item in items):
        if _NOT_XML.search(name):
            raise UserError(f"the class {name!r} has a character that XML does not know", mend="rename it")
    make_folder(target / "Annotations")
    for item in items:
        _write(target / "Annotations" / f"{Path(item.file).stem}.xml", _voc_text(item))
    lists = make_folder(target / "ImageSets" / "Main")
    for part in dict.fromkeys(item.part for item in items if item.part != "all"):
        lines = "".join(f"{Path(item.file).stem}\n" for item in items if item.part == part)
        write_text(lists / f"{part}.txt", lines)
    _write_classes(target, items, classes)
    return []


def write_yolo(target: Path, items: list[Item], classes: ClassList) -> list[Lost]:
    """``labels/train/*.txt`` and ``data.yaml``; images are in ``images/train/``."""
    import yaml

    numbers = {name: number for number, name in enumerate(classes.names)}
    outlined = Counter({item.name: sum(bool(box.polygons) for box in item.boxes) for item in items})
    # A trainer takes either all outlines or all boxes.
    outlines = bool(outlined.total()) and all(_is_outline(box) for item in items for box in item.boxes)
    for item in items:
        folder = make_folder(target / "labels" / item.inner)
        lines = []
        for box in item.boxes:
            if outlines:
                values = [side / (item.height if axis % 2 else item.width) for axis, side in enumerate(box.polygons[0])]
            else:
                middle = (box.left + box.right) / 2 / item.width, (box.top + box.bottom) / 2 / item.height
                values = [*middle, (box.right - box.left) / item.width, (box.bottom - box.top) / item.height]
            lines.append(" ".join([str(numbers[box.label]), *(f"{value:.9g}" for value in values)]) + "\n")
        _write(folder / f"{Path(item.file).stem}.txt", "".join(lines))
    parts = Counter(item.part for item in items)
    told: dict[str, Any] = {part: f"images/{part}" for part in parts if part != "all"}
    if "all" in parts:
        told = {"train": "images", "val": "images"}
    told["names"] = dict(enumerate(classes.names))
    write_text(target / "data.yaml", yaml.safe_dump(told, sort_keys=False, allow_unicode=True))
    why = "boxes have outlines, but not all have exactly one that fills the box: boxes were written"
    return [] if outlines else lost(why, outlined)


def write_csv(target: Path, items: list[Item], classes: ClassList) -> list[Lost]:
    """``labels.csv``, a line an image, or a line a box; images are in ``images/``; ``classes.txt`` as for VOC."""
    objects = any(isinstance(item.annotation, Boxes) for item in items)
    several = any(isinstance(item.annotation, tuple) for item in items)
    divided = any(item.part != "all" for item in items)
    file = io.StringIO()
    rows = csv.writer(file, lineterminator="\n")
    sides = ["left", "top", "right", "bottom"] if objects else []
    rows.writerow(["file", "labels" if several else "label", *sides, *(["split"] if divided else [])])
    for item in items:
        end = [item.part] if divided else []
        name = f"images/{item.file}"
        match item.annotation:
            case str() as label:
                rows.writerow([name, label, *end])
            case tuple() as labels:
                rows.writerow([name, ";".join(labels), *end])
            case _:
                for box in item.boxes:
                    rows.writerow([name, box.label, *map(_short, (box.left, box.top, box.right, box.bottom)), *end])
                if not item.boxes:
                    rows.writerow([name, "", "", "", "", "", *end])
    write_text(target / "labels.csv", file.getvalue())
    _write_classes(target, items, classes)
    return []


def _write_classes(target: Path, items: list[Item], classes: ClassList) -> None:
    if classes.names != class_names(item.annotation for item in items):
        write_text(target / "classes.txt", "".join(f"{name}\n" for name in classes.names))


def _coco_box(box: Box, item: Item, points: tuple[str, ...]) -> dict[str, Any]:
    sides = [box.left, box.top, box.right - box.left, box.bottom - box.top]
    told: dict[str, Any] = {"bbox": [_short(side) for side in sides]}
    told["area"] = _short(max(sides[2], 0) * max(sides[3], 0))
    told["iscrowd"] = int(box.crowd)
    told["segmentation"] = [[_short(side) for side in polygon] for polygon in box.polygons]
    if box.runs and sum(box.runs) == item.height * item.width:
        told["segmentation"] = {"size": [item.height, item.width], "counts": box.runs}
        told["area"] = sum(box.runs[1::2])
    if box.keypoints and tuple(name for name, *_ in box.keypoints) == points:
        told["keypoints"] = [value for _, x, y, visible in box.keypoints for value in (_short(x), _short(y), visible)]
        told["num_keypoints"] = sum(visible > 0 for *_, visible in box.keypoints)
    return told


def _voc_text(item: Item) -> str:
    root = ElementTree.Element("annotation")

    def add(parent: ElementTree.Element, tag: str, text: object = None) -> ElementTree.Element:
        child = ElementTree.SubElement(parent, tag)
        child.text = None if text is None else str(text)
        return child

    add(root, "folder", "JPEGImages")
    add(root, "filename", item.file)
    size = add(root, "size")
    for tag, value in (("width", item.width), ("height", item.height), ("depth", 3)):
        add(size, tag, value)
    for box in item.boxes:
        told = add(root, "object")
        add(told, "name", box.label)
        add(told, "difficult", int(box.difficult))
        sides = add(told, "bndbox")
        for tag, side in (("xmin", box.left), ("ymin", box.top), ("xmax", box.right), ("ymax", box.bottom)):
            add(sides, tag, _short(side))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _is_outline(box: Box) -> bool:
    if len(box.polygons) != 1:
        return False
    across, down = box.polygons[0][::2], box.polygons[0][1::2]
    around = min(across), min(down), max(across), max(down)
    sides = box.left, box.top, box.right, box.bottom
    return all(abs(one - other) <= _NEAR for one, other in zip(around, sides, strict=True))


def _short(value: float) -> float:
    rounded = round(value, 4)
    return int(rounded) if rounded == int(rounded) else rounded


def _write(path: Path, text: str) -> None:
    # One of very many: an interrupted conversion is begun anew, so that none needs to be on the disk before the next.
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise write_error(path, error) from error

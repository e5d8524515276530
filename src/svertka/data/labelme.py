"""LabelMe: a JSON file beside each image."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from svertka.annotations import Box, Boxes
from svertka.data.documents import has_keys, peek, read_json
from svertka.data.layout import files_in, part_in, relative, subfolders, unwrapped
from svertka.data.paths import ImageFinder
from svertka.data.records import RecordError, dataset_of, extent, list_of, name_of, numbers, shown, size_of, table_of
from svertka.data.samples import Dataset, Format, ImageFile, Sample, Skipped
from svertka.wording import counted

_CORNERS = 3


def is_labelme(path: Path) -> bool:
    """Whether a folder, or a folder of a part in it, has JSON files of LabelMe."""
    if not path.is_dir():
        return False
    for place, (file, _) in enumerate(_files(unwrapped(path))):
        text = peek(file)
        if text.startswith("{") and has_keys(text, "shapes", "imagePath"):
            return True
        if place == 20:
            break
    return False


def read_labelme(path: Path) -> Dataset:
    """Read rectangles, polygons and circles; lines and points are left out, and named. A picture within the JSON is
    not read.

    Raises:
        UserError: No image with its JSON file can be used.
    """
    root = unwrapped(path) if path.is_dir() else path.parent
    notes = [] if root == path or path.is_file() else [f"read from {root}"]
    skipped: list[Skipped] = []
    finder = ImageFinder(root, [root])
    parts: dict[str, list[Sample]] = {}
    told: set[str] = set()
    for file, part in _files(root):
        name = relative(file, root)
        try:
            sample = _sample(file, name, root, finder, skipped)
            if sample.name in told:
                raise RecordError(f"another file speaks of {sample.name} already")
        except RecordError as error:
            skipped.append(Skipped(name, str(error)))
            continue
        told.add(sample.name)
        parts.setdefault(part, []).append(sample)
    return dataset_of(root, "LabelMe JSON", parts, notes, skipped)


def _files(root: Path) -> Iterator[tuple[Path, str]]:
    yield from ((file, "all") for file in files_in(root, ".json", root))
    for folder in subfolders(root):
        part = part_in(folder.name) or "all"
        yield from ((file, part) for file in files_in(folder, ".json", root))


def _sample(file: Path, name: str, root: Path, finder: ImageFinder, skipped: list[Skipped]) -> Sample:
    told = table_of(read_json(file), "the file")
    if "shapes" not in told:
        raise RecordError("no shapes in it")
    image = finder.find(name_of(told.get("imagePath"), "imagePath"), beside=file.parent)
    size = None
    if told.get("imageHeight") is not None and told.get("imageWidth") is not None:
        size = size_of(told["imageHeight"], told["imageWidth"])
    boxes = []
    for place, value in enumerate(list_of(told["shapes"], "shapes"), 1):
        try:
            boxes.append(_box(table_of(value, "it")))
        except RecordError as error:
            skipped.append(Skipped(f"{name}, shape {place}", str(error)))
    return Sample(relative(image, root), ImageFile(image), Boxes(tuple(boxes), size))


def _box(shape: dict[str, object]) -> Box:
    label = name_of(shape.get("label"))
    points = [numbers(point, "a point") for point in list_of(shape.get("points"), "points")]
    if any(len(point) != 2 for point in points):
        raise RecordError("a point that is not two numbers")
    outline = tuple(side for point in points for side in point)
    match shape.get("shape_type", "polygon"):
        case "polygon":
            if len(points) < _CORNERS:
                raise RecordError("a polygon of less than three corners")
            return Box(label, *extent([outline]), polygons=(outline,))
        case "rectangle" if len(points) >= 2:
            return Box(label, *extent([outline]))
        case "circle" if len(points) == 2:
            (x, y), rim = points
            radius = math.dist((x, y), rim)
            return Box(label, x - radius, y - radius, x + radius, y + radius)
        case kind:
            raise RecordError(f"{shown(kind)} of {counted(len(points), 'point')}, which is not read")


LABELME = Format("labelme", "LabelMe JSON", is_labelme, read_labelme)

"""COCO: one JSON file for all images of a part, with boxes, outlines, masks and keypoints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from svertka.annotations import Box, Boxes
from svertka.data.documents import has_keys, peek, read_json
from svertka.data.layout import child, files_in, part_in, relative, subfolders
from svertka.data.paths import ImageFinder
from svertka.data.records import (
    RecordError,
    dataset_of,
    extent,
    list_of,
    name_of,
    number,
    numbers,
    size_of,
    table_of,
    whole,
)
from svertka.data.runs import extent_of, read_runs
from svertka.data.samples import Dataset, Format, ImageFile, Sample, Skipped
from svertka.errors import UserError
from svertka.wording import counted

_CORNERS = 6  # numbers of the least polygon
_OTHERS = 20  # a folder with more JSON files of another kind is not gone through


def is_coco(path: Path) -> bool:
    """Whether it is a COCO file, or a folder that has one: in itself, in ``annotations/``, or in folders of parts."""
    return next(_files(path), None) is not None


def read_coco(path: Path) -> Dataset:
    """Read ``annotations/instances_train2017.json`` and the like, or one JSON file beside images or above them.

    The name of the file, or its folder, says the part. Boxes, polygons, masks as runs (compressed or not), keypoints
    and crowds are read; an object that says something impossible is skipped, and so is an image that is not there.

    Raises:
        UserError: No object or image can be used.
    """
    root = path if path.is_dir() else path.parent.parent if path.parent.name.lower() == "annotations" else path.parent
    notes: list[str] = []
    skipped: list[Skipped] = []
    parts: dict[str, list[Sample]] = {}
    told: dict[str, str] = {}
    for file in _chosen(list(_files(path)) or _any_files(path), notes):
        name = relative(file, root)
        part = part_in(file.stem) or part_in(file.parent.name) or "all"
        try:
            samples = _File(file, name, root, skipped).samples()
        except RecordError as error:
            skipped.append(Skipped(name, str(error)))
            continue
        for sample in samples:
            if sample.name in told:
                skipped.append(Skipped(f"{name}, image {sample.name}", f"{told[sample.name]} speaks of it already"))
            else:
                told[sample.name] = name
                parts.setdefault(part, []).append(sample)
    return dataset_of(root, "COCO", parts, notes, skipped)


class _File:
    """One COCO file, whose objects go to its images."""

    def __init__(self, path: Path, name: str, root: Path, skipped: list[Skipped]) -> None:
        self.name, self.root, self.skipped = name, root, skipped
        stem = path.stem.removeprefix("instances_").removeprefix("person_keypoints_")
        bases = [path.parent, path.parent.parent] if path.parent != root else [root]
        inner = ("images", f"images/{stem}", stem, "data", "JPEGImages", f"{part_in(stem) or 'images'}")
        self.finder = ImageFinder(root, [*bases, *(base / folder for base in reversed(bases) for folder in inner)])
        self.told = table_of(read_json(path), "the file")
        self.names: dict[int, str] = {}
        self.points: dict[int, list[str]] = {}
        self.sizes: dict[int, tuple[int, int] | None] = {}

    def samples(self) -> list[Sample]:
        """All images that are there, with their objects."""
        for place, value in enumerate(list_of(self.told.get("categories"), "categories")):
            try:
                told = table_of(value, "it")
                key, name = whole(told.get("id"), "its id"), name_of(told.get("name"), "its name")
                points = [name_of(point, "a keypoint") for point in list_of(told.get("keypoints"), "keypoints")]
                self.names[key], self.points[key] = name, points
            except RecordError as error:
                self._skip("category", value, place, error)
        found = self._images()
        boxes: dict[int, list[Box]] = {key: [] for key in found}
        for place, value in enumerate(list_of(self.told.get("annotations"), "annotations")):
            try:
                told = table_of(value, "it")
                key = whole(told.get("image_id"), "image_id")
                if key not in found:
                    if key not in self.sizes:
                        raise RecordError(f"image {key} is not in the file")
                    continue  # its image was skipped, and named
                boxes[key].append(self._box(told, key))
            except RecordError as error:
                self._skip("annotation", value, place, error)
        return [
            Sample(relative(file, self.root), ImageFile(file), Boxes(tuple(boxes[key]), self.sizes[key]))
            for key, file in found.items()
        ]

    def _images(self) -> dict[int, Path]:
        found: dict[int, Path] = {}
        for place, value in enumerate(list_of(self.told.get("images"), "images")):
            try:
                told = table_of(value, "it")
                key = whole(told.get("id"), "its id")
                if key in self.sizes:
                    raise RecordError(f"another image has the id {key}")
                self.sizes[key] = None
                if told.get("width") is not None or told.get("height") is not None:
                    self.sizes[key] = size_of(told.get("height"), told.get("width"))
                found[key] = self.finder.find(name_of(told.get("file_name"), "its file_name"))
            except RecordError as error:
                self._skip("image", value, place, error)
        return found

    def _box(self, told: dict[str, object], image: int) -> Box:
        category = whole(told.get("category_id"), "category_id")
        if category not in self.names:
            raise RecordError(f"category {category} is not in the file")
        polygons, runs, around = self._segmentation(told.get("segmentation"), image)
        if told.get("bbox") is not None:
            sides = numbers(told["bbox"], "bbox")
            if len(sides) != 4:
                raise RecordError(f"bbox has {counted(len(sides), 'number')} instead of 4")
            around = sides[0], sides[1], sides[0] + sides[2], sides[1] + sides[3]
        if around is None:
            raise RecordError("neither bbox nor segmentation")
        box = Box(self.names[category], *around, polygons=polygons, runs=runs, crowd=bool(told.get("iscrowd")))
        points = list_of(told.get("keypoints"), "keypoints")
        return replace(box, keypoints=self._keypoints(points, self.points[category])) if points else box

    def _segmentation(
        self, value: object, image: int
    ) -> tuple[tuple[tuple[float, ...], ...], tuple[int, ...], tuple[float, float, float, float] | None]:
        if isinstance(value, dict):
            runs, size = read_runs(value, self.sizes[image])
            self.sizes[image] = size
            return (), runs, extent_of(runs, size) if any(runs[1::2]) else None
        polygons = tuple(numbers(polygon, "a polygon") for polygon in list_of(value, "segmentation"))
        if any(len(polygon) < _CORNERS for polygon in polygons):
            raise RecordError("a polygon of less than three corners")
        return polygons, (), extent(polygons) if polygons else None

    def _keypoints(self, values: list[object], names: list[str]) -> tuple[tuple[str, float, float, int], ...]:
        if len(values) % 3 or (names and len(values) != 3 * len(names)):
            raise RecordError(f"{counted(len(values), 'number')} for {counted(len(names), 'keypoint')}")
        names = names or [str(place + 1) for place in range(len(values) // 3)]
        found = []
        for place, name in enumerate(names):
            x, y = (number(values[3 * place + axis], "a keypoint") for axis in (0, 1))
            visible = whole(values[3 * place + 2], "the visibility of a keypoint")
            if visible not in (0, 1, 2):
                raise RecordError(f"a keypoint of visibility {visible}")
            found.append((name, x, y, visible))
        return tuple(found)

    def _skip(self, kind: str, value: object, place: int, error: RecordError) -> None:
        key = value.get("id") if isinstance(value, dict) else None
        which = f"{kind} {key}" if isinstance(key, int) else f"{kind} at place {place + 1}"
        self.skipped.append(Skipped(f"{self.name}, {which}", str(error)))


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        if path.suffix.lower() == ".json" and _looks_right(path):
            yield path
        return
    for folder in (path, *subfolders(path)):
        if folder == path or folder.name.lower() == "annotations" or part_in(folder.name):
            others = 0
            for file in files_in(folder, ".json", path):
                if _looks_right(file):
                    yield file
                elif (others := others + 1) > _OTHERS:
                    break


def _any_files(path: Path) -> list[Path]:
    # Somebody insists on COCO: reading them will say what is wrong.
    if path.is_file():
        return [path]
    folder = child(path, "annotations")
    return [file for place in (path, folder) if place for file in files_in(place, ".json", path)]


def _looks_right(file: Path) -> bool:
    text = peek(file)
    return (
        text.startswith("{")
        and has_keys(text, "images")
        and (has_keys(text, "annotations") or has_keys(text, "categories"))
    )


def _chosen(files: list[Path], notes: list[str]) -> list[Path]:
    # COCO's own folder has several files for the same images: boxes and masks are in those called instances.
    objects = [file for file in files if file.stem.startswith("instances")]
    chosen = objects or [file for file in files if not file.stem.startswith(("captions", "image_info"))]
    left = [file.name for file in files if file not in chosen]
    if left:
        notes.append(f"not read: {', '.join(left)}")
    return chosen


def _reader(path: Path) -> Dataset:
    if path.is_file() and path.suffix.lower() != ".json":
        raise UserError("not a JSON file", where=path)
    return read_coco(path)


COCO = Format("coco", "COCO JSON", is_coco, _reader)

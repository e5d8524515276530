"""COCO: one JSON file for all images of a part, with boxes, outlines, masks and keypoints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from svertka.annotations import Box
from svertka.data.files.documents import has_keys, peek, read_json
from svertka.data.files.layout import child, files_in, part_in, relative, subfolders
from svertka.data.files.paths import ImageFinder
from svertka.data.files.records import (
    RecordError,
    dataset_of,
    extent,
    list_of,
    name_of,
    number,
    numbers,
    refuse_turned,
    size_of,
    table_of,
    whole,
)
from svertka.data.files.runs import extent_of, read_runs
from svertka.data.files.stated import Stated, samples_by_part
from svertka.data.files.unread import Fields, UnreadCounter
from svertka.data.samples import Dataset, Format, ImageFile, Skipped
from svertka.errors import UserError
from svertka.wording import counted

_FILE = Fields("the file", read=("info", "licenses", "images", "annotations", "categories"), minor=("type",))
_CATEGORY = Fields(
    "a category", read=("id", "name", "keypoints", "color", "isthing"), minor=("supercategory", "skeleton")
)
_IMAGE = Fields(
    "an image",
    read=("id", "file_name", "width", "height", "license", "coco_url", "flickr_url", "date_captured", "path"),
    default={"license": (0,)},
)
_OBJECT = Fields(
    "an annotation",
    read=(
        *("id", "image_id", "category_id", "bbox", "segmentation", "keypoints", "iscrowd", "area", "num_keypoints"),
        *("width", "height"),
    ),
    minor=("occluded", "truncated", "ignore", "difficult", "track_id"),
    default=dict.fromkeys(("occluded", "truncated", "ignore", "difficult", "rotation", "angle"), (0, "0")),
)
_CORNERS = 6  # numbers of the least polygon
_OTHERS = 20  # a folder with more JSON files of another kind is not gone through


def is_coco(path: Path) -> bool:
    """Whether it is a COCO file, or a folder that has one: in itself, in ``annotations/``, or in folders of parts."""
    return next(coco_files(path), None) is not None


def read_coco(path: Path) -> Dataset:
    """Read ``annotations/instances_train2017.json`` and the like, or one JSON file beside images or above them.

    The name of the file, or its folder, says the part. Boxes, polygons, masks as runs (compressed or not), keypoints
    and crowds are read; where no annotation has a place, they are labels of images. An object that says something
    impossible is skipped, and so is an image that is not there.

    Raises:
        UserError: No object or image can be used.
    """
    root = path if path.is_dir() else path.parent.parent if path.parent.name.lower() == "annotations" else path.parent
    notes: list[str] = []
    skipped: list[Skipped] = []
    unread = UnreadCounter()
    images: dict[str, Stated] = {}
    told: dict[str, str] = {}
    categories: list[tuple[str, int]] = []
    files = list(coco_files(path)) or _any_files(path)
    chosen = _chosen(files, notes)
    if files and not chosen:
        named = ", ".join(file.name for file in files[:3])
        what = f"no boxes, masks or labels in what is there of COCO ({named})"
        raise UserError(what, where=root, mend="put the file called instances_… beside it")
    for file in chosen:
        name = relative(file, root)
        part = part_in(file.stem) or part_in(file.parent.name) or "all"
        try:
            reader = _File(file, name, root, skipped, unread)
            found = reader.images(part)
        except RecordError as error:
            skipped.append(Skipped(name, str(error)))
            continue
        categories += [(category, key) for key, category in reader.names.items()]
        for image in found:
            if image.name in told:
                skipped.append(Skipped(f"{name}, image {image.name}", f"{told[image.name]} speaks of it already"))
            else:
                told[image.name] = name
                images[image.name] = image
    parts = samples_by_part(list(images.values()), unread)
    classes, ids = _class_list(categories, notes)
    dataset = dataset_of(root, "COCO", parts, notes, skipped, classes=classes, unread=unread.found(), files=chosen)
    return replace(dataset, class_ids=ids)


def _class_list(categories: list[tuple[str, int]], notes: list[str]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    ids: dict[str, int] = {}
    for name, key in categories:
        ids.setdefault(name, key)
    if any(ids[name] != key for name, key in categories) or len(set(ids.values())) < len(ids):
        notes.append("the files give classes other ids, or two ids to one: ids are not kept")
        return tuple(ids), ()
    return tuple(ids), tuple(ids.values())


class _File:
    """One COCO file, whose objects go to its images."""

    def __init__(self, path: Path, name: str, root: Path, skipped: list[Skipped], unread: UnreadCounter) -> None:
        self.name, self.root, self.skipped, self.unread = name, root, skipped, unread
        self.part = part_in(path.stem)
        stem = path.stem.removeprefix("instances_").removeprefix("person_keypoints_")
        bases = [path.parent, path.parent.parent] if path.parent != root else [root]
        inner = ("images", f"images/{stem}", stem, "data", "JPEGImages", f"{part_in(stem) or 'images'}")
        self.finder = ImageFinder(root, [*bases, *(base / folder for base in reversed(bases) for folder in inner)])
        self.told = table_of(read_json(path), "the file")
        self.names: dict[int, str] = {}
        self.points: dict[int, list[str]] = {}
        self.sizes: dict[int, tuple[int, int] | None] = {}

    def images(self, part: str) -> list[Stated]:
        """All images that are there, with their objects and labels."""
        self.unread.fields(self.told, _FILE, self.name)
        for place, value in enumerate(list_of(self.told.get("categories"), "categories")):
            try:
                told = table_of(value, "it")
                key, name = whole(told.get("id"), "its id"), name_of(told.get("name"), "its name")
                points = [name_of(point, "a keypoint") for point in list_of(told.get("keypoints"), "keypoints")]
                self.names[key], self.points[key] = name, points
                self.unread.fields(told, _CATEGORY, f"{self.name}, category {key}")
            except RecordError as error:
                self._skip("category", value, place, error)
        paths = self._paths()
        found = {key: Stated(relative(file, self.root), ImageFile(file), part) for key, file in paths.items()}
        placeless: list[tuple[int, object, int, str]] = []
        objects = False
        for place, value in enumerate(list_of(self.told.get("annotations"), "annotations")):
            try:
                told = table_of(value, "it")
                key = whole(told.get("image_id"), "image_id")
                if key not in found:
                    if key not in self.sizes:
                        raise RecordError(f"image {key} is not in the file")
                    continue  # its image was skipped, and named
                label = self._label(told)
                if told.get("bbox") in (None, []) and told.get("segmentation") in (None, []):
                    placeless.append((place, value, key, label))
                else:
                    found[key].boxes.append(self._box(told, key, label))
                    objects = True
                self.unread.fields(told, _OBJECT, partial(self._which, "annotation", value, place))
            except RecordError as error:
                self._skip("annotation", value, place, error)
        for place, value, key, label in placeless:
            if objects:
                self._skip("annotation", value, place, RecordError("neither bbox nor segmentation"))
            else:
                found[key].labels.append(label)
        for key, image in found.items():
            image.size = self.sizes[key]
        return list(found.values())

    def _paths(self) -> dict[int, Path]:
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
                found[key] = self.finder.find(name_of(told.get("file_name"), "its file_name"), within=self.part)
                self.unread.fields(told, _IMAGE, f"{self.name}, image {key}")
            except RecordError as error:
                self._skip("image", value, place, error)
        return found

    def _label(self, told: dict[str, object]) -> str:
        category = whole(told.get("category_id"), "category_id")
        if category not in self.names:
            raise RecordError(f"category {category} is not in the file")
        return self.names[category]

    def _box(self, told: dict[str, object], image: int, label: str) -> Box:
        attributes = told.get("attributes")
        refuse_turned(told if not isinstance(attributes, dict) else told | attributes)
        polygons, runs, around = self._segmentation(told.get("segmentation"), image)
        if told.get("bbox") not in (None, []):
            sides = numbers(told["bbox"], "bbox")
            if len(sides) != 4:
                raise RecordError(f"bbox has {counted(len(sides), 'number')} instead of 4")
            around = sides[0], sides[1], sides[0] + sides[2], sides[1] + sides[3]
        if around is None:
            raise RecordError("neither bbox nor segmentation")
        box = Box(label, *around, polygons=polygons, runs=runs, crowd=bool(told.get("iscrowd")))
        points = list_of(told.get("keypoints"), "keypoints")
        named = self.points[whole(told.get("category_id"), "category_id")]
        return replace(box, keypoints=self._keypoints(points, named)) if points else box

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

    def _which(self, kind: str, value: object, place: int) -> str:
        key = value.get("id") if isinstance(value, dict) else None
        which = f"{kind} {key}" if isinstance(key, int) else f"{kind} at place {place + 1}"
        return f"{self.name}, {which}"

    def _skip(self, kind: str, value: object, place: int, error: RecordError) -> None:
        self.skipped.append(Skipped(self._which(kind, value, place), str(error)))


def coco_files(path: Path) -> Iterator[Path]:
    """The files of COCO: the path itself, or those in a folder."""
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

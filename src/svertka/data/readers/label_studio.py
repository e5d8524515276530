"""Label Studio's JSON exports: a list of tasks, each an image with what people annotated in it."""

from __future__ import annotations

import re
import urllib.parse
from pathlib import Path

from svertka.annotations import Box
from svertka.data.files.documents import has_keys, peek, read_json
from svertka.data.files.layout import files_in, relative
from svertka.data.files.paths import ImageFinder
from svertka.data.files.records import (
    RecordError,
    dataset_of,
    extent,
    list_of,
    name_of,
    number,
    shown,
    size_of,
    table_of,
)
from svertka.data.files.stated import Stated, samples_by_part
from svertka.data.files.turned import turned_corners, turned_ellipse
from svertka.data.files.unread import Fields, UnreadCounter
from svertka.data.readers.label_studio_min import MIN_FIELDS, results_of_min
from svertka.data.samples import Dataset, Format, ImageFile, Skipped
from svertka.errors import UserError
from svertka.wording import counted

_SHAPES = {
    "rectanglelabels": ("x", "y", "width", "height", "rotation"),
    "polygonlabels": ("points", "closed"),
    "ellipselabels": ("x", "y", "radiusX", "radiusY", "rotation"),
}
_OTHER_SHAPES = ("brushlabels", "keypointlabels", "vectorlabels", "bitmasklabels", "cuboidlabels", "videorectangle")
_PREFIX = re.compile(r"[0-9a-f]{8}-")  # Label Studio puts it before the name of an uploaded file
_TASK = Fields(
    "a task",
    read=(
        *("id", "data", "annotations", "completions", "file_upload", "inner_id", "project", "created_at"),
        *("updated_at", "updated_by", "total_annotations", "total_predictions", "cancelled_annotations"),
        *("comment_count", "unresolved_comment_count", "last_comment_updated_at", "comment_authors", "allow_skip"),
    ),
    minor=("meta", "drafts", "agreement", "comments"),
)
_ANNOTATION = Fields(
    "an annotation",
    read=(
        *("id", "completed_by", "result", "was_cancelled", "ground_truth", "created_at", "updated_at", "lead_time"),
        *("draft_created_at", "result_count", "unique_id", "import_id", "last_action", "bulk_created", "task"),
        *("project", "updated_by", "last_created_by", "parent_prediction", "parent_annotation", "created_username"),
    ),
    minor=("prediction",),
    default={"result_count": (0,)},
)
_RESULT = Fields(
    "a result",
    read=(
        *("id", "type", "value", "from_name", "to_name", "original_width", "original_height", "origin", "readonly"),
        *("hidden", "image_rotation"),
    ),
    minor=("score", "parentID", "meta"),
)


def is_label_studio(path: Path) -> bool:
    """Whether it is such a file, or a folder with one."""
    return _file(path) is not None


def read_label_studio(path: Path) -> Dataset:
    """Read tasks of the exports JSON and JSON-MIN with rectangles, polygons and ellipses; where there are none, their
    choices. Brushes and points are left out, and named; choices beside objects, texts, ratings and relations are
    counted.

    Images go by the last part of their name, for what stands before it is an address: nothing is fetched. Of several
    people's annotations, the first that was not cancelled counts.

    Raises:
        UserError: The file cannot be read, or no task can be used.
    """
    root = path if path.is_dir() else path.parent
    file = _file(path) or (path if path.is_file() else None)
    if file is None:
        raise UserError("no JSON export of Label Studio in it", where=path)
    try:
        tasks = list_of(read_json(file), "the file")
    except RecordError as error:
        raise UserError(str(error), where=file) from error
    reader = _Reader(ImageFinder(root, [root, *(root / name for name in ("images", "upload"))]))
    for place, value in enumerate(tasks, 1):
        where = f"{file.name}, task {place}"
        try:
            task = table_of(value, "it")
            if isinstance(task.get("id"), int):
                where = f"{file.name}, task {task['id']}"
            reader.take(task, where)
        except RecordError as error:
            reader.skipped.append(Skipped(where, str(error)))
    if reader.small and not any(image.boxes or image.labels for image in reader.images.values()):
        what = "nothing in this JSON-MIN is known for an annotation"
        raise UserError(what, where=file, mend="export it from Label Studio as JSON")
    notes = []
    if reader.several:
        told = counted(reader.several, "task was", "tasks were")
        notes.append(f"{told} annotated more than once; the first annotation counts")
    parts = samples_by_part(list(reader.images.values()), reader.unread)
    unread = reader.unread.found()
    return dataset_of(root, "Label Studio JSON", parts, notes, reader.skipped, unread=unread, files=[file])


def _file(path: Path) -> Path | None:
    files = [path] if path.is_file() else files_in(path, ".json", path)[:20]
    for file in files:
        text = peek(file) if file.suffix.lower() == ".json" else ""
        full = has_keys(text, "data", "(annotations|completions)")
        if text.startswith("[") and (full or has_keys(text, "annotation_id", "annotator")):
            return file
    return None


class _Reader:
    """Takes one task after another."""

    def __init__(self, finder: ImageFinder) -> None:
        self.finder = finder
        self.images: dict[str, Stated] = {}
        self.skipped: list[Skipped] = []
        self.unread = UnreadCounter()
        self.several = 0
        self.small = False

    def take(self, task: dict[str, object], where: str) -> None:
        """The image of a task and what is annotated in it.

        Raises:
            RecordError: The task cannot be used.
        """
        small = "data" not in task and "annotation_id" in task
        self.small |= small
        data = task if small else table_of(task.get("data"), "data")
        key, path = _image(data, self.finder)
        if small:
            results = results_of_min(task, key, self.unread, where)
        else:
            self.unread.fields(data, Fields("a task's data", (key,), tuple(data)), where)
            self.unread.fields(task, _TASK, where)
            results = self._results(task, where)
        image = Stated(relative(path, self.finder.root), ImageFile(path))
        if image.name in self.images:
            raise RecordError(f"another task speaks of {image.name} already")
        regions = {str(result.get("id")) for result in results if isinstance(result, dict) and _is_shape(result)}
        for place, value in enumerate(results, 1):
            at = f"{where}, result {place}"
            try:
                self._result(table_of(value, "it"), image, regions, at)
            except RecordError as error:
                self.skipped.append(Skipped(at, str(error)))
        self.images[image.name] = image

    def _results(self, task: dict[str, object], where: str) -> list[object]:
        found = [
            table_of(value, "an annotation")
            for value in list_of(task.get("annotations", task.get("completions")), "annotations")
        ]
        kept = [one for one in found if not one.get("was_cancelled")]
        self.several += len(kept) > 1
        if not kept:
            raise RecordError("nobody has annotated it")
        self.unread.fields(kept[0], _ANNOTATION, where)
        return list_of(kept[0].get("result"), "result")

    def _result(self, result: dict[str, object], image: Stated, regions: set[str], where: str) -> None:
        kind = result.get("type")
        if kind == "choices":
            inner = table_of(result.get("value"), "its value")
            names = [name_of(name, "a choice") for name in list_of(inner.get("choices"), "choices")]
            if _has_place(inner) or str(result.get("id", "")) in regions:
                for name in names:
                    self.unread.add(f"choice {shown(name)} of an object", where)
            else:
                image.labels += names
        elif isinstance(kind, str) and kind in _SHAPES:
            inner = table_of(result.get("value"), "its value")
            if number(result.get("image_rotation") or 0, "image_rotation"):
                raise RecordError(f"image_rotation {shown(result['image_rotation'])}, which is not read")
            image.size = size_of(result.get("original_height"), result.get("original_width"))
            labels = list_of(inner.get(kind), "labels")
            image.boxes.append(_box(kind, inner, name_of(labels[0] if labels else None), image.size))
            for label in labels[1:]:
                self.unread.add(f"label {shown(label)} of an object, beside its first", where)
            self.unread.fields(inner, Fields("an object", (kind, *_SHAPES[kind])), where)
        elif _is_shape(result) or (_has_place(result.get("value")) and str(result.get("id", "")) not in regions):
            raise RecordError(f"{shown(kind)}, which is not read")
        else:
            self.unread.add(f"result of type {shown(kind)}", where)
        self.unread.fields(result, _RESULT, where)


def _is_shape(result: dict[str, object]) -> bool:
    kind = result.get("type")
    return not isinstance(kind, str) or kind in _SHAPES or kind in _OTHER_SHAPES


def _has_place(value: object) -> bool:
    # A text or a choice of a region repeats where that is.
    return isinstance(value, dict) and not value.keys().isdisjoint(("x", "points", "rle", "vertices"))


def _image(data: dict[str, object], finder: ImageFinder) -> tuple[str, Path]:
    addresses = [
        (key, value)
        for key, value in data.items()
        if isinstance(value, str) and (key in ("image", "img", "ocr") or ("." in value and key not in MIN_FIELDS))
    ]
    if not addresses:
        raise RecordError("it names no image")
    # As in /data/local-files/?d=photos/1.jpg, s3://bucket/1.jpg or https://host/1.jpg?key=…
    key, address = addresses[0]
    given = name_of(address, "the image").split("?d=")[-1].split("?")[0]
    place, _, name = urllib.parse.unquote(given).replace("\\", "/").rpartition("/")
    folder = place.rsplit("/", 1)[-1] or None  # tells images of one name apart
    try:
        return key, finder.find(name, within=folder)
    except RecordError:
        if not _PREFIX.match(name):
            raise
        return key, finder.find(_PREFIX.sub("", name, count=1), within=folder)


def _box(kind: str, inner: dict[str, object], label: str, size: tuple[int, int]) -> Box:
    height, width = (side / 100 for side in size)  # numbers are in per cent
    turn = number(inner.get("rotation", 0) or 0, "rotation")
    if kind == "polygonlabels":
        if turn:
            raise RecordError("a polygon with a rotation, which is not read")
        return _polygon(inner, label, height, width)
    x, y = number(inner.get("x"), "x") * width, number(inner.get("y"), "y") * height
    if kind == "ellipselabels":
        across = number(inner.get("radiusX"), "radiusX") * width
        down = number(inner.get("radiusY"), "radiusY") * height
        return Box(label, *turned_ellipse(x, y, across, down, turn))
    across, down = number(inner.get("width"), "width") * width, number(inner.get("height"), "height") * height
    if not turn:
        return Box(label, x, y, x + across, y + down)
    corners = turned_corners((x, y, x + across, y + down), turn, about=(x, y))
    return Box(label, *extent([corners]), polygons=(corners,))


def _polygon(inner: dict[str, object], label: str, height: float, width: float) -> Box:
    outline: list[float] = []
    for point in list_of(inner.get("points"), "points"):
        sides = list_of(point, "a point")
        if len(sides) != 2:
            raise RecordError("a point that is not two numbers")
        outline += [number(sides[0], "x") * width, number(sides[1], "y") * height]
    if len(outline) < 6:
        raise RecordError("a polygon of less than three corners")
    return Box(label, *extent([outline]), polygons=(tuple(outline),))


LABEL_STUDIO = Format("label_studio", "Label Studio JSON", is_label_studio, read_label_studio)

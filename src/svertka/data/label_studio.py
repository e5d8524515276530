"""Label Studio's JSON export: a list of tasks, each an image with what people said of it."""

from __future__ import annotations

import math
import re
import urllib.parse
from pathlib import Path

from svertka.annotations import Annotation, Box, Boxes
from svertka.data.documents import has_keys, peek, read_json
from svertka.data.layout import files_in, relative
from svertka.data.paths import ImageFinder
from svertka.data.records import RecordError, alike, dataset_of, extent, list_of, name_of, number, size_of, table_of
from svertka.data.samples import Dataset, Format, ImageFile, Sample, Skipped
from svertka.errors import UserError
from svertka.wording import counted

_SHAPES = ("rectanglelabels", "polygonlabels", "ellipselabels")
_PREFIX = re.compile(r"[0-9a-f]{8}-")  # Label Studio puts it before the name of an uploaded file


def is_label_studio(path: Path) -> bool:
    """Whether it is such a file, or a folder with one."""
    return _file(path) is not None


def read_label_studio(path: Path) -> Dataset:
    """Read tasks with rectangles, polygons and ellipses, or with choices; brushes are left out, and named.

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
    finder = ImageFinder(root, [root, *(root / name for name in ("images", "upload"))])
    samples: dict[str, Sample] = {}
    skipped: list[Skipped] = []
    several = 0
    for place, value in enumerate(tasks, 1):
        where = f"{file.name}, task {place}"
        try:
            task = table_of(value, "it")
            if isinstance(task.get("id"), int):
                where = f"{file.name}, task {task['id']}"
            image = _image(task, finder)
            chosen, others = _results(task)
            several += others
            if chosen is None:
                raise RecordError("nobody has annotated it")
            name = relative(image, root)
            if name in samples:
                raise RecordError(f"another task speaks of {name} already")
            samples[name] = Sample(name, ImageFile(image), _annotation(chosen, where, skipped))
        except RecordError as error:
            skipped.append(Skipped(where, str(error)))
    notes = (
        [f"{counted(several, 'task was', 'tasks were')} annotated more than once; the first annotation counts"]
        if several
        else []
    )
    return dataset_of(root, "Label Studio JSON", {"all": alike(list(samples.values()))}, notes, skipped)


def _file(path: Path) -> Path | None:
    files = [path] if path.is_file() else files_in(path, ".json", path)[:20]
    for file in files:
        text = peek(file) if file.suffix.lower() == ".json" else ""
        if text.startswith("[") and has_keys(text, "data", "(annotations|completions)"):
            return file
    return None


def _image(task: dict[str, object], finder: ImageFinder) -> Path:
    data = table_of(task.get("data"), "data")
    addresses = [
        value
        for key, value in data.items()
        if isinstance(value, str) and (key in ("image", "img", "ocr") or "." in value)
    ]
    if not addresses:
        raise RecordError("it names no image")
    # As in /data/local-files/?d=photos/1.jpg, s3://bucket/1.jpg or https://host/1.jpg?key=…
    given = name_of(addresses[0], "the image").split("?d=")[-1].split("?")[0]
    name = urllib.parse.unquote(given).replace("\\", "/").rsplit("/", 1)[-1]
    try:
        return finder.find(name)
    except RecordError:
        if not _PREFIX.match(name):
            raise
        return finder.find(_PREFIX.sub("", name, count=1))


def _results(task: dict[str, object]) -> tuple[list[object] | None, bool]:
    found = [
        table_of(value, "an annotation")
        for value in list_of(task.get("annotations", task.get("completions")), "annotations")
    ]
    kept = [list_of(told.get("result"), "result") for told in found if not told.get("was_cancelled")]
    return (kept[0] if kept else None), len(kept) > 1


def _annotation(results: list[object], where: str, skipped: list[Skipped]) -> Annotation:
    boxes: list[Box] = []
    choices: list[str] = []
    size: tuple[int, int] | None = None
    for place, value in enumerate(results, 1):
        try:
            told = table_of(value, "it")
            kind, inner = told.get("type"), table_of(told.get("value"), "its value")
            if kind == "choices":
                choices += [name_of(name, "a choice") for name in list_of(inner.get("choices"), "choices")]
            elif kind in _SHAPES:
                size = size_of(told.get("original_height"), told.get("original_width"))
                names = list_of(inner.get(str(kind)), "labels")
                boxes.append(_box(str(kind), inner, name_of(names[0] if names else None), size))
            else:
                raise RecordError(f"{str(kind)[:50]!r}, which is not read")
        except RecordError as error:
            skipped.append(Skipped(f"{where}, result {place}", str(error)))
    if choices and not boxes:
        return choices[0] if len(choices) == 1 else tuple(sorted(set(choices)))
    return Boxes(tuple(boxes), size)


def _box(kind: str, told: dict[str, object], label: str, size: tuple[int, int]) -> Box:
    height, width = (side / 100 for side in size)  # numbers are in per cent
    if kind == "polygonlabels":
        outline = []
        for point in list_of(told.get("points"), "points"):
            sides = list_of(point, "a point")
            if len(sides) != 2:
                raise RecordError("a point that is not two numbers")
            outline += [number(sides[0], "x") * width, number(sides[1], "y") * height]
        if len(outline) < 6:
            raise RecordError("a polygon of less than three corners")
        return Box(label, *extent([outline]), polygons=(tuple(outline),))
    x, y = number(told.get("x"), "x") * width, number(told.get("y"), "y") * height
    turn = math.radians(number(told.get("rotation", 0) or 0, "rotation"))
    if kind == "ellipselabels":
        across, down = number(told.get("radiusX"), "radiusX") * width, number(told.get("radiusY"), "radiusY") * height
        half_width = math.hypot(across * math.cos(turn), down * math.sin(turn))
        half_height = math.hypot(across * math.sin(turn), down * math.cos(turn))
        return Box(label, x - half_width, y - half_height, x + half_width, y + half_height)
    across, down = number(told.get("width"), "width") * width, number(told.get("height"), "height") * height
    if not turn:
        return Box(label, x, y, x + across, y + down)
    corners: list[float] = []  # it is turned about its upper left corner
    for right, lower in ((0.0, 0.0), (across, 0.0), (across, down), (0.0, down)):
        corners += [
            x + right * math.cos(turn) - lower * math.sin(turn),
            y + right * math.sin(turn) + lower * math.cos(turn),
        ]
    return Box(label, *extent([corners]), polygons=(tuple(corners),))


LABEL_STUDIO = Format("label_studio", "Label Studio JSON", is_label_studio, read_label_studio)

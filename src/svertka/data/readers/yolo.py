"""YOLO: a text file of labels for each image, and a ``data.yaml`` that names classes and folders.

Numbers are shares of the width and height of the upright image, so its header is read to make pixels of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from svertka.annotations import Box, Boxes, names_in
from svertka.data.files.documents import peek, read_text, read_yaml
from svertka.data.files.layout import child, files_in, images_below, part_in, relative, subfolders
from svertka.data.files.paths import below
from svertka.data.files.records import RecordError, dataset_of, extent, name_of, number, shown, whole
from svertka.data.files.unread import Fields, UnreadCounter
from svertka.data.readers.yolo_texts import MAX_LABELS, is_labels, some_labels, text_of, texts_without_image
from svertka.data.samples import Dataset, Format, ImageFile, Sample, Skipped
from svertka.errors import UserError
from svertka.runtime.image import ImageError, image_size, read_file
from svertka.wording import counted

_YAML = (".yaml", ".yml")
_NAMES = ("classes.txt", "obj.names", "labels.txt")
_MOST = 10_000  # classes
_SETTINGS = Fields(
    "the YAML",
    read=("path", "train", "val", "valid", "test", "names", "nc", "kpt_shape", "roboflow", "download"),
    minor=("flip_idx", "kpt_names", "colors"),
)
_KEY_OF_NAMES = re.compile(r"^[\"']?names[\"']?\s*:", re.M)
_OTHER_KEY = re.compile(r"^[\"']?(train|val|valid|test|path|nc)[\"']?\s*:", re.M)


def is_yolo(path: Path) -> bool:
    """Whether it is a ``data.yaml``, a folder that has one, or a folder with ``images/`` and texts in ``labels/``."""
    if path.is_file():
        return path.suffix.lower() in _YAML and _is_settings(path)
    return _yaml(path) is not None or any(is_labels(file) for file in some_labels(path))


def read_yolo(path: Path) -> Dataset:
    """Read ``data.yaml``, ``images/train`` with ``labels/train``, ``train/images`` with ``train/labels``, or texts
    beside images.

    Lines are boxes, outlines, or boxes with keypoints.

    Of the YAML, only names and folders are heeded: nothing in it is downloaded or run. An image without a text has no
    objects.

    Raises:
        UserError: No image can be used, or the YAML cannot be read.
    """
    file = path if path.is_file() else _yaml(path)
    root = path.parent if path.is_file() else path
    notes: list[str] = []
    skipped: list[Skipped] = []
    try:
        settings = _settings(file) if file else {}
        names, points = _names(root, settings), _points(settings)
    except RecordError as error:
        raise UserError(str(error), where=file or root) from error
    if "download" in settings:
        notes.append("what the YAML says under 'download' is not heeded")
    if not names:
        notes.append("no names of classes: they are called by their numbers")
    parts: dict[str, list[Sample]] = {}
    told: set[Path] = set()
    unread = UnreadCounter()
    unread.fields(settings, _SETTINGS, relative(file, root) if file else "")
    without = 0
    for part, images in _parts(root, settings, notes, skipped).items():
        for image in images:
            if image in told:
                continue
            told.add(image)
            sample = _Labels(root, image, names, points, skipped, unread)
            found = sample.read()
            without += not sample.text.is_file()
            if found is not None:
                parts.setdefault(part, []).append(found)
    if without:
        notes.append(f"{counted(without, 'image has', 'images have')} no text of labels, and so no objects")
    skipped += [Skipped(relative(text, root), "no image of that name") for text in texts_without_image(root, told)]
    if sorted(names) != list(range(len(set(names.values())))):
        notes.append("the numbers of classes have gaps, or two have one name; what is written numbers them anew")
    classes = [names[number] for number in sorted(names)] or _numbers_up_to(parts)
    return dataset_of(root, "YOLO", parts, notes, skipped, classes=classes, unread=unread.found())


def _numbers_up_to(parts: dict[str, list[Sample]]) -> list[str]:
    # Without names, a class stays the number that it was in whatever is made of these.
    used = [int(name) for samples in parts.values() for sample in samples for name in names_in(sample.annotation)]
    return [str(number) for number in range(max(used, default=-1) + 1)]


@dataclass(frozen=True)
class _Points:
    count: int
    numbers: int  # of each: x and y, and maybe whether it is visible


class _Labels:
    """The text of one image."""

    def __init__(
        self,
        root: Path,
        image: Path,
        names: dict[int, str],
        points: _Points | None,
        skipped: list[Skipped],
        unread: UnreadCounter,
    ) -> None:
        self.root, self.image, self.names, self.points = root, image, names, points
        self.skipped, self.unread = skipped, unread
        self.text = text_of(image, root)
        self.height = self.width = 0

    def read(self) -> Sample | None:
        name = relative(self.image, self.root)
        try:
            lines = (
                read_text(below(self.root, self.text.relative_to(self.root).as_posix()), MAX_LABELS).splitlines()
                if self.text.exists()
                else []
            )
            self.height, self.width = image_size(read_file(self.image))
        except RecordError as error:
            self.skipped.append(Skipped(relative(self.text, self.root), str(error)))
            return None
        except ImageError as error:
            self.skipped.append(Skipped(name, error.what))
            return None
        boxes = []
        for line, text in enumerate(lines, 1):
            if text.strip():
                try:
                    boxes.append(self._box(text.split()))
                except RecordError as error:
                    self.skipped.append(Skipped(f"{relative(self.text, self.root)}, line {line}", str(error)))
        return Sample(name, ImageFile(self.image), Boxes(tuple(boxes), (self.height, self.width)))

    def _box(self, words: list[str]) -> Box:
        label = whole(words[0], "the class")
        if self.names and label not in self.names:
            raise RecordError(f"the class {label} has no name")
        if not 0 <= label < _MOST:
            raise RecordError(f"the class {label}")
        name = self.names.get(label, str(label))
        values = [number(word, "a coordinate") for word in words[1:]]
        if self.points is not None and len(values) == 4 + self.points.count * self.points.numbers:
            return Box(name, *self._around(values), keypoints=self._keypoints(values[4:], self.points))
        if len(values) in (4, 5):  # some programs leave how sure they were at the end
            if len(values) == 5:
                self.unread.add("a score after a box", partial(relative, self.text, self.root), minor=True)
            return Box(name, *self._around(values))
        if len(values) >= 6 and len(values) % 2 == 0:
            outline = tuple(value * side for value, side in zip(values, self._sides(len(values)), strict=True))
            return Box(name, *extent([outline]), polygons=(outline,))
        raise RecordError(f"{counted(len(words), 'number')}, neither a box nor an outline")

    def _around(self, values: list[float]) -> tuple[float, float, float, float]:
        x, y, across, down = values[:4]
        return (
            (x - across / 2) * self.width,
            (y - down / 2) * self.height,
            (x + across / 2) * self.width,
            (y + down / 2) * self.height,
        )

    def _keypoints(self, values: list[float], points: _Points) -> tuple[tuple[str, float, float, int], ...]:
        found = []
        for place in range(points.count):
            x, y, *seen = values[place * points.numbers : (place + 1) * points.numbers]
            visible = whole(seen[0], "the visibility of a keypoint") if seen else 2
            if visible not in (0, 1, 2):
                raise RecordError(f"a keypoint of visibility {visible}")
            found.append((str(place + 1), x * self.width, y * self.height, visible))
        return tuple(found)

    def _sides(self, count: int) -> list[int]:
        return [self.width, self.height] * (count // 2)


def _yaml(folder: Path) -> Path | None:
    files = [file for suffix in _YAML for file in files_in(folder, suffix, folder)][:20]
    return next((file for file in files if _is_settings(file)), None)


def _is_settings(file: Path) -> bool:
    # By its words: to parse it takes long, and reading it will say what is wrong with it.
    text = peek(file)
    return bool(_KEY_OF_NAMES.search(text) and _OTHER_KEY.search(text))


def _settings(file: Path) -> dict[str, object]:
    told = read_yaml(file)
    if not isinstance(told, dict):
        raise RecordError(f"{shown(told)}, not a table")
    return told


def _names(root: Path, settings: dict[str, object]) -> dict[int, str]:
    given = settings.get("names")
    if isinstance(given, list):
        pairs: list[tuple[object, object]] = list(enumerate(given))
    elif isinstance(given, dict):
        pairs = list(given.items())
    elif given:
        raise RecordError(f"names is {shown(given)}, neither a list nor a table")
    else:
        places = [root, *filter(None, (child(root, "labels"), child(root, "images")))]
        file = next((place / name for place in places for name in _NAMES if (place / name).is_file()), None)
        inner = file.relative_to(root).as_posix() if file else ""
        pairs = list(enumerate(read_text(below(root, inner)).rstrip().splitlines())) if file else []
    if len(pairs) > _MOST:
        raise RecordError(f"{counted(len(pairs), 'class')}, over the limit of {_MOST:,}")
    return {whole(key, "the number of a class"): name_of(name) for key, name in pairs}


def _points(settings: dict[str, object]) -> _Points | None:
    given = settings.get("kpt_shape")
    if given is None:
        return None
    if not isinstance(given, list) or len(given) != 2:
        raise RecordError(f"kpt_shape is {shown(given)}, not two numbers")
    found = _Points(whole(given[0], "kpt_shape"), whole(given[1], "kpt_shape"))
    if not (0 < found.count <= _MOST and found.numbers in (2, 3)):
        raise RecordError(f"kpt_shape is {found.count} × {found.numbers}")
    return found


def _parts(root: Path, settings: dict[str, object], notes: list[str], skipped: list[Skipped]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for part in ("train", "val", "test"):
        given = settings.get(part) or (settings.get("valid") if part == "val" else None)
        for place in given if isinstance(given, list) else [given] if given else []:
            try:
                found.setdefault(part, []).extend(_listed(root, settings, name_of(place, part), skipped))
            except RecordError as error:
                notes.append(f"{part} in the YAML: {error}")
    if any(found.values()):
        if found.get("train") and found.get("train") == found.get("val"):  # as for data sets of a few images
            return {"all": found["train"], "test": found.get("test", [])}
        return found
    return _by_folders(root)


def _listed(root: Path, settings: dict[str, object], given: str, skipped: list[Skipped]) -> list[Path]:
    base = str(settings.get("path") or "")
    tried = [f"{base}/{given}" if base else given, given, re.sub(r"^(\.\./)+", "", given)]
    if base:
        tried.append(f"{base.rstrip('/').rsplit('/', 1)[-1]}/{given}")
    outside = False
    for name in dict.fromkeys(tried):
        place = Path(root, name)
        try:
            real = place.resolve()
            if not real.is_relative_to(root.resolve()):
                outside = True
                continue
            place = root / real.relative_to(root.resolve())
            if place.is_dir():
                return images_below(place, root)
            if place.is_file() and place.suffix == ".txt":
                return _list_of_images(root, place, skipped)
        except (OSError, ValueError, RuntimeError):
            continue
    raise RecordError(f"{given[:100]} " + ("lies outside the data set's folder" if outside else "does not exist"))


def _list_of_images(root: Path, file: Path, skipped: list[Skipped]) -> list[Path]:
    found = []
    for line, text in enumerate(read_text(file).splitlines(), 1):
        if text.strip():
            try:
                found.append(below(root, text.strip(), folder=file.parent))
            except RecordError as error:
                skipped.append(Skipped(f"{relative(file, root)}, line {line}", str(error)))
    return found


def _by_folders(root: Path) -> dict[str, list[Path]]:
    images = child(root, "images")
    if images is not None:
        inner = {part_in(folder.name): folder for folder in subfolders(images) if part_in(folder.name)}
        if inner:
            return {str(part): images_below(folder, root) for part, folder in inner.items()}
        return {"all": images_below(images, root)}
    found: dict[str, list[Path]] = {}
    for folder in subfolders(root):
        part = part_in(folder.name)
        if part:
            found.setdefault(part, []).extend(images_below(child(folder, "images") or folder, root))
    return found or {"all": images_below(root, root)}


YOLO = Format("yolo", "YOLO texts", is_yolo, read_yolo)

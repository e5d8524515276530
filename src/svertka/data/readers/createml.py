"""Create ML: one JSON file for the images of a folder, with boxes by their middle; Roboflow calls it
``_annotations.createml.json``."""

from __future__ import annotations

from pathlib import Path

from svertka.annotations import Box
from svertka.data.files.documents import has_keys, peek, read_json
from svertka.data.files.layout import files_in, part_in, relative, subfolders
from svertka.data.files.paths import ImageFinder
from svertka.data.files.records import RecordError, dataset_of, list_of, name_of, number, refuse_turned, table_of
from svertka.data.files.stated import Stated, samples_by_part
from svertka.data.files.unread import Fields, UnreadCounter
from svertka.data.samples import Dataset, Format, ImageFile, Skipped
from svertka.errors import UserError

_IMAGES = ("image", "imagefilename", "filename")
_OBJECTS = ("annotations", "annotation")
_RECORD = Fields("an image", read=(*_IMAGES, *_OBJECTS))
_OBJECT = Fields("an annotation", read=("label", "coordinates"))
_PLACE = Fields("coordinates", read=("x", "y", "width", "height"))
_LOOKED_AT = 20


def is_createml(path: Path) -> bool:
    """Whether it is such a file, or a folder that has one in it or in those of its parts."""
    return bool(_files(path))


def read_createml(path: Path) -> Dataset:
    """Read the boxes of each image, in pixels; or where there are none, its labels.

    Raises:
        UserError: There is no such file, or no image can be used.
    """
    root = path if path.is_dir() else path.parent
    files = _files(path) or ([path] if path.is_file() else [])
    if not files:
        raise UserError("no JSON of Create ML in it", where=path)
    reader = _Reader(ImageFinder(root, [root]))
    for file in files:
        name = relative(file, root)
        part = (part_in(file.parent.name) if file.parent != root else None) or "all"
        try:
            for place, value in enumerate(list_of(read_json(file), "the file"), 1):
                reader.take(value, file, f"{name}, image {place}", part)
        except RecordError as error:
            reader.skipped.append(Skipped(name, str(error)))
    parts = samples_by_part(list(reader.images.values()), reader.unread)
    return dataset_of(root, "Create ML JSON", parts, [], reader.skipped, unread=reader.unread.found(), files=files)


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path] if path.suffix.lower() == ".json" and _looks_right(path) else []
    folders = [path, *(folder for folder in subfolders(path) if part_in(folder.name))]
    found = (next(filter(_looks_right, files_in(folder, ".json", path)[:_LOOKED_AT]), None) for folder in folders)
    return [file for file in found if file]


def _looks_right(file: Path) -> bool:
    text = peek(file)
    return text.startswith("[") and has_keys(text, f"({'|'.join(_IMAGES)})", f"({'|'.join(_OBJECTS)})", "label")


class _Reader:
    """Takes one record after another."""

    def __init__(self, finder: ImageFinder) -> None:
        self.finder = finder
        self.images: dict[str, Stated] = {}
        self.skipped: list[Skipped] = []
        self.unread = UnreadCounter()

    def take(self, value: object, file: Path, where: str, part: str) -> None:
        """An image and its objects; what cannot be used is skipped, and named."""
        try:
            record = table_of(value, "it")
            given = next((record[name] for name in _IMAGES if name in record), None)
            path = self.finder.find(name_of(given, "the image"), beside=file.parent)
            image = Stated(relative(path, self.finder.root), ImageFile(path), part)
            if image.name in self.images:
                raise RecordError(f"another record speaks of {image.name} already")
            objects = next((record[name] for name in _OBJECTS if name in record), None)
            objects = [{"label": objects}] if isinstance(objects, str) else list_of(objects, "annotations")
        except RecordError as error:
            self.skipped.append(Skipped(where, str(error)))
            return
        self.images[image.name] = image
        self.unread.fields(record, _RECORD, where)
        for place, one in enumerate(objects, 1):
            at = f"{where}, annotation {place}"
            try:
                self._object(table_of(one, "it"), image, at)
            except RecordError as error:
                self.skipped.append(Skipped(at, str(error)))

    def _object(self, told: dict[str, object], image: Stated, where: str) -> None:
        label = name_of(told.get("label"), "the label")
        if told.get("coordinates") is None:
            image.labels.append(label)
        else:
            sides = table_of(told["coordinates"], "coordinates")
            refuse_turned(told | sides)
            x, y, width, height = (number(sides.get(side), side) for side in ("x", "y", "width", "height"))
            image.boxes.append(Box(label, x - width / 2, y - height / 2, x + width / 2, y + height / 2))
            self.unread.fields(sides, _PLACE, where)
        self.unread.fields(told, _OBJECT, where)


CREATEML = Format("createml", "Create ML JSON", is_createml, read_createml)

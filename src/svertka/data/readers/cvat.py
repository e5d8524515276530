"""CVAT's XML, for images and for video: all images or frames of a task in one file."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element

from svertka.data.files.documents import peek, stream_xml
from svertka.data.files.layout import files_in, part_in, relative
from svertka.data.files.paths import ImageFinder
from svertka.data.files.records import RecordError, dataset_of, name_of, size_of
from svertka.data.files.stated import Stated, samples_by_part
from svertka.data.files.unread import Fields, UnreadCounter
from svertka.data.readers.cvat_shapes import count_attributes, read_shape
from svertka.data.readers.cvat_video import Tracks
from svertka.data.samples import Dataset, Format, ImageFile, Skipped
from svertka.errors import UserError

_IMAGE = Fields("an image", read=("id", "name", "subset", "width", "height", "task_id", "job_id", "project"))
_TAG = Fields("a tag", read=("label", "source"), minor=("group_id",))


def is_cvat(path: Path) -> bool:
    """Whether it is such a file, or a folder with one."""
    return _file(path) is not None


def read_cvat(path: Path) -> Dataset:
    """Read boxes, polygons, ellipses and masks of each image, or of each frame that a track goes through; where there
    are none, the tags of images.

    Lines, points and other shapes are left out, and named. An image's ``subset`` is its part. Shapes with the same
    ``group_id`` stay apart.

    Raises:
        UserError: The file cannot be read, or no image can be used.
    """
    root = path if path.is_dir() else path.parent
    file = _file(path) or (path if path.is_file() else None)
    if file is None:
        raise UserError("no XML of CVAT in it", where=path)
    reader = _Reader(file, root)
    try:
        for element in stream_xml(file, "meta", "image", "track"):
            reader.take(element)
    except RecordError as error:
        if not reader.images:
            raise UserError(str(error), where=file) from error
        reader.skipped.append(Skipped(f"{file.name}, what follows image {reader.place}", str(error)))
    images = [*reader.images.values(), *(reader.tracks.finished() if reader.tracks else ())]
    parts = samples_by_part(images, reader.unread)
    unread = reader.unread.found()
    return dataset_of(root, "CVAT XML", parts, [], reader.skipped, classes=reader.classes, unread=unread, files=[file])


def _file(path: Path) -> Path | None:
    files = [path] if path.is_file() else files_in(path, ".xml", path)[:20]
    for file in files:
        text = peek(file) if file.suffix.lower() == ".xml" else ""
        if "<annotations>" in text[:2000] and ("<image " in text or "<track " in text):
            return file
    return None


class _Reader:
    """Takes the elements of one file."""

    def __init__(self, file: Path, root: Path) -> None:
        self.file = file
        self.finder = ImageFinder(root, [root, *(root / name for name in ("images", "data"))])
        self.images: dict[str, Stated] = {}
        self.tracks: Tracks | None = None
        self.skipped: list[Skipped] = []
        self.unread = UnreadCounter()
        self.classes: list[str] = []
        self.place = 0
        self.tasks = 0

    def take(self, element: Element) -> None:
        """An image, a track, or what the file states of the whole task."""
        if element.tag == "meta":
            names = (label.findtext("name") for label in element.iter("label") if label.find("parent") is None)
            self.classes = [name.strip()[:500] for name in names if name and name.strip()]
            self.tasks = sum(1 for _ in element.iter("task"))
        elif element.tag == "track":
            if self.tasks > 1:
                mend = "export each task alone, or the project as 'CVAT for images'"
                raise UserError(
                    "tracks of several tasks, whose frames have the same numbers", where=self.file, mend=mend
                )
            self.tracks = self.tracks or Tracks(self.file, self.finder, self.skipped, self.unread)
            self.tracks.take(element)
        else:
            self.place += 1
            where = f"{self.file.name}, image {element.get('id', '')[:20] or self.place}"
            try:
                image = self._image(element, where)
                self.images[image.name] = image
            except RecordError as error:
                self.skipped.append(Skipped(where, str(error)))

    def _image(self, element: Element, where: str) -> Stated:
        path = self.finder.find(name_of(element.get("name"), "its name"), within=element.get("subset"))
        name = relative(path, self.finder.root)
        if name in self.images:
            raise RecordError(f"another record speaks of {name} already")
        size = size_of(element.get("height"), element.get("width"))
        image = Stated(name, ImageFile(path), part_in(element.get("subset") or "") or "all", size=size)
        self.unread.fields(element.attrib, _IMAGE, where)
        for place, shape in enumerate(element, 1):
            at = f"{where}, shape {place}"
            try:
                if shape.tag == "tag":
                    image.labels.append(name_of(shape.get("label")))
                    self.unread.fields(shape.attrib, _TAG, at)
                    count_attributes(shape, self.unread, at)
                else:
                    image.boxes.append(read_shape(shape, size, self.unread, at))
            except RecordError as error:
                self.skipped.append(Skipped(at, str(error)))
        return image


CVAT = Format("cvat", "CVAT XML", is_cvat, read_cvat)

"""COCO's panoptic annotations: a JSON file, and a PNG for each image whose colours are the ids of its segments."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from svertka.annotations import Mask
from svertka.data.files.documents import has_keys, peek, read_json
from svertka.data.files.layout import part_in, relative
from svertka.data.files.paths import ImageFinder
from svertka.data.files.records import RecordError, dataset_of, list_of, name_of, table_of, whole
from svertka.data.files.unread import Fields, UnreadCounter
from svertka.data.readers.coco import coco_files
from svertka.data.readers.masks import FOREIGN, VOID, MaskFile
from svertka.data.samples import Dataset, Format, ImageFile, Sample, Skipped
from svertka.errors import UserError
from svertka.wording import counted

_SEGMENT = Fields(
    "a segment", read=("id", "category_id", "area", "bbox", "isthing"), minor=("iscrowd",), default={"iscrowd": (0,)}
)

_ANNOTATION = Fields("an annotation", read=("image_id", "file_name", "segments_info", "id"))


def is_panoptic(path: Path) -> bool:
    """Whether it is such a file, or a folder with no other file of COCO than such."""
    files = [file for file in coco_files(path) if not file.stem.startswith(("captions", "image_info"))]
    return bool(files) and all(has_keys(peek(file), "segments_info") for file in files)


def read_panoptic(path: Path) -> Dataset:
    """Read the class of each pixel. Objects of one class are not told apart; what no segment covers has no class.

    Raises:
        UserError: No image with its PNG can be used, or there are too many classes for a mask.
    """
    root = path if path.is_dir() else path.parent.parent if path.parent.name.lower() == "annotations" else path.parent
    files = list(coco_files(path)) or ([path] if path.is_file() else [])
    if not files:
        raise UserError("no panoptic JSON of COCO in it", where=path)
    skipped: list[Skipped] = []
    unread = UnreadCounter()
    readers: list[_File] = []
    for file in files:
        try:
            readers.append(_File(file, root, skipped, unread))
        except RecordError as error:
            skipped.append(Skipped(relative(file, root), str(error)))
    names = tuple(dict.fromkeys(name for reader in readers for name in reader.names.values()))
    if len(names) > FOREIGN:
        raise UserError(f"{counted(len(names), 'class')}, and a mask has {FOREIGN} at most", where=path)
    parts: dict[str, list[Sample]] = {}
    taken: set[str] = set()
    for reader in readers:
        for sample in reader.samples(names):
            if sample.name in taken:
                skipped.append(Skipped(f"{reader.name}, image {sample.name}", "another record speaks of it already"))
                continue
            taken.add(sample.name)
            parts.setdefault(reader.part, []).append(sample)
    notes = ["panoptic segments are read as the class of each pixel; objects of one class are not told apart"]
    found = unread.found()
    return dataset_of(root, "COCO panoptic", parts, notes, skipped, classes=names, unread=found, files=files)


class _File:
    """One panoptic file."""

    def __init__(self, path: Path, root: Path, skipped: list[Skipped], unread: UnreadCounter) -> None:
        self.root, self.skipped, self.unread = root, skipped, unread
        self.name = relative(path, root)
        self.part = part_in(path.stem) or (part_in(path.parent.name) if path.parent != root else None) or "all"
        stem = path.stem.removeprefix("panoptic_")
        bases = list(dict.fromkeys((path.parent, root)))
        inner = (stem, f"images/{stem}", "images", part_in(stem) or "images")
        self.images = ImageFinder(root, [*(base / folder for base in reversed(bases) for folder in inner), *bases])
        own = (path.stem, f"{path.stem}_masks", f"panoptic_{stem}", "panoptic", "masks")
        self.masks = ImageFinder(root, [*(base / folder for base in bases for folder in own), *bases])
        record = table_of(read_json(path), "the file")
        self.listed = list_of(record.get("images"), "images")
        self.annotations = list_of(record.get("annotations"), "annotations")
        self.names: dict[int, str] = {}
        for place, value in enumerate(list_of(record.get("categories"), "categories"), 1):
            try:
                told = table_of(value, "it")
                self.names[whole(told.get("id"), "its id")] = name_of(told.get("name"), "its name")
            except RecordError as error:
                skipped.append(Skipped(f"{self.name}, category at place {place}", str(error)))

    def samples(self, names: tuple[str, ...]) -> Iterator[Sample]:
        """All images that are there with their PNG."""
        files: dict[int, object] = {}
        for place, value in enumerate(self.listed, 1):
            try:
                told = table_of(value, "it")
                files[whole(told.get("id"), "its id")] = told.get("file_name")
            except RecordError as error:
                self.skipped.append(Skipped(f"{self.name}, image at place {place}", str(error)))
        numbers = {name: number for number, name in enumerate(names)}
        for place, value in enumerate(self.annotations, 1):
            where = f"{self.name}, annotation at place {place}"
            try:
                told = table_of(value, "it")
                key = whole(told.get("image_id"), "image_id")
                if key not in files:
                    raise RecordError(f"image {key} is not in the file")
                image = self.images.find(name_of(files[key], "its file_name"))
                mask = self.masks.find(name_of(told.get("file_name"), "the file_name of its PNG"))
                if mask == image:
                    raise RecordError(f"no PNG of segments beside the image {image.name}")
                source = self._mask(mask, list_of(told.get("segments_info"), "segments_info"), numbers, where)
                self.unread.fields(told, _ANNOTATION, where)
            except RecordError as error:
                self.skipped.append(Skipped(where, str(error)))
                continue
            yield Sample(relative(image, self.root), ImageFile(image), Mask(source, names))

    def _mask(self, path: Path, segments: list[object], numbers: dict[str, int], where: str) -> MaskFile:
        classes = {0: VOID}
        for value in segments:
            segment = table_of(value, "a segment")
            key = whole(segment.get("id"), "the id of a segment")
            category = whole(segment.get("category_id"), "its category_id")
            if not 0 < key < 1 << 24 or category not in self.names:
                raise RecordError(f"a segment {key} of category {category}")
            packed = (key & 255) << 16 | (key >> 8 & 255) << 8 | key >> 16  # the id has red in its lowest byte
            if packed in classes:
                raise RecordError(f"two segments {key}")
            classes[packed] = numbers[self.names[category]]
            self.unread.fields(segment, _SEGMENT, where)
        keys = tuple(sorted(classes))
        return MaskFile(path, keys, tuple(classes[key] for key in keys), colours=True)


PANOPTIC = Format("coco_panoptic", "COCO panoptic JSON", is_panoptic, read_panoptic)

"""Pascal VOC: an XML file for each image, beside the images or in ``Annotations/``, and lists of the parts.

Coordinates are taken as the edges of boxes, as labelImg and its kin write them. VOC itself counts pixels from 1 and
names the last one inside, so its own boxes come out a pixel narrower, and half a pixel to the right and down.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

from svertka.annotations import Box, Boxes
from svertka.data.files.documents import peek, read_text, read_xml
from svertka.data.files.layout import child, files_in, part_in, relative, subfolders, unwrapped
from svertka.data.files.paths import ImageFinder
from svertka.data.files.records import RecordError, dataset_of, name_of, number, refuse_turned, size_of
from svertka.data.files.unread import Fields, UnreadCounter
from svertka.data.samples import Dataset, Format, ImageFile, Sample, Skipped
from svertka.wording import counted

_ZERO = dict.fromkeys(("segmented", "truncated", "occluded", "difficult"), ("0",))
_ROOT = re.compile(r"<annotation[\s>]")
_MARK = re.compile(r"\s+-?[01]$")  # whether a class is in the image, in the lists of single classes
_FILE = Fields(
    "an image",
    read=("folder", "filename", "path", "source", "owner", "size", "object"),
    minor=("segmented",),
    default=_ZERO,
)
_OBJECT = Fields(
    "an object",
    read=("name", "bndbox", "difficult", "deleted", "verified", "date", "id"),
    minor=("pose", "truncated", "occluded"),
    default=_ZERO | {"pose": ("Unspecified", "unspecified", "Unknown")},
)
_SIDES = ("xmin", "ymin", "xmax", "ymax")
_SIDES_OF = Fields("a bndbox", read=_SIDES)


def is_voc(path: Path) -> bool:
    """Whether a folder has XML files of VOC in ``Annotations/``, in itself, or in folders of parts."""
    if not path.is_dir():
        return False
    first = next(_xml_files(unwrapped(path)), None)
    return first is not None and bool(_ROOT.search(peek(first[0])))


def read_voc(path: Path) -> Dataset:
    """Read ``Annotations/``, ``JPEGImages/`` and ``ImageSets/Main/{train,val,test}.txt``, or XML files beside images.

    Where there are lists, what stands in none of them is left out, and noted.

    Raises:
        UserError: No image with its XML file can be used.
    """
    root = unwrapped(path)
    notes = [] if root == path else [f"read from {root}"]
    skipped: list[Skipped] = []
    unread = UnreadCounter()
    listed = _lists(root, skipped)
    finder = ImageFinder(root, [folder for folder in (child(root, "jpegimages", "images"), root) if folder])
    parts: dict[str, list[Sample]] = {}
    told: set[str] = set()
    found: set[str] = set()
    unlisted: list[str] = []
    for file, folder_part in _xml_files(root):
        name = relative(file, root)
        part = listed.get(file.stem) if listed else folder_part
        found.add(file.stem)
        if part is None:
            unlisted.append(name)
            continue
        try:
            sample = _sample(file, name, finder, skipped, unread)
            if sample.name in told:
                raise RecordError(f"another file speaks of {sample.name} already")
        except RecordError as error:
            skipped.append(Skipped(name, str(error)))
            continue
        told.add(sample.name)
        parts.setdefault(part, []).append(sample)
    skipped += [
        Skipped(f"the list of {part}, {stem}", "it has no XML file")
        for stem, part in listed.items()
        if stem not in found
    ]
    if unlisted:
        notes.append(
            f"{counted(len(unlisted), 'file stands', 'files stand')} in no list of ImageSets/Main, left "
            f"out, such as {unlisted[0]}"
        )
    return dataset_of(root, "Pascal VOC", parts, notes, skipped, unread=unread.found())


def _xml_files(root: Path) -> Iterator[tuple[Path, str]]:
    folder = child(root, "annotations")
    if folder is not None:
        yield from ((file, "all") for file in files_in(folder, ".xml", root))
        for inner in subfolders(folder):
            yield from ((file, part_in(inner.name) or "all") for file in files_in(inner, ".xml", root))
        return
    yield from ((file, "all") for file in files_in(root, ".xml", root))
    for inner in subfolders(root):
        part = part_in(inner.name)
        if part is not None:
            for place in filter(None, (inner, child(inner, "annotations"))):
                yield from ((file, part) for file in files_in(place, ".xml", root))


def _lists(root: Path, skipped: list[Skipped]) -> dict[str, str]:
    # By the stem of the image; of several lists, the first counts: what is trained on must not judge.
    folder = child(root, "imagesets")
    folder = folder and child(folder, "main")
    found: dict[str, str] = {}
    for part in ("train", "val", "test"):
        file = folder / f"{part}.txt" if folder else None
        if file is None or not file.exists():
            continue
        try:
            lines = read_text(file).splitlines()
        except RecordError as error:
            skipped.append(Skipped(relative(file, root), str(error)))
            continue
        for line, text in enumerate(lines, 1):
            name = _MARK.sub("", text.strip())
            if not name:
                continue
            stem = Path(name).stem if name.lower().endswith((".jpg", ".png", ".jpeg", ".xml")) else name
            if found.setdefault(stem, part) != part:
                skipped.append(Skipped(f"{relative(file, root)}, line {line}", f"{stem} is in {found[stem]} already"))
    return found


def _sample(file: Path, name: str, finder: ImageFinder, skipped: list[Skipped], unread: UnreadCounter) -> Sample:
    told = read_xml(file)
    if told.tag != "annotation":
        raise RecordError(f"an XML of {told.tag[:50]!r}, not of an annotation")
    image = _image(file, told, finder)
    size = told.find("size")
    stated = None
    if size is not None and (size.findtext("width") or "0").strip() != "0":  # programs that did not look leave 0
        stated = size_of(size.findtext("height"), size.findtext("width"))
    boxes = []
    unread.fields(_texts(told), _FILE, name)
    for place, item in enumerate(told.findall("object"), 1):
        where = f"{name}, object {place}"
        try:
            boxes.append(_box(item))
            unread.fields(_texts(item), _OBJECT, where)
            unread.fields(_texts(item.find("bndbox")), _SIDES_OF, where)
        except RecordError as error:
            skipped.append(Skipped(where, str(error)))
    return Sample(relative(image, finder.root), ImageFile(image), Boxes(tuple(boxes), stated))


def _image(file: Path, told: Element, finder: ImageFinder) -> Path:
    given = told.findtext("filename")
    if given is None or not given.strip():
        return finder.find_stem(file.stem, beside=file.parent, within=file.parent.name)
    return finder.find(name_of(given, "the filename"), beside=file.parent, within=file.parent.name)


def _texts(element: Element | None) -> dict[str, object]:
    # What the elements in it state; of one with elements of its own, that it is there.
    if element is None:
        return {}
    return {inner.tag: "there" if len(inner) else inner.text for inner in element}


def _box(item: Element) -> Box:
    label = name_of(item.findtext("name"))
    sides = item.find("bndbox")
    if sides is None:
        turned = item.find("robndbox") is not None
        raise RecordError("'robndbox', which is not read" if turned else "it has no bndbox")
    refuse_turned(_texts(sides) | _texts(item))
    left, top, right, bottom = (number(sides.findtext(side), side) for side in _SIDES)
    return Box(label, left, top, right, bottom, difficult=(item.findtext("difficult") or "").strip() == "1")


VOC = Format("voc", "Pascal VOC XML", is_voc, read_voc)

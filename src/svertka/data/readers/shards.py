"""WebDataset: tar files in which ``0001.jpg`` and ``0001.cls`` are a sample, read where they stand.

One pass over the headers finds where each image's bytes are; nothing is unpacked, and any image can be read alone.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from svertka.annotations import Annotation, class_names, natural
from svertka.data.files.layout import PART_SPELLINGS
from svertka.data.files.records import shown
from svertka.data.files.tar import Member, members
from svertka.data.files.unread import Fields, UnreadCounter
from svertka.data.readers.archives import archive_kind, decompressed, first_members
from svertka.data.readers.folders import part_in_name
from svertka.data.samples import Dataset, FileSlice, Format, Sample, Skipped, class_lines, file_stamp, place_of
from svertka.errors import UserError
from svertka.runtime.image import IMAGE_SUFFIXES
from svertka.wording import counted

_LABELS = ("cls", "json", "txt")  # the first of them that a sample has says what it is
_IN_JSON = ("label", "labels", "cls", "class", "category", "target")
_MINOR = ("width", "height", "original_width", "original_height", "key", "url", "status", "sha256", "md5", "exif")
_LABEL_BYTES = 1 << 20
_LOOKED_AT = 64  # members by which a shard is told from an archive of folders
_SHARDS = 100_000
_ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")


def expand(path: Path) -> list[Path]:
    """The paths that ``train-{000..009}.tar`` or ``{train,val}.tar`` stands for, in order; the path itself otherwise.

    Raises:
        UserError: They are more than anyone has.
    """
    found = [path.name]
    while any("{" in name for name in found):
        following: list[str] = []
        for name in found:
            brace = re.search(r"\{([^{}]*)\}", name)
            if brace is None:
                return [path]
            first, _, last = brace[1].partition("..")
            pieces = brace[1].split(",")
            if first.isdecimal() and last.isdecimal():
                if not 0 <= int(last[:9]) - int(first[:9]) < _SHARDS:
                    raise UserError(f"{brace[0]} is no range of shards", where=path)
                pieces = [str(number).zfill(len(first)) for number in range(int(first[:9]), int(last[:9]) + 1)]
            following += [name[: brace.start()] + piece + name[brace.end() :] for piece in pieces]
            if len(following) > _SHARDS:
                raise UserError(f"over {_SHARDS:,} shards", where=path)
        found = following
    return [path.with_name(name) for name in found]


def is_shards(path: Path) -> bool:
    """Whether it is a shard, a pattern of shards or a folder of them: tar files that begin with images and labels."""
    found: dict[str, set[str]] = {}
    for shard in _shards(path)[:1]:
        for member in first_members(shard, _LOOKED_AT):
            key, ending = _key(member)
            found.setdefault(key, set()).add(ending)
    return any(
        "cls" in endings or endings & {"json", "txt"}
        for key, endings in found.items()
        if key and any(f".{ending}" in IMAGE_SUFFIXES for ending in endings)
    )


def read_shards(path: Path) -> Dataset:
    """Read the samples of one or many shards.

    A sample's key is its name up to the first dot of the file's. ``.cls`` has a number or a name, ``.json`` one under
    ``label`` (or a list: several labels), ``.txt`` a name. ``classes.txt`` beside the shards names the numbers. Shards
    that are called train, val or test, or lie in a folder of that name, are those parts.

    Raises:
        UserError: A shard is missing, or there is no sample.
    """
    shards = _shards(path)
    if not shards:
        raise UserError("no tar files", where=path, mend="give a .tar, a folder of them, or shard-{000..009}.tar")
    folder = path if path.is_dir() else path.parent
    names = class_lines(folder / "classes.txt")
    parts: dict[str, list[Sample]] = {}
    skipped: list[Skipped] = []
    unread = UnreadCounter()
    for shard in shards:
        if not shard.is_file():
            raise UserError("no such shard", where=shard)
        part = parts.setdefault(part_in_name(shard, folder), [])
        _read_shard(shard, names, part, skipped, unread)
    if not any(parts.values()):
        reason = f"; the first, {skipped[0].file}: {skipped[0].error}" if skipped else ""
        where = place_of(path, shards)
        raise UserError(f"no image with a label{reason}", where=where, mend="put 0001.jpg and 0001.cls side by side")
    samples = [sample for part in parts.values() for sample in part]
    if any(isinstance(sample.annotation, tuple) for sample in samples):
        parts = {name: [_several(sample) for sample in part] for name, part in parts.items()}
    notes = [counted(len(shards), "shard")]
    return Dataset(path, "WebDataset shards", parts, notes, skipped, unread=unread.found(), files=tuple(shards))


@dataclass
class _Found:
    images: list[Member] = field(default_factory=list)
    label: bytes | None = None
    kind: str = ""
    endings: list[str] = field(default_factory=list)


def _read_shard(
    shard: Path, names: list[str], samples: list[Sample], skipped: list[Skipped], unread: UnreadCounter
) -> None:
    file = shard if archive_kind(shard) == "tar" else decompressed(shard)
    found: dict[str, _Found] = {}
    try:
        with file.open("rb") as source:
            for member in members(file):
                key, ending = _key(member)
                if not key:
                    continue
                entry = found.setdefault(key, _Found())
                if f".{ending}" in IMAGE_SUFFIXES:
                    entry.images.append(member)
                    continue
                entry.endings.append(ending)
                if ending in _LABELS and (not entry.kind or _LABELS.index(ending) < _LABELS.index(entry.kind)):
                    source.seek(member.offset)
                    entry.kind, entry.label = ending, source.read(min(member.size, _LABEL_BYTES + 1))
    except UserError as error:  # what stands before the damage is whole
        skipped.append(Skipped(shard.name, error.what))
    stamp = file_stamp(file)
    for key, entry in found.items():
        try:
            if len(entry.images) != 1:
                raise ValueError(counted(len(entry.images), "image") if entry.images else "no image")
            annotation = _annotation(entry, names, unread, f"{shard.name}, {key}")
        except (ValueError, RecursionError) as error:
            skipped.append(Skipped(f"{shard.name}, {key}", str(error)))
            continue
        for ending in entry.endings:
            if ending != entry.kind:
                unread.add(f"file {shown('.' + ending)} of a sample", f"{shard.name}, {key}")
        (member,) = entry.images
        name = f"{shard.name}/{member.name.removeprefix('./')}"
        samples.append(Sample(name, FileSlice(file, member.offset, member.size, stamp, name), annotation))


def _annotation(entry: _Found, names: list[str], unread: UnreadCounter, where: str) -> Annotation:
    if entry.label is None:
        raise ValueError("no label beside the image")
    if len(entry.label) > _LABEL_BYTES:
        raise ValueError(f"a label of over {_LABEL_BYTES:,} bytes")
    value: Any = entry.label.decode("utf-8").strip()
    if entry.kind == "json":
        value = json.loads(value)
        if isinstance(value, dict):
            read = next((key for key in _IN_JSON if key in value), "")
            unread.fields(value, Fields("a .json", (read,), _MINOR), where)
            value = value.get(read)
    if isinstance(value, list):
        return class_names([_named(item, names) for item in value])
    return _named(value, names)


def _named(value: Any, names: list[str]) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError("the label is neither a number nor a name")
    text = str(value).strip()
    if not text:
        raise ValueError("the label is empty")
    if names and text.isdecimal():
        number = int(text[:9])
        if not "".join(names[number : number + 1]):
            raise ValueError(f"classes.txt has no line for the label {text[:20]}")
        return names[number]
    return text


def _several(sample: Sample) -> Sample:
    labels = sample.annotation
    return Sample(sample.name, sample.source, (labels,) if isinstance(labels, str) else labels)


def _key(member: Member) -> tuple[str, str]:
    # "a/b.c.jpg" is the ending "c.jpg" of the sample "a/b", as WebDataset has it.
    folder, slash, name = member.name.rpartition("/")
    stem, _, ending = name.partition(".")
    if member.folder or member.odd or not stem:
        return "", ""
    return f"{folder}{slash}{stem}".removeprefix("./"), ending.lower()


def _shards(path: Path) -> list[Path]:
    if "{" in path.name and not path.exists():
        return expand(path)
    if path.is_file():
        return [path]
    if not path.is_dir():
        return []
    spelt = {spelling for spellings in PART_SPELLINGS.values() for spelling in spellings}
    folders = [path, *(folder for folder in sorted(path.iterdir()) if folder.name.lower() in spelt and folder.is_dir())]
    found = [file for folder in folders for file in folder.iterdir() if file.name.lower().endswith(_ENDINGS)]
    root = path.resolve()
    inside = [file for file in found if file.is_file() and file.resolve().is_relative_to(root)]
    return sorted(inside, key=lambda file: natural(str(file)))


SHARDS = Format("webdataset", "WebDataset shards: tar files of images and labels", is_shards, read_shards)

"""Data sets of Hugging Face's ``datasets``: Parquet shards with the images in them, and folders of ``save_to_disk``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from svertka.annotations import Annotation, ImageSource, class_names, natural
from svertka.data.files.records import shown
from svertka.data.files.unread import UnreadCounter
from svertka.data.readers import arrow
from svertka.data.readers.folders import part_in_name
from svertka.data.readers.table import LABEL_COLUMNS
from svertka.data.samples import Dataset, Format, Sample, Skipped, file_stamp, place_of
from svertka.errors import UserError
from svertka.wording import counted

_DEPTH = 3  # folders between the data set's and its shards: config/split
_CONFIGS = 64  # folders; where there are more, they are classes
_PLAIN = ("image", "img", "jpg", "png", "bytes")  # names of a column of bytes that are images
_INFO = "dataset_info.json"
_INFO_BYTES = 16 << 20


@dataclass(frozen=True)
class _Layout:
    image: str
    label: str
    names: tuple[str, ...]


def is_hugging_face(path: Path) -> bool:
    """Whether it is a folder with Parquet shards, or with Arrow shards as ``save_to_disk`` writes them."""
    return path.is_dir() and bool(_shards(path))


def read_hugging_face(path: Path) -> Dataset:
    """Read the shards of a folder, or one Parquet file.

    A column of structs ``{bytes, path}`` has the images. Class names stand in the shard's own metadata, or in
    ``dataset_info.json``. A shard's name or folder says which part it is of.

    Raises:
        UserError: There is no image with a label, or pyarrow is not installed.
    """
    shards = [path] if path.is_file() else _shards(path)
    folder = path if path.is_dir() else path.parent
    parts: dict[str, list[Sample]] = {}
    skipped: list[Skipped] = []
    classes: dict[str, None] = {}
    unread = UnreadCounter()
    for shard in shards:
        count = 0
        samples = parts.setdefault(part_in_name(shard, folder), [])
        try:
            for number, source, label, names in _records(shard, folder):
                count += 1
                classes.update(dict.fromkeys(names))
                place = f"{shard.relative_to(folder).as_posix()}#{number}"
                annotation = _annotation(label, names)
                if source is None or annotation is None:
                    what = "no image in it" if source is None else f"{label!r:.40} is no label"
                    skipped.append(Skipped(place, what))
                else:
                    samples.append(Sample(place, source, annotation))
            for column in _other_columns(shard, folder):
                unread.add(f"column {shown(column)}", shard.name, count=count)
        except arrow.ERRORS as error:
            raise UserError(f"damaged ({error})", where=shard, mend="get it again") from error
    if not any(parts.values()):
        reason = f"; the first, {skipped[0].file}: {skipped[0].error}" if skipped else ""
        raise UserError(f"no image with a label{reason}", where=place_of(path, shards))
    notes = [counted(len(shards), "shard")]
    title, listed, found = "Hugging Face data set", tuple(classes), unread.found()
    return Dataset(path, title, parts, notes, skipped, classes=listed, unread=found, files=tuple(shards))


def holds_images(schema: Any) -> bool:
    """Whether a column of an Arrow schema holds images."""
    return _image_column(schema, arrow.features_of(schema.metadata)) is not None


def _records(shard: Path, folder: Path) -> Iterator[tuple[int, ImageSource | None, Any, tuple[str, ...]]]:
    if shard.suffix == ".arrow":
        layout = _layout(arrow.arrow_schema(shard), shard, folder)
        rows = arrow.arrow_rows(shard, [layout.label])
        for number, (values, source) in enumerate(zip(rows, arrow.arrow_slices(shard, layout.image), strict=True)):
            yield number, source, values[layout.label], layout.names
        return
    with arrow.parquet_file(shard) as file:
        layout = _layout(file.schema_arrow, shard, folder)
        field = file.schema_arrow.field(layout.image)
        column = f"{layout.image}.bytes" if field.type.num_fields else layout.image
        groups = [file.metadata.row_group(group).num_rows for group in range(file.metadata.num_row_groups)]
    stamp = file_stamp(shard)
    places = ((group, row) for group, count in enumerate(groups) for row in range(count))
    labels = (values[layout.label] for values in arrow.parquet_rows(shard, [layout.label]))
    for number, ((group, row), label) in enumerate(zip(places, labels, strict=False)):
        yield number, arrow.ParquetImage(shard, column, group, row, stamp), label, layout.names


def _other_columns(shard: Path, folder: Path) -> list[str]:
    if shard.suffix == ".arrow":
        schema = arrow.arrow_schema(shard)
    else:
        with arrow.parquet_file(shard) as file:
            schema = file.schema_arrow
    layout = _layout(schema, shard, folder)
    return [name for name in schema.names if name not in (layout.image, layout.label)]


def _layout(schema: Any, shard: Path, folder: Path) -> _Layout:
    features = arrow.features_of(schema.metadata) or _info_features(shard, folder)
    image = _image_column(schema, features)
    if image is None:
        raise UserError(f"no column of images among: {', '.join(schema.names)}", where=shard)
    named = [column for column in schema.names if arrow.class_names_of(features.get(column))]
    usual = [column for column in schema.names if column.lower() in LABEL_COLUMNS]
    label = next(iter(named + usual), None)
    if label is None:
        raise UserError(
            f"no column of labels among: {', '.join(schema.names)}", where=shard, mend="call a column 'label'"
        )
    return _Layout(image, label, arrow.class_names_of(features.get(label)))


def _image_column(schema: Any, features: dict[str, Any]) -> str | None:
    def is_image(column: str) -> bool:
        said = features.get(column)
        kind = schema.field(column).type
        struct = str(kind).startswith("struct") and "bytes" in {field.name for field in kind}
        holds = struct or (str(kind) in ("binary", "large_binary") and column.lower() in _PLAIN)
        return holds and (not features or (isinstance(said, dict) and said.get("_type") == "Image"))

    return next((column for column in schema.names if is_image(column)), None)


def _info_features(shard: Path, folder: Path) -> dict[str, Any]:
    for place in (shard.parent, folder):
        file = place / _INFO
        try:
            if file.is_file() and file.stat().st_size <= _INFO_BYTES:
                info = json.loads(file.read_text(encoding="utf-8"))
                # One file may tell of several configurations.
                for one in (info, *(info.values() if isinstance(info, dict) else ())):
                    if isinstance(one, dict) and isinstance(one.get("features"), dict):
                        found: dict[str, Any] = one["features"]
                        return found
        except (OSError, ValueError, RecursionError) as error:
            raise UserError(f"not readable JSON ({error})", where=file) from error
    return {}


def _annotation(label: Any, names: tuple[str, ...]) -> Annotation | None:
    if isinstance(label, list):
        several = [_annotation(one, names) for one in label]
        return class_names([one for one in several if isinstance(one, str)]) if None not in several else None
    if isinstance(label, bool) or not isinstance(label, str | int):
        return None
    if names and isinstance(label, int):
        return names[label] if 0 <= label < len(names) else None
    return str(label).strip() or None


def _shards(folder: Path) -> list[Path]:
    found: list[Path] = []
    places, root = [folder], folder.resolve()
    for _ in range(_DEPTH + 1):
        entries = [entry for place in places for entry in place.iterdir() if not entry.name.startswith(".")]
        found += [
            entry
            for entry in entries
            if entry.suffix == ".parquet" or (entry.suffix == ".arrow" and (entry.parent / "state.json").is_file())
        ]
        places = [entry for entry in entries if entry.is_dir() and not entry.is_symlink()]
        if found or len(places) > _CONFIGS:
            break
    inside = [file for file in found if file.is_file() and file.resolve().is_relative_to(root)]
    return sorted(inside, key=lambda file: natural(str(file)))


HUGGING_FACE = Format(
    "huggingface", "a folder of Hugging Face's datasets: Parquet or Arrow shards", is_hugging_face, read_hugging_face
)

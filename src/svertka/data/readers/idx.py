"""IDX, the format of MNIST and Fashion-MNIST: two files a part, images and labels, gzipped or not."""

from __future__ import annotations

import gzip
import math
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from svertka.data.files.documents import check_file
from svertka.data.files.records import RecordError
from svertka.data.samples import Dataset, Format, Sample, class_lines, digest_of, file_stamp
from svertka.errors import UserError
from svertka.wording import counted

_PARTS = {"train": "train", "test": "t10k"}
_CLASSES = "classes.txt"
_MAX_BYTES = 2 << 30


@dataclass(frozen=True, slots=True)
class IdxImage:
    """One grey image of an IDX file."""

    images: NDArray[np.uint8]
    index: int
    stamp_of_file: str

    def stamp(self) -> str:
        """See `svertka.data.samples.ImageSource.stamp`."""
        return f"{self.stamp_of_file} {self.index}"

    def load(self) -> tuple[NDArray[np.uint8], str]:
        """See `svertka.data.samples.ImageSource.load`."""
        grey = self.images[self.index]
        return np.repeat(grey[:, :, None], 3, axis=2), digest_of(grey.tobytes())


def is_idx(folder: Path) -> bool:
    """Whether the folder holds IDX files by their usual names, of a part at least."""
    return any(
        _find(folder, f"{prefix}-images") is not None and _find(folder, f"{prefix}-labels") is not None
        for prefix in _PARTS.values()
    )


def read_idx(folder: Path) -> Dataset:
    """Read ``train-images-idx3-ubyte[.gz]`` and the three beside it.

    Class names are the label numbers, or the lines of ``classes.txt`` where there is one.

    Raises:
        UserError: A file is damaged, or images and labels differ in number.
    """
    names_file = folder / _CLASSES
    names = class_lines(names_file) or [str(label) for label in range(256)]
    parts: dict[str, list[Sample]] = {}
    for part, prefix in _PARTS.items():
        image_file, label_file = _find(folder, f"{prefix}-images"), _find(folder, f"{prefix}-labels")
        if image_file is None or label_file is None:
            continue
        images, labels = _read(image_file, 3), _read(label_file, 1)
        if len(images) != len(labels):
            raise UserError(f"{counted(len(images), 'image')} but {counted(len(labels), 'label')}", where=image_file)
        for label in np.unique(labels).tolist():
            if not "".join(names[label : label + 1]):
                raise UserError(f"no line for the label {label}", where=names_file)
        stamp = file_stamp(image_file)
        parts[part] = [
            Sample(f"{image_file.name}#{number}", IdxImage(images, number, stamp), names[label])
            for number, label in enumerate(labels.tolist())
        ]
    if not parts:
        raise UserError("no IDX files", where=folder, mend="give the folder of train-images-idx3-ubyte and the others")
    return Dataset(folder, "IDX", parts)


def _find(folder: Path, prefix: str) -> Path | None:
    return next((path for path in sorted(folder.glob(f"{prefix}*")) if "ubyte" in path.name), None)


def _read(path: Path, axes: int) -> NDArray[np.uint8]:
    try:
        check_file(path, _MAX_BYTES)
    except RecordError as error:
        raise UserError(str(error), where=path) from error
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            start = file.read(4 + 4 * axes)
            shape = tuple(int.from_bytes(start[place : place + 4]) for place in range(4, 4 + 4 * axes, 4))
            size = math.prod(shape)
            if start[:4] != bytes((0, 0, 8, axes)) or not 0 < size <= _MAX_BYTES:
                raise UserError(f"not an IDX file of bytes with {axes} axes", where=path)
            data = file.read(size + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"damaged ({error})", where=path, mend="get it again") from error
    if len(data) != size:
        raise UserError(f"its header tells of {counted(size, 'byte')} and it has another number", where=path)
    return np.frombuffer(data, np.uint8).reshape(shape)


IDX = Format("idx", "IDX files, as MNIST has them", is_idx, read_idx)

"""Other people's checkpoints, read without running anything."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor

from svertka.annotations import natural
from svertka.errors import UserError
from svertka.runtime.safetensors import read_header
from svertka.zoo import _torch_files, caffe, keras
from svertka.zoo.tensors import check_plain, read_tensors
from svertka.zoo.wrappers import flattened, unwrapped

Format = Literal["pytorch", "keras", "caffe"]

_INSIDE = "model.weights.h5"
"""What a ``.keras`` archive calls its weights."""


@dataclass(frozen=True)
class Checkpoint:
    """Tensors by the names that they have in a file.

    Attributes:
        path: The file.
        format: Who wrote it. The tensors of ``"keras"`` lie as Keras has them, channels last.
        tensors: Of finite real numbers, on the processor.
        beside: Names of tensors in the file that are not among them, such as an optimiser's.
    """

    path: Path
    format: Format
    tensors: Mapping[str, Tensor]
    beside: tuple[str, ...] = ()


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint of PyTorch (.pth, .pt, .th, .bin, .safetensors), Keras (.h5, .keras) or Caffe (.caffemodel).

    A PyTorch checkpoint is read with ``weights_only=True``: it is refused if it holds anything but tensors and plain
    values. What wraps the tensors (see `svertka.zoo.wrappers`) is taken off.

    Raises:
        UserError: It is missing or damaged, holds something that could run, or no tensors; or one of them is not of
            finite real numbers.
    """
    if not path.is_file():
        raise UserError("no such checkpoint", where=path)
    checkpoint = _read(path)
    if not checkpoint.tensors:
        raise UserError("it holds no tensors by name", where=path)
    left = path.stat().st_size if checkpoint.format == "pytorch" else None
    for name, tensor in checkpoint.tensors.items():
        if not name.isprintable():
            raise UserError(f"the name {name[:80]!a} of a tensor cannot be printed", where=path)
        check_plain(name, tensor, where=path)
        if left is not None:
            left -= tensor.nbytes
            if left < 0:
                raise UserError(f"its tensors are larger than the file, from {name!r} on", where=path)
    return checkpoint


def _read(path: Path) -> Checkpoint:
    kind = path.suffix.lower()
    if kind in (".h5", ".hdf5"):
        return Checkpoint(path, "keras", keras.torch_keys(keras.read(path)))
    if kind == ".keras":
        return Checkpoint(path, "keras", keras.torch_keys(_read_archive(path)))
    if kind == ".caffemodel":
        return Checkpoint(path, "caffe", caffe.read(path))
    if kind == ".safetensors":
        tensors, _ = read_tensors(path, read_header(path))
        # They lie there by type and name; some networks are told apart by the order of their layers.
        tensors = {name: tensors[name] for name in sorted(tensors, key=natural)}
    else:
        try:
            tensors = flattened(_torch_files.load(path))
        except ValueError as error:
            raise UserError(f"not a checkpoint of tensors alone: {error}", where=path) from error
    weights, beside = unwrapped(tensors)
    return Checkpoint(path, "pytorch", weights, tuple(beside))


def _read_archive(path: Path) -> keras.Arrays:
    with tempfile.TemporaryDirectory() as folder:
        try:
            with zipfile.ZipFile(path) as archive:
                if archive.getinfo(_INSIDE).file_size > path.stat().st_size:  # Keras stores it uncompressed
                    raise UserError(f"{_INSIDE} in it is larger than the file", where=path)
                inside = archive.extract(_INSIDE, folder)
        except (zipfile.BadZipFile, KeyError, OSError) as error:
            raise UserError(f"cannot be read as an archive of Keras: {error}", where=path) from error
        return keras.read(Path(inside))

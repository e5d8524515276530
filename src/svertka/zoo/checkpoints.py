"""Other people's checkpoints, read without running anything."""

from __future__ import annotations

import tempfile
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import safetensors.torch
import torch
from torch import Tensor

from svertka.annotations import natural
from svertka.errors import UserError
from svertka.runtime.safetensors import read_header
from svertka.zoo import caffe, keras

Format = Literal["pytorch", "keras", "caffe"]

_INSIDE = "model.weights.h5"
"""What a ``.keras`` archive calls its weights."""


@dataclass(frozen=True)
class Checkpoint:
    """Tensors by the names that they have in a file.

    Attributes:
        path: The file.
        format: Who wrote it. The tensors of ``"keras"`` lie as Keras has them, channels last.
        tensors: On the processor.
    """

    path: Path
    format: Format
    tensors: Mapping[str, Tensor]


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint of PyTorch (.pth, .pt, .th, .bin, .safetensors), Keras (.h5, .keras) or Caffe (.caffemodel).

    A PyTorch checkpoint is read with ``weights_only=True``: it is refused if it holds anything but tensors and plain
    values. What wraps the tensors (``state_dict``, ``model``, a ``module.`` before every key) is taken off.

    Raises:
        UserError: It is missing or damaged, holds something that could run, or no tensors.
    """
    if not path.is_file():
        raise UserError("no such checkpoint", where=path)
    kind = path.suffix.lower()
    if kind in (".h5", ".hdf5"):
        return Checkpoint(path, "keras", keras.torch_keys(keras.read(path)))
    if kind == ".keras":
        return Checkpoint(path, "keras", keras.torch_keys(_read_archive(path)))
    if kind == ".caffemodel":
        return Checkpoint(path, "caffe", caffe.read(path))
    if kind == ".safetensors":
        read_header(path)
        tensors = safetensors.torch.load_file(path)
        # They lie there by type and name; some networks are told apart by the order of their layers.
        return Checkpoint(path, "pytorch", {name: tensors[name] for name in sorted(tensors, key=natural)})
    return Checkpoint(path, "pytorch", _read_pytorch(path))


def _read_pytorch(path: Path) -> dict[str, Tensor]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on pickle protocols; what cannot be read is refused below
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle raises what it likes
        reason = str(error).partition("\n")[0]
        raise UserError(f"not a checkpoint of tensors alone ({reason})", where=path) from error
    for wrapper in ("state_dict", "model_state_dict", "model"):
        if isinstance(loaded, dict) and isinstance(loaded.get(wrapper), dict):
            loaded = loaded[wrapper]
    tensors = {}
    if isinstance(loaded, dict):
        tensors = {str(name): value for name, value in loaded.items() if isinstance(value, Tensor)}
    if not tensors:
        raise UserError("it holds no tensors by name", where=path)
    if all(name.startswith("module.") for name in tensors):
        tensors = {name.removeprefix("module."): value for name, value in tensors.items()}
    return tensors


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

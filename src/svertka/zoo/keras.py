"""Weights of Keras become a state dict: reading its files without Keras, naming and laying out what is in them.

`read` turns a file into arrays under ``"layer/variable"``, whatever Keras wrote it; `torch_keys` gives every variable
the name that PyTorch has for it, to which the rules of a family apply (``KEYS["keras"]`` in its catalogue); `laid_out`
brings an array to the layout of our parameter. The rules see these keys, for a layer called ``name``:

| layer | keys |
|---|---|
| Conv2D, DepthwiseConv2D, Conv2DTranspose, Dense | ``name.weight``, ``name.bias`` |
| SeparableConv2D | ``name.depthwise.weight``, ``name.pointwise.weight``, ``name.bias`` |
| BatchNormalization | ``name.weight`` (gamma), ``name.bias`` (beta), ``name.running_mean``, ``name.running_var`` |
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import torch
from numpy.typing import NDArray
from torch import Tensor

from svertka.errors import UserError

Arrays = dict[str, NDArray[np.float32]]

_TORCH_NAMES = {
    "kernel": "weight",
    "bias": "bias",
    "depthwise_kernel": "depthwise.weight",
    "pointwise_kernel": "pointwise.weight",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}

_TIMEOUT = 600.0  # seconds


def read(path: Path) -> Arrays:
    """The weights of a Keras file by ``"layer/variable"``, such as ``"conv1_bn/moving_mean"``.

    Takes ``.h5`` files of Keras 1 to 3, with or without the architecture, and ``.weights.h5`` files of Keras 3. In the
    latter, variables have no names, and layers have theirs only where Keras was recent; else ``read`` calls them as the
    file does: by class and number, ``conv2d``, ``conv2d_1``, …, in the order of the layers. The state of the optimiser
    is left out.

    Nothing in the file is run, and it can name no other file. A process of its own reads it, since the HDF5 library
    crashes on some damaged files. Needs h5py.

    Raises:
        UserError: The file is missing, damaged, larger inside than outside, or none of Keras; or h5py is missing.
    """
    if importlib.util.find_spec("h5py") is None:
        raise UserError("reading weights of Keras needs h5py", where=path, mend="pip install h5py")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "weights.safetensors")
        command = [sys.executable, "-P", "-m", "svertka.zoo._hdf5", str(path), str(out)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        try:
            done = subprocess.run(command, env=environment, capture_output=True, timeout=_TIMEOUT, check=False)
        except subprocess.TimeoutExpired as error:
            raise UserError(f"not read within {_TIMEOUT:.0f} seconds", where=path) from error
        if done.returncode:
            why = done.stdout.decode(errors="replace").strip() or "the HDF5 library fails on it"
            raise UserError(f"cannot be read as weights of Keras: {why}", where=path)
        return safetensors.numpy.load_file(out)


def torch_keys(arrays: Mapping[str, NDArray[Any]]) -> dict[str, Tensor]:
    """What `read` gives, under the keys in the table above, still as Keras lays it out."""
    return {_torch_key(key, arrays): torch.from_numpy(array) for key, array in arrays.items()}


def laid_out(value: Tensor, shape: tuple[int, ...] | None) -> Tensor:
    """A tensor of Keras as PyTorch lays it out; as it is where it cannot become ``shape``.

    The shape that is wanted tells a depthwise kernel, ``(H, W, inputs, multiplier)``, from a full one,
    ``(H, W, inputs, outputs)``, and the kernel of a Dense layer from that of a 1 × 1 convolution.
    """
    candidates = [value]
    if value.ndim == 2:
        candidates = [value.T]
    elif value.ndim == 4:
        candidates = [value.permute(3, 2, 0, 1), value.permute(2, 3, 0, 1).flatten(0, 1).unsqueeze(1)]
    for candidate in candidates:
        pointwise = shape is not None and _channels(candidate.shape) == _channels(shape) is not None
        if candidate.shape == shape or pointwise:
            return candidate.reshape(shape or ()).contiguous()
    return candidates[0]


def flattened(kernel: Tensor, channels: int, height: int, width: int) -> Tensor:
    """The kernel of a Dense layer behind a Flatten, with its inputs in PyTorch's order.

    Keras flattens maps of (height, width, channels), PyTorch of (channels, height, width).

    Args:
        kernel: Shape (height × width × channels, outputs), as Keras lays it out.
        channels: Number of maps that are flattened.
        height: Of the maps, in pixels.
        width: Of the maps, in pixels.
    """
    return kernel.reshape(height, width, channels, -1).permute(2, 0, 1, 3).flatten(0, 2)


def _torch_key(key: str, arrays: Mapping[str, NDArray[Any]]) -> str:
    layer, _, variable = key.rpartition("/")
    name = _TORCH_NAMES.get(variable, variable)
    if variable == "depthwise_kernel" and f"{layer}/pointwise_kernel" not in arrays:
        name = "weight"  # a DepthwiseConv2D, before Keras 3
    return f"{layer}.{name}"


def _channels(shape: Sequence[int]) -> tuple[int, ...] | None:
    return tuple(shape[:2]) if len(shape) == 2 or (len(shape) == 4 and shape[2:] == (1, 1)) else None

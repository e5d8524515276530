"""Weights of Keras become a state dict: reading its files without Keras, naming and laying out what is in them.

`read` turns a file into arrays under ``"layer/variable"``, whatever Keras wrote it. `convert` gives every variable the
name that PyTorch has for it, applies the rules of a family (``KEYS["keras"]`` in its catalogue) and lays every array
out as our parameter of that name wants it::

    arrays = keras.read(Path("resnet50v2_weights_tf_dim_ordering_tf_kernels.h5"))
    net.load_state_dict(keras.convert(arrays, resnet_v2.KEYS["keras"], net.state_dict()))

The rules see these keys, for a layer called ``name``:

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
from svertka.zoo.renaming import rename

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


def convert(
    arrays: Mapping[str, NDArray[Any]], rules: Sequence[tuple[str, str]], like: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """A state dict of the network whose state is ``like``, from what `read` gives.

    Args:
        arrays: Array by ``"layer/variable"``.
        rules: From the keys in the table above to ours, as for `svertka.zoo.renaming.rename`.
        like: State of the network; only names and shapes are looked at, so it may be on the meta device.

    Raises:
        UserError: A variable has no place in the network, or the wrong shape for it; or one is missing.
        ValueError: Two variables become one.
    """
    renamed = rename({_torch_key(key, arrays): array for key, array in arrays.items()}, rules)
    counters = {key: torch.zeros_like(value, device="cpu") for key, value in like.items() if _is_counter(key)}
    if problems := sorted(renamed.keys() ^ (like.keys() - counters.keys())):
        what = "is not part of the network" if problems[0] in renamed else "is missing"
        raise UserError(f"{problems[0]} {what}" + (f", and {len(problems) - 1} more" if len(problems) > 1 else ""))
    state = {key: _laid_out(key, array, tuple(like[key].shape)) for key, array in renamed.items()}
    return {**state, **counters}


def flattened(kernel: NDArray[Any], channels: int, height: int, width: int) -> NDArray[Any]:
    """The kernel of a Dense layer behind a Flatten, with its inputs in PyTorch's order.

    Keras flattens maps of (height, width, channels), PyTorch of (channels, height, width). To be applied to the array,
    such as ``"fc1/kernel"`` of VGG, before `convert`.

    Args:
        kernel: Shape (height × width × channels, outputs).
        channels: Number of maps that are flattened.
        height: Of the maps, in pixels.
        width: Of the maps, in pixels.
    """
    outputs = kernel.shape[1]
    return kernel.reshape(height, width, channels, outputs).transpose(2, 0, 1, 3).reshape(-1, outputs)


def _torch_key(key: str, arrays: Mapping[str, NDArray[Any]]) -> str:
    layer, _, variable = key.rpartition("/")
    name = _TORCH_NAMES.get(variable, variable)
    if variable == "depthwise_kernel" and f"{layer}/pointwise_kernel" not in arrays:
        name = "weight"  # a DepthwiseConv2D, before Keras 3
    return f"{layer}.{name}"


def _is_counter(key: str) -> bool:
    return key.endswith("num_batches_tracked")  # Keras does not count


def _laid_out(key: str, array: NDArray[Any], shape: tuple[int, ...]) -> Tensor:
    # The shape that is wanted tells a depthwise kernel, (H, W, inputs, multiplier), from a full one, (H, W, in, out).
    candidates = [array]
    if array.ndim == 2:
        candidates = [array.T]
    elif array.ndim == 4:
        depthwise = array.transpose(2, 3, 0, 1)
        candidates = [array.transpose(3, 2, 0, 1), depthwise.reshape(-1, 1, *depthwise.shape[2:])]
    for candidate in candidates:
        same = candidate.shape == shape
        pointwise = _channels(candidate.shape) == _channels(shape) is not None  # Dense as 1 × 1 convolution, or back
        if same or pointwise:
            return torch.from_numpy(np.ascontiguousarray(candidate.reshape(shape), dtype=np.float32))
    raise UserError(f"{key} has shape {list(array.shape)}, which does not fit {list(shape)}")


def _channels(shape: tuple[int, ...]) -> tuple[int, ...] | None:
    return shape[:2] if len(shape) == 2 or (len(shape) == 4 and shape[2:] == (1, 1)) else None

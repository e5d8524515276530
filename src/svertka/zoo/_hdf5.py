"""``python -m svertka.zoo._hdf5 FILE OUT``: the weights in an HDF5 file of Keras, written as safetensors.

A program of its own, since the HDF5 library crashes on some damaged files; `svertka.zoo.keras.read` runs it. Its exit
status is not 0 where the file cannot be read, and why stands on the standard output, unless the library crashed.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

h5py: Any = importlib.import_module("h5py")

_KERAS_1_NAMES = {
    "W": "kernel",
    "b": "bias",
    "running_mean": "moving_mean",
    "running_std": "moving_variance",  # so it was called; it held the variance
}
_SPARE = 64 << 20  # bytes
_SHOWN = 300  # characters of an error, which may quote the file
_MOST_VARIABLES = 20_000
_ORDER = {
    "conv2d": ("kernel", "bias"),
    "conv2d_transpose": ("kernel", "bias"),
    "depthwise_conv2d": ("kernel", "bias"),
    "separable_conv2d": ("depthwise_kernel", "pointwise_kernel", "bias"),
    "dense": ("kernel", "bias"),
    "batch_normalization": ("gamma", "beta", "moving_mean", "moving_variance"),
}


def weights(path: Path) -> dict[str, NDArray[np.float32]]:
    """Arrays by ``"layer/variable"``.

    Raises:
        ValueError: The file has other things than plain arrays where weights should be, or no weights.
        Exception: Whatever else h5py raises of a damaged file.
    """
    arrays: dict[str, NDArray[np.float32]] = {}
    left = path.stat().st_size
    with h5py.File(path, "r") as file:
        group = _child(file, "model_weights") if "model_weights" in list(file) else file
        for key, dataset in _named(group) if _attribute(group, "layer_names") else _numbered(file):
            plain = isinstance(dataset, h5py.Dataset) and not dataset.is_virtual and not dataset.external
            if plain and dataset.dtype.kind in "iub":  # the state of random numbers
                continue
            left -= dataset.nbytes if plain else 0
            if not plain or dataset.dtype.kind != "f" or left < 0:
                raise ValueError(f"{key!r} is no plain array of this file")
            if len(arrays) >= _MOST_VARIABLES:
                raise ValueError("more variables than any network has")
            if key in arrays:
                raise ValueError(f"two variables are called {key!r}")
            arrays[key] = np.ascontiguousarray(dataset[()], dtype=np.float32)
    if not arrays:
        raise ValueError("it has no weights of Keras")
    return arrays


def _named(group: Any) -> Iterator[tuple[str, Any]]:
    # Layers and variables are listed by name in attributes.
    for layer in _attribute(group, "layer_names"):
        inside = _child(group, layer)
        names = _attribute(inside, "weight_names")
        scopes = {name.rpartition("/")[0] for name in names}
        for name in names:
            scope, _, variable = name.rpartition("/")
            # One scope is the layer's own, which TensorFlow may have numbered; several are those of a nested model.
            owner = layer if len(scopes) == 1 else scope.rpartition("/")[2]
            yield f"{owner}/{_variable(owner, variable)}", _child(inside, name)


def _numbered(file: Any) -> Iterator[tuple[str, Any]]:
    # Every layer has a group "vars" with "0", "1", …, in the order in which the class lists its variables.
    groups: list[tuple[str, Any]] = []

    def visit(name: str, item: Any) -> None:
        parts = name.split("/")
        if isinstance(item, h5py.Group) and parts[-1] == "vars" and len(parts) > 1 and parts[0] != "optimizer":
            groups.append((parts[-2], item))

    file.visititems(visit)  # sees every object once, and no links to other places
    for label, group in groups:
        kind = re.sub(r"_\d+$", "", label)
        order = _ORDER.get(kind, ())
        if kind == "batch_normalization":
            order = order[4 - len(group) :]  # without scale, or without scale and shift
        for number in range(len(group)):
            variable = order[number] if number < len(order) else number
            yield f"{_text(group.attrs.get('name', label))}/{variable}", _child(group, str(number))


def _variable(layer: str, name: str) -> str:
    name = name.removesuffix(":0").removeprefix(f"{layer}_")
    name = re.sub(r"_\d+$", "", name)
    return _KERAS_1_NAMES.get(name, name)


def _attribute(group: Any, name: str) -> list[str]:
    # Long lists are cut into name0, name1, …
    values = list(group.attrs.get(name, ()))
    number = 0
    while f"{name}{number}" in group.attrs:
        values += list(group.attrs[f"{name}{number}"])
        number += 1
    return [_text(value) for value in values]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _child(group: Any, name: str) -> Any:
    for part in name.split("/"):
        if not isinstance(group.get(part, getlink=True), h5py.HardLink):
            raise ValueError(f"{name!r} is missing, or a link to somewhere else")
        group = group[part]
    return group


def _bound_memory(size: int) -> None:
    # The library believes what a damaged file says of the lengths of texts and lists; the system does not.
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (ImportError, OSError):
        return  # not on Linux
    most = pages * resource.getpagesize() + 4 * size + _SPARE
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def main() -> None:
    """Read the first argument, write the second."""
    try:
        _bound_memory(Path(sys.argv[1]).stat().st_size)
        arrays = weights(Path(sys.argv[1]))
    except MemoryError:
        print("it would take far more memory than the file")
        sys.exit(1)
    except Exception as error:  # h5py raises what it likes
        print("".join(letter if letter.isprintable() else "?" for letter in str(error)[:_SHOWN]))
        sys.exit(1)
    safetensors.numpy.save_file(arrays, sys.argv[2])


if __name__ == "__main__":
    main()

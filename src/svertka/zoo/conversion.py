"""Other people's checkpoints: read without running anything, and given our names."""

from __future__ import annotations

import importlib
import importlib.util
import pickle
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from svertka.errors import UserError, nearest
from svertka.runtime.safetensors import read_header
from svertka.zoo import registry
from svertka.zoo.renaming import rename


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The tensors of a PyTorch (.pth, .pt, .th, .bin) or safetensors checkpoint by key, on the processor.

    A PyTorch checkpoint is read with ``weights_only=True``: it is refused if it holds anything but tensors and plain
    values. What wraps the tensors (``state_dict``, ``model``, a ``module.`` before every key) is taken off.

    Raises:
        UserError: It is damaged, holds something that could run, or no tensors.
    """
    if path.suffix == ".safetensors":
        read_header(path)
        return safetensors.torch.load_file(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on pickle protocols; what cannot be read is refused below
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UserError("no such checkpoint", where=path) from error
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, zipfile.BadZipFile, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"not a checkpoint of tensors alone ({reason})", where=path) from error
    for wrapper in ("state_dict", "model_state_dict", "model"):
        if isinstance(loaded, dict) and isinstance(loaded.get(wrapper), dict):
            loaded = loaded[wrapper]
    if not isinstance(loaded, dict):
        raise UserError("it holds no tensors by name", where=path)
    tensors = {str(name): value for name, value in loaded.items() if isinstance(value, Tensor)}
    if not tensors:
        raise UserError("it holds no tensors by name", where=path)
    if all(name.startswith("module.") for name in tensors):
        tensors = {name.removeprefix("module."): value for name, value in tensors.items()}
    return tensors


def convert(net: str, source: str, state: Mapping[str, Tensor], *, where: object = None) -> dict[str, Tensor]:
    """Tensors under the keys of ``source`` (torchvision, timm, …) become those of our network ``net``, name by name.

    Shapes are not compared: the head may be for another number of classes.

    Raises:
        UserError: There is no conversion from that source, or the keys are those of another network.
    """
    family = registry.family(net).__name__.rpartition(".")[2]
    rules = getattr(registry.family(net), "KEYS", {})
    converters = f"svertka.zoo.converters.{family}"
    function = None
    if importlib.util.find_spec(converters):
        function = getattr(importlib.import_module(converters), f"convert_{source}", None)
    try:
        if function is not None:
            converted: dict[str, Tensor] = function(state)
        elif source in rules:
            converted = rename(state, rules[source])
        else:
            raise UserError(f"{net} cannot be converted from {source!r}", mend=nearest(source, rules))
    except (KeyError, IndexError, ValueError) as error:
        raise UserError(f"a checkpoint of another network ({error!r})", where=where) from error
    # Ours count batches only where a foreign norm does; a missing counter is no weight.
    with torch.device("meta"):
        expected = registry.build(net, {}).state_dict()
    for name, tensor in expected.items():
        if name.endswith("num_batches_tracked") and name not in converted:
            converted[name] = torch.zeros(tensor.shape, dtype=tensor.dtype)
    # Auxiliary classifiers serve training from scratch only.
    kept = {name: value for name, value in converted.items() if name in expected or not name.startswith("auxiliary.")}
    problems = [f"{name} is missing" for name in expected if name not in kept]
    problems += [f"{name} is not part of {net}" for name in kept if name not in expected]
    if problems:
        raise UserError(f"a checkpoint of another network: {problems[0]}{more_like_it(problems)}", where=where)
    return kept


def more_like_it(problems: Sequence[str]) -> str:
    """How many problems there are beside the first, in words."""
    return f" and {len(problems) - 1} more like it" if len(problems) > 1 else ""

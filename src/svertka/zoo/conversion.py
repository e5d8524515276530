"""The tensors of other people's checkpoints become those of our networks."""

from __future__ import annotations

import functools
import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType, ModuleType
from typing import Any

import torch
from torch import Tensor

from svertka.errors import UserError, nearest
from svertka.zoo import keras, registry
from svertka.zoo.checkpoints import Checkpoint, Format
from svertka.zoo.modelfile import and_more
from svertka.zoo.renaming import rename
from svertka.zoo.tensors import check_plain

_FORMATS: Mapping[str, Format] = MappingProxyType(
    {"keras": "keras", "keras_large": "keras", "mlperf_tiny": "keras", "caffe": "caffe"}
)
"""Of the sources whose checkpoints are not PyTorch's."""

_COUNTER = "num_batches_tracked"
_COUNTS = MappingProxyType({"classes": 2, "in_channels": 3})
_FIRST = 3  # names that are shown of a file and of a network that do not fit
_NAME_SHOWN = 80  # characters


class MisfitError(UserError):
    """A checkpoint is not of the network it was taken for.

    Attributes:
        problems: How many tensors do not fit.
    """

    problems: int = 0


@dataclass(frozen=True)
class Converted:
    """A checkpoint as a network of ours takes it.

    Attributes:
        net: Registry name of the network.
        source: Whose names the checkpoint had.
        arguments: Constructor arguments that the weights need, among them ``classes`` and ``in_channels``.
        state: State of the network so built.
    """

    net: str
    source: str
    arguments: Mapping[str, Any]
    state: dict[str, Tensor]


def reads(source: str, checkpoint: Checkpoint) -> bool:
    """Whether checkpoints of ``source`` are in the format of this one."""
    return _FORMATS.get(source, "pytorch") == checkpoint.format


def sources(net: str) -> tuple[str, ...]:
    """Whose checkpoints can become the network ``net``, those of its published weights first."""
    family = registry.family(net)
    published = [record.source for record in getattr(family, "WEIGHTS", ()) if record.net == net]
    return tuple(dict.fromkeys([*published, *_sources(family)]))


def convert(net: str, source: str, checkpoint: Checkpoint) -> Converted:
    """The tensors of a checkpoint become those of our network ``net``, every name and shape compared.

    The numbers of classes and of the images' channels are those of the checkpoint.

    Args:
        net: Registry name.
        source: Whose checkpoint it is (torchvision, timm, keras, …), which decides how its names are read.
        checkpoint: What was read.

    Raises:
        UserError: There is no conversion from that source.
        MisfitError: The checkpoint is of another network, or of another source.
    """
    if source not in sources(net):
        raise UserError(f"{net} cannot be converted from {source!r}", mend=nearest(source, sources(net)))
    try:
        return _fitted(net, source, _renamed(registry.family(net), source, checkpoint), checkpoint)
    except MisfitError as error:
        ours = beginning(_state(net, ()))
        error.what += f"; the file begins with {beginning(checkpoint.tensors)}, {net} with {ours}"
        raise


def beginning(tensors: Mapping[str, Tensor]) -> str:
    """The names and shapes of the first tensors, to be compared by eye."""
    first = [f"{name[:_NAME_SHOWN]} {list(tensors[name].shape)}" for name in list(tensors)[:_FIRST]]
    return ", ".join([*first, "…"] if len(tensors) > _FIRST else first)


def fitting(checkpoint: Checkpoint) -> list[Converted]:
    """The networks that a checkpoint fits in every name and shape, each once. Takes seconds: all are compared."""
    found: dict[str, Converted] = {}
    for family in registry.families():
        for source in _sources(family):
            try:
                state = _renamed(family, source, checkpoint)
            except MisfitError:
                continue
            if not any(name.startswith("trunk.") for name in state):
                continue
            for net in [record.name for record in family.NETS if record.name not in found]:
                with suppress(MisfitError):
                    found[net] = _fitted(net, source, state, checkpoint)
    return list(found.values())


def _sources(family: ModuleType) -> tuple[str, ...]:
    functions = [name.removeprefix("convert_") for name in vars(_converters(family)) if name.startswith("convert_")]
    return tuple(dict.fromkeys([*getattr(family, "KEYS", {}), *functions]))


def _renamed(family: ModuleType, source: str, checkpoint: Checkpoint) -> dict[str, Tensor]:
    every = len(checkpoint.tensors)
    if not reads(source, checkpoint):
        raise _misfit(checkpoint, f"a checkpoint of {checkpoint.format}, as {source}'s are not", every)
    function: Callable[[Mapping[str, Tensor]], dict[str, Tensor]] | None
    function = getattr(_converters(family), f"convert_{source}", None)
    try:
        return function(checkpoint.tensors) if function else rename(checkpoint.tensors, family.KEYS[source])
    except (KeyError, IndexError, ValueError, RuntimeError) as error:
        how = f"a checkpoint of another network: the names in it are not those of {source}"
        raise _misfit(checkpoint, how, every) from error


def _fitted(net: str, source: str, state: Mapping[str, Tensor], checkpoint: Checkpoint) -> Converted:
    wanted = getattr(registry.family(net), "ARGUMENTS", {}).get(source, {})
    options = tuple((name, value) for name, value in wanted.items() if registry.record(net).takes(name))
    expected = _state(net, options)
    # Auxiliary classifiers serve training from scratch only.
    state = {name: value for name, value in state.items() if name in expected or not name.startswith("auxiliary.")}
    # Ours count batches only where a foreign norm does; a missing counter is no weight.
    for name, tensor in expected.items():
        if name.endswith(_COUNTER):
            state.setdefault(name, torch.zeros(tensor.shape, dtype=tensor.dtype))
    problems = [f"{name} is missing" for name in expected if name not in state]
    problems += [f"{name} is not part of {net}" for name in state if name not in expected]
    if problems:
        raise _another(checkpoint, problems)
    arguments = _measured(_telling(net, options), state, checkpoint)
    expected = _state(net, options, **arguments)
    if checkpoint.format == "keras":
        state = {name: keras.laid_out(state[name], tuple(tensor.shape)) for name, tensor in expected.items()}
    problems = [
        f"{name} is {list(state[name].shape)}, not {list(tensor.shape)}"
        for name, tensor in expected.items()
        if state[name].shape != tensor.shape
    ]
    problems += [
        f"{name} is of {state[name].dtype}, not of {tensor.dtype}".replace("torch.", "")
        for name, tensor in expected.items()
        if tensor.is_floating_point() and not state[name].is_floating_point()
    ]
    if problems:
        raise _another(checkpoint, problems)
    state = {name: state[name].to(tensor.dtype) for name, tensor in expected.items()}
    for name, value in state.items():
        check_plain(name, value, where=checkpoint.path)  # what double precision holds can be infinite in single
    return Converted(net, source, {**dict(options), **arguments}, state)


def _another(checkpoint: Checkpoint, problems: Sequence[str]) -> MisfitError:
    return _misfit(checkpoint, f"a checkpoint of another network: {and_more(problems)}", len(problems))


def _misfit(checkpoint: Checkpoint, how: str, problems: int) -> MisfitError:
    error = MisfitError(how, where=checkpoint.path)
    error.problems = problems
    return error


def _converters(family: ModuleType) -> ModuleType | object:
    name = f"svertka.zoo.converters.{family.__name__.rpartition('.')[2]}"
    return importlib.import_module(name) if importlib.util.find_spec(name) else object


def _measured(
    telling: Mapping[str, tuple[str, int]], state: Mapping[str, Tensor], checkpoint: Checkpoint
) -> dict[str, int]:
    measured = {}
    for argument, (name, axis) in telling.items():
        shape: tuple[int, ...] = tuple(state[name].shape)
        if checkpoint.format == "keras" and len(shape) == 4:
            shape = shape[3:1:-1] + shape[:2]
        if len(shape) <= axis or shape[axis] < 1:
            raise _another(checkpoint, [f"{name} is {list(shape)}"])
        measured[argument] = shape[axis]
    return measured


@functools.cache
def _telling(net: str, options: tuple[tuple[str, Any], ...]) -> dict[str, tuple[str, int]]:
    # By constructor argument, the tensor and the axis that grow with it; a bias rather than a matrix, since it has one
    # axis only.
    before = _state(net, options)
    found: dict[str, tuple[str, int]] = {}
    for argument, count in _COUNTS.items():
        after = _state(net, options, **{argument: count + 1})
        for name, tensor in sorted(before.items(), key=lambda item: item[1].ndim):
            for axis, (small, large) in enumerate(zip(tensor.shape, after[name].shape, strict=True)):
                if large == small + 1:
                    found.setdefault(argument, (name, axis))
    return found


@functools.cache
def _state(net: str, options: tuple[tuple[str, Any], ...], **arguments: int) -> dict[str, Tensor]:
    with torch.device("meta"):
        return registry.build_any(net, {**dict(options), **_COUNTS, **arguments}).state_dict()

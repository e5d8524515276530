"""Which channels of a network belong together, followed through any network as it runs.

Every channel of every tensor gets a number; where tensors are added, channels that meet become one; where they are
concatenated, padded or flattened, numbers are too. What is left is, for every entry of every weight along every axis,
the channel that it stands for. Channels that nothing holds together with the image, the logits or an operation unknown
here can be taken out, all entries of one at once.

H. Li et al., "Pruning Filters for Efficient ConvNets", 2017; G. Fang et al., "DepGraph: Towards Any Structural
Pruning", 2023, find the same by rules for pairs of layers.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from svertka.errors import UserError
from svertka.layers.net import Net
from svertka.layers.tensors import tensors_in

Numbers = NDArray[np.int64]

STAYS = -1
"""The unit of an entry that cannot be taken out."""


@dataclass
class MixingLayer:
    """A convolution or a fully connected layer as it was run for one image.

    Attributes:
        weight: Name of its weights.
        shape: Of the weights.
        inputs, outputs: Their axes, of the channels that come in and go out. Where `Channels.axes` lacks that of the
            inputs, they are taken out with the outputs, as those of a depthwise convolution are.
        positions: How often each weight is used.
        norm: Path of the normalisation right behind it; empty where there is none.
    """

    weight: str
    shape: tuple[int, ...]
    inputs: int
    outputs: int
    positions: int
    norm: str = ""


@dataclass(frozen=True)
class Channels:
    """What can be taken out of a network.

    A unit is a set of channels that can only be taken out together; it has a number from 0 on.

    Attributes:
        units: How many there are.
        groups: The units by where they stand: those of one group stand at the same places, and are of one kind.
        axes: By tensor and axis, the unit of every entry; ``STAYS`` where it cannot be taken out. An axis that is not
            here stays whole.
        layers: The layers whose multiplications count, in the order in which they first run.
        exact: Whether what is left computes the same as if the channels taken out were zero; it does not where
            neighbouring channels are normalised together.
    """

    units: int
    groups: tuple[Numbers, ...]
    axes: Mapping[str, Mapping[int, Numbers]]
    layers: tuple[MixingLayer, ...]
    exact: bool

    def kept(self, keep: NDArray[np.bool_], name: str, axis: int) -> Numbers | None:
        """The entries of an axis that are left if only the units of ``keep`` ``(units,)`` are; None for all."""
        units = self.axes.get(name, {}).get(axis)
        return None if units is None else np.flatnonzero(np.append(keep, True)[units])


class _Call(NamedTuple):
    """A function that was called."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    result: Any

    def argument(self, place: int, name: str, default: Any = None) -> Any:
        """What was given for a parameter."""
        return self.args[place] if len(self.args) > place else self.kwargs.get(name, default)


def follow_channels(net: Net, height: int, width: int) -> Channels:
    """What can be taken out of a network; one image of ``height`` × ``width`` is run for it.

    Raises:
        UserError: A part of the network does not run when it predicts, so that nothing is known of its channels.
    """
    training = net.training
    image = torch.zeros(1, net.in_channels, height, width, device=next(net.parameters()).device)
    follow = FollowChannels(net.eval(), image)
    try:
        with torch.inference_mode(), follow:
            outputs = net.outputs(image)
        return follow.channels(outputs.values())
    finally:
        net.train(training)


class FollowChannels(TorchFunctionMode):
    """Within, the channels of every tensor that comes of ``image`` are followed; `channels` gives what was found.

    Args:
        net: The network that is run within.
        image: Its input, ``(1, C, H, W)``.
    """

    def __init__(self, net: nn.Module, image: Tensor) -> None:
        super().__init__()
        state = itertools.chain(net.named_parameters(), net.named_buffers())
        self._names = {id(value): name for name, value in state}
        self._parameters = [name for name, value in net.named_parameters() if value.ndim]
        self._used: set[str] = set()
        self._parents: list[int] = []
        self._staying: list[int] = []
        # By identity, each with its tensor, for an id is free to be used again once a tensor is gone.
        self._known: dict[int, tuple[Tensor, Numbers]] = {}
        self._made_by: dict[int, str] = {}
        self._axes: dict[str, dict[int, Numbers]] = {}
        self._layers: dict[str, MixingLayer] = {}
        self._exact = True
        self._known[id(image)] = image, self._stay(self._fresh(image.shape[1]))

    def channels(self, outputs: Iterable[Tensor]) -> Channels:
        """What can be taken out.

        Args:
            outputs: Of the network, all of whose channels stay.

        Raises:
            UserError: A part of the network did not run.
        """
        for value in outputs:
            self._stay(self._of(value))
        idle = [name for name in self._parameters if name not in self._used]
        if idle:
            raise UserError(
                f"{idle[0].rpartition('.')[0]} takes no part in predictions, so nothing is known of its channels",
                mend="build the network without it, such as without an auxiliary classifier",
            )
        roots = np.array([self._root(number) for number in range(len(self._parents))], np.int64)
        stays = np.zeros(len(roots), bool)
        stays[roots[self._staying]] = True
        made = [self._axes[layer.weight].get(layer.outputs) for layer in self._layers.values()]
        found = np.unique(roots[np.concatenate([ids for ids in made if ids is not None])]) if made else roots[:0]
        units = np.full(len(roots), STAYS)
        free = found[~stays[found]]
        units[free] = np.arange(len(free))
        axes = {
            name: {axis: units[roots[ids]] for axis, ids in by_axis.items()} for name, by_axis in self._axes.items()
        }
        groups = _groups(len(free), axes)
        return Channels(len(free), groups, axes, tuple(self._layers.values()), self._exact)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        given = tensors_in((args, kwargs))
        sources = [value for value in given if id(value) in self._known]
        self._used.update(self._names[id(value)] for value in given if id(value) in self._names)
        result = func(*args, **kwargs)
        made = tensors_in(result)
        if not sources or (result is not None and not made):  # nothing of the image, or no more than its shape
            return result
        rule = _RULES.get(getattr(func, "__name__", "").strip("_"))
        followed = rule(self, _Call(args, kwargs, result)) if rule else None
        if followed is None:  # what it does with channels is not known: they stay, and so do those it gives
            for value in sources:
                self._stay(self._of(value))
            followed = [self._stay(self._fresh(value.shape[1] if value.ndim > 1 else 0)) for value in made]
        for value, numbers in zip(made, followed, strict=True):
            if len(numbers):
                self._known[id(value)] = value, numbers
        return result

    # Numbers of channels

    def _fresh(self, count: int) -> Numbers:
        start = len(self._parents)
        self._parents += range(start, start + count)
        return np.arange(start, start + count)

    def _stay(self, numbers: Numbers) -> Numbers:
        self._staying += numbers.tolist()
        return numbers

    def _of(self, value: Tensor) -> Numbers:
        found = self._known.get(id(value))
        return found[1] if found else np.zeros(0, np.int64)

    def _root(self, number: int) -> int:
        parents = self._parents
        while parents[number] != number:
            parents[number] = number = parents[parents[number]]
        return number

    def _tie(self, some: Numbers, others: Numbers) -> None:
        for one, other in zip(some.tolist(), others.tolist(), strict=True):
            if one != other:
                self._parents[self._root(other)] = self._root(one)

    def _put(self, value: Tensor | None, axis: int, numbers: Numbers) -> None:
        """Entries of a parameter or buffer along an axis stand for these channels."""
        name = None if value is None else self._names.get(id(value))
        if name is None:
            return
        before = self._axes.setdefault(name, {}).setdefault(axis, numbers)
        self._tie(before, numbers)  # a layer that is run twice

    # What functions do with channels: rules from a call to the numbers of every tensor made; None where not known

    def _unchanged(self, call: _Call) -> list[Numbers] | None:
        x = call.args[0]
        return [self._of(x)] if id(x) in self._known and _same_channels(x, call.result) else None

    def _converted(self, call: _Call) -> list[Numbers] | None:
        return [self._of(call.args[0])]  # what is converted may only take the type of something that is followed

    def _neighbours(self, call: _Call) -> list[Numbers] | None:
        self._exact = False
        return self._unchanged(call)

    def _elementwise(self, call: _Call) -> list[Numbers] | None:
        tensors = [value for value in call.args[:2] if isinstance(value, Tensor) and value.numel() > 1]
        if not all(id(value) in self._known and _same_channels(value, call.result) for value in tensors) or not tensors:
            return None
        for other in tensors[1:]:
            self._tie(self._of(tensors[0]), self._of(other))
        return [self._of(tensors[0])]

    def _mean(self, call: _Call) -> list[Numbers] | None:
        dims = call.argument(1, "dim")
        over = {axis % call.args[0].ndim for axis in ([dims] if isinstance(dims, int) else dims or [0])}
        return self._unchanged(call) if min(over) > 1 else None

    def _flattened(self, call: _Call) -> list[Numbers] | None:
        if call.argument(1, "start_dim", 0) != 1 or call.result.ndim != 2:
            return None
        return [np.repeat(self._of(call.args[0]), math.prod(call.args[0].shape[2:]))]

    def _concatenated(self, call: _Call) -> list[Numbers] | None:
        if call.argument(1, "dim", 0) != 1:
            return None
        parts = [self._of(x) if id(x) in self._known else self._stay(self._fresh(x.shape[1])) for x in call.args[0]]
        return [np.concatenate(parts)]

    def _split(self, call: _Call) -> list[Numbers] | None:
        if call.argument(2, "dim", 0) != 1:
            return None
        ends = np.cumsum([piece.shape[1] for piece in call.result])
        return np.split(self._of(call.args[0]), ends[:-1])

    def _sliced(self, call: _Call) -> list[Numbers] | None:
        index = call.args[1] if isinstance(call.args[1], tuple) else (call.args[1],)
        if not all(isinstance(part, slice) for part in index) or index[0] != slice(None):
            return None
        return [self._of(call.args[0])[index[1]] if len(index) > 1 else self._of(call.args[0])]

    def _padded(self, call: _Call) -> list[Numbers] | None:
        pad = call.argument(1, "pad")
        numbers = self._of(call.args[0])
        if call.args[0].ndim != 4 or len(pad) > 6:
            return None
        if len(pad) == 6:  # how many are added is written in the network, so those stay
            before, after = (self._stay(self._fresh(count)) for count in pad[4:])
            numbers = np.concatenate([before, numbers, after])
        return [numbers]

    def _selected(self, call: _Call) -> list[Numbers] | None:
        return self._unchanged(call) if call.argument(1, "dim", 0) > 1 else None

    def _normalised(self, call: _Call) -> list[Numbers] | None:
        numbers = self._of(call.args[0])
        for place, name in enumerate(("running_mean", "running_var", "weight", "bias"), start=1):
            self._put(call.argument(place, name), 0, numbers)
        mean = self._names.get(id(call.argument(1, "running_mean")), "")
        layer = self._layers.get(self._made_by.get(id(call.args[0]), ""))
        if layer is not None:
            layer.norm = mean.rpartition(".")[0]
        return [numbers]

    def _sloped(self, call: _Call) -> list[Numbers] | None:
        weight = call.argument(1, "weight")
        if weight.numel() > 1:
            self._put(weight, 0, self._of(call.args[0]))
        return [self._of(call.args[0])]

    def _linear(self, call: _Call) -> list[Numbers] | None:
        if call.args[0].ndim != 2:
            return None
        return self._mixed(call, groups=1, transposed=False, positions=1)

    def _convolved(self, call: _Call) -> list[Numbers] | None:
        groups = call.argument(6, "groups", 1)
        positions = math.prod(call.result.shape[2:])
        return self._mixed(call, groups=groups, transposed=False, positions=positions)

    def _transposed(self, call: _Call) -> list[Numbers] | None:
        groups = call.argument(6, "groups", 1)
        positions = math.prod(call.args[0].shape[2:])
        return self._mixed(call, groups=groups, transposed=True, positions=positions)

    def _mixed(self, call: _Call, *, groups: int, transposed: bool, positions: int) -> list[Numbers] | None:
        weight, bias = call.argument(1, "weight"), call.argument(2, "bias")
        inputs = self._of(call.args[0])
        if id(call.args[0]) not in self._known:
            return None
        name = self._names.get(id(weight))
        if name is None:  # a kernel that is computed: as wide as it has to be, if it does not mix
            return [inputs] if groups == len(inputs) == call.result.shape[1] else None
        outputs = self._fresh(call.result.shape[1])
        came, went = inputs.reshape(groups, -1), outputs.reshape(groups, -1)
        # Many small groups, of which depthwise convolutions are the extreme, lose some of them; a few large ones all
        # stay, and lose the same places each.
        whole = 1 < groups >= came.shape[1]
        if whole:
            for place in (*came.T, *went.T):
                self._tie(came[:, 0], place)
        else:
            for group in range(1, groups):
                self._tie(came[0], came[group])
                self._tie(went[0], went[group])
        axes = {1: went[0], 0: inputs} if transposed else {0: outputs, 1: came[0]}
        if whole:
            del axes[1]
        for axis, numbers in axes.items():
            self._put(weight, axis, numbers)
        self._put(bias, 0, outputs)
        if name in self._layers:
            self._layers[name].positions += positions
        else:
            inner, outer = (0, 1) if transposed and not whole else (1, 0)
            self._layers[name] = MixingLayer(name, tuple(weight.shape), inner, outer, positions)
        self._made_by[id(call.result)] = name
        return [outputs]


def _same_channels(x: Tensor, result: Tensor) -> bool:
    return x.ndim > 1 and result.ndim > 1 and x.shape[1] == result.shape[1]


def _groups(count: int, axes: Mapping[str, Mapping[int, Numbers]]) -> tuple[Numbers, ...]:
    places: list[list[int]] = [[] for _ in range(count)]
    every = (units for by_axis in axes.values() for units in by_axis.values())
    for place, units in enumerate(every):
        for unit in np.unique(units[units != STAYS]).tolist():
            places[unit].append(place)
    found: dict[tuple[int, ...], list[int]] = {}
    for unit, where in enumerate(places):
        found.setdefault(tuple(where), []).append(unit)
    return tuple(np.array(units, np.int64) for units in found.values())


# By the name of the function, since PyTorch has most of them in several places. None that is not here is thought
# harmless.
_UNCHANGED = (
    *("relu", "relu6", "hardtanh", "leaky_relu", "elu", "celu", "selu", "gelu", "silu", "mish", "sigmoid", "tanh"),
    *("hardswish", "hardsigmoid", "softplus", "clamp", "dropout", "dropout2d", "contiguous", "clone", "detach"),
    *("max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool2d", "interpolate"),
)
_ELEMENTWISE = (
    *("add", "radd", "iadd", "sub", "rsub", "isub", "mul", "rmul", "imul", "div", "truediv", "maximum", "minimum"),
)
_RULES: dict[str, Callable[[FollowChannels, _Call], list[Numbers] | None]] = {
    **dict.fromkeys(_UNCHANGED, FollowChannels._unchanged),
    **dict.fromkeys(_ELEMENTWISE, FollowChannels._elementwise),
    **dict.fromkeys(("to", "float", "type"), FollowChannels._converted),
    "local_response_norm": FollowChannels._neighbours,
    "mean": FollowChannels._mean,
    "flatten": FollowChannels._flattened,
    "cat": FollowChannels._concatenated,
    "split": FollowChannels._split,
    "getitem": FollowChannels._sliced,
    "pad": FollowChannels._padded,
    "index_select": FollowChannels._selected,
    "batch_norm": FollowChannels._normalised,
    "prelu": FollowChannels._sloped,
    "linear": FollowChannels._linear,
    "conv2d": FollowChannels._convolved,
    "conv_transpose2d": FollowChannels._transposed,
}

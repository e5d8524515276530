"""What is read of a network while it takes a step: norms, updates, units. Nothing that it computes is changed."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable, Sequence, Set
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

_LAYERS = 24  # nonlinearities that are looked at, and normalisations
_NEAR = {nn.Sigmoid: (0.5, 0.47), nn.Tanh: (0.0, 0.97)}
"""Middle of the range, and the distance from it beyond which a unit passes on hardly any gradient."""

_DEAD = (nn.ReLU, nn.ReLU6)
_UNITS = (nn.ReLU, nn.ReLU6, nn.Sigmoid, nn.Tanh)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


class Gauges:
    """Reads a network while it takes one step.

    Args:
        net: The network.
        own: Parameters that its steps move, where others move the rest of it: only stages with some of these are read,
            and no units of parts that have others alone.

    Attributes:
        spent: Seconds that reading has taken.
        reading: Whether a step is being read.
    """

    def __init__(self, net: nn.Module, own: Iterable[nn.Parameter] | None = None) -> None:
        self.net = net
        self.spent = 0.0
        self.reading = False
        chosen = {id(parameter) for parameter in (net.parameters() if own is None else own)}
        found = {name: [w for w in _weights(stage) if id(w) in chosen] for name, stage in _stages(net)}
        self._stages = {name: weights for name, weights in found.items() if weights}
        foreign = _foreign(net, chosen)
        named = [(name, layer) for name, layer in net.named_modules() if name.partition(".")[0] not in foreign]
        self._units = _some([(name, layer) for name, layer in named if isinstance(layer, _UNITS)])
        self._norms = _some([(name, layer) for name, layer in named if isinstance(layer, _NORMS)])
        self._handles: list[RemovableHandle] = []
        self._copies: dict[str, list[Tensor]] = {}
        self._output: Tensor | None = None
        self._read: dict[str, Any] = {}

    @property
    def stages(self) -> dict[str, tuple[int, int]]:
        """By stage, the number of its weights (not of biases), and how many of them learn."""
        return {
            name: (
                sum(weight.numel() for weight in weights),
                sum(weight.numel() for weight in weights if weight.requires_grad),
            )
            for name, weights in self._stages.items()
        }

    @property
    def norms(self) -> int:
        """How many normalisations go by the batch."""
        return sum(layer.training and bool(layer.track_running_stats) for _, layer in self._norms)

    def begin(self) -> None:
        """Read the step that begins now."""
        started = time.perf_counter()
        self.reading = True
        self._read = {"dead": {}, "saturated": {}, "drift": {}}
        self._copies = {name: [weight.detach().clone() for weight in self._learning(name)] for name in self._stages}
        self._handles = [self.net.register_forward_hook(self._keep_output)]
        for name, layer in self._units:
            if isinstance(layer, _DEAD):
                self._handles.append(layer.register_forward_hook(functools.partial(self._timed, self._dead, name)))
            else:
                self._handles.append(layer.register_forward_hook(functools.partial(self._timed, self._saturated, name)))
        for name, layer in self._norms:
            if layer.training and layer.track_running_stats:
                self._handles.append(layer.register_forward_hook(functools.partial(self._timed, self._drift, name)))
        self.spent += time.perf_counter() - started

    @torch.no_grad()
    def batch(self, inputs: Tensor, targets: Tensor, *, exclusive: bool) -> None:
        """What went in and came out; of the first batch of the step alone."""
        started = time.perf_counter()
        self._unhook()
        values = inputs.float()
        deviation, mean = torch.std_mean(values, correction=0)
        low, high = torch.aminmax(values)
        self._read["inputs"] = torch.stack([mean, deviation, low, high]).tolist()
        output = self._output
        if output is not None and exclusive and output.ndim == 2 and output.shape[1] > 1:
            logits = output.float()
            classes = targets if targets.ndim == 1 else targets.argmax(dim=1)
            guesses = logits.argmax(dim=1)
            counts = torch.bincount(guesses, minlength=logits.shape[1])
            sums = logits.sum(dim=1)
            told = [
                (guesses == classes).float().mean(),
                counts.max() / len(guesses),
                F.cross_entropy(logits, targets),
                logits.min(),
                (sums - 1).abs().max(),
            ]
            names = ("accuracy", "top", "cross_entropy", "least", "off_one")
            self._read |= dict(zip(names, torch.stack([value.float() for value in told]).tolist(), strict=True))
        self._output = None
        self.spent += time.perf_counter() - started

    @torch.no_grad()
    def gradients(self) -> None:
        """The gradients by stage, complete and not clipped yet."""
        started = time.perf_counter()
        self._read["gradient"] = {
            name: _norm([weight.grad for weight in self._learning(name) if weight.grad is not None])
            for name in self._stages
        }
        self.spent += time.perf_counter() - started

    @torch.no_grad()
    def end(self) -> dict[str, Any]:
        """All that was read, now that the weights have moved.

        By stage: ``weight`` and ``gradient``, Euclidean norms, and ``update``, the norm of the movement as a share of
        that of the weights. By layer: ``dead``, the share of its units that gave nothing for the whole batch;
        ``saturated``, the share of outputs at the ends of the range; ``drift``, how far the batch's means are from the
        running ones, in running deviations. Of the batch: ``inputs``, mean, deviation, least and largest; ``accuracy``;
        ``top``, the share of the class that was guessed most; ``cross_entropy``; the ``least`` output, and how far the
        outputs of an image are from a sum of one, ``off_one``.
        """
        started = time.perf_counter()
        self._unhook()
        weight, update = {}, {}
        for name, copies in self._copies.items():
            now = [value.detach() for value in self._learning(name)]
            weight[name] = _norm(copies) if copies else _norm([value.detach() for value in self._stages[name]])
            update[name] = _norm(torch._foreach_sub(now, copies)) / max(weight[name], 1e-30) if copies else 0.0
        self._copies = {}
        read = {**self._read, "weight": weight, "update": update}
        for kind in ("dead", "saturated", "drift"):
            values = read[kind]
            read[kind] = dict(zip(values, torch.stack(list(values.values())).tolist(), strict=True)) if values else {}
        self._read, self.reading = {}, False
        self.spent += time.perf_counter() - started
        return read

    def _learning(self, stage: str) -> list[Tensor]:
        return [weight for weight in self._stages[stage] if weight.requires_grad]

    def _unhook(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def _keep_output(self, net: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        del net, inputs
        self._output = output.detach() if isinstance(output, Tensor) else None

    def _timed(
        self,
        look: Callable[[str, nn.Module, Tensor, Tensor], None],
        name: str,
        layer: nn.Module,
        inputs: tuple[Tensor, ...],
        output: Tensor,
    ) -> None:
        started = time.perf_counter()
        with torch.no_grad():
            look(name, layer, inputs[0].detach(), output.detach())
        self.spent += time.perf_counter() - started

    def _dead(self, name: str, layer: nn.Module, inputs: Tensor, output: Tensor) -> None:
        del layer, inputs
        largest = output.amax(dim=[axis for axis in range(output.ndim) if axis != 1])
        self._read["dead"][name] = (largest <= 0).float().mean()

    def _saturated(self, name: str, layer: nn.Module, inputs: Tensor, output: Tensor) -> None:
        del inputs
        middle, far = next(ends for kind, ends in _NEAR.items() if isinstance(layer, kind))
        self._read["saturated"][name] = ((output.float() - middle).abs() > far).float().mean()

    def _drift(self, name: str, layer: nn.Module, inputs: Tensor, output: Tensor) -> None:
        del output
        assert isinstance(layer, _NORMS)
        assert layer.running_mean is not None
        assert layer.running_var is not None
        mean = inputs.float().mean(dim=[axis for axis in range(inputs.ndim) if axis != 1])
        apart = (mean - layer.running_mean).abs() / (layer.running_var + layer.eps).sqrt()
        self._read["drift"][name] = apart.mean()


def _stages(net: nn.Module) -> list[tuple[str, nn.Module]]:
    """The stages of the trunk, then the other parts of the network; the network itself where it has no parts."""
    found = []
    for name, part in net.named_children():
        found += list(part.named_children()) if name == "trunk" else [(name, part)]
    return found or [("net", net)]


def _foreign(net: nn.Module, own: Set[int]) -> set[str]:
    """The parts of a network that have parameters, but none of these."""
    ids = {name: {id(parameter) for parameter in part.parameters()} for name, part in net.named_children()}
    return {name for name, found in ids.items() if found and not found & own}


def _weights(stage: nn.Module) -> list[Tensor]:
    # Matrices and kernels: biases begin at nought, so that nothing can be said of how much of them moves.
    return [weight for weight in stage.parameters() if weight.ndim > 1]


def _some(layers: list[tuple[str, nn.Module]]) -> list[tuple[str, nn.Module]]:
    step = max(1, -(-len(layers) // _LAYERS))
    return layers[::step]


def _norm(tensors: Sequence[Tensor]) -> float:
    if not tensors:
        return 0.0
    return float(torch.stack(torch._foreach_norm(list(tensors))).float().norm())

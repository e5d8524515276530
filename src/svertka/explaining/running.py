"""Running a network for what happens inside it, whatever state it is in: frozen, training, loaded in inference mode."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

Forward = Callable[[Tensor], Any]
"""Runs a module: a tensor comes, or what a network that finds boxes says."""

Target = Callable[[Any], Tensor]
"""From a layer's output, first axis N, to the score ``(N,)`` that is explained: `svertka.explaining.targets`."""

Advance = Callable[[int, int], None]
"""Told how many of how many are done."""


class _ReachedError(Exception):
    """The layer that was asked for has run."""


@contextmanager
def at_rest(module: nn.Module, changed: Mapping[str, Tensor] | None = None) -> Iterator[Forward]:
    """Within, ``module`` is in evaluation mode, and what this gives runs it so that gradients reach the images.

    None reaches a parameter, so that it does not matter which are frozen; nor does it whether the module was made in
    inference mode, or whether the caller is in it. Nothing of the module changes, but for its mode, which comes back.

    Args:
        module: The network.
        changed: Parameters and buffers, by name, to be used in place of its own.
    """
    modes = [(part, part.training) for part in module.modules()]
    with torch.inference_mode(False), torch.enable_grad():
        named = itertools.chain(module.named_parameters(), module.named_buffers())
        state = {name: usable(value) for name, value in named} | dict(changed or {})

        def forward(images: Tensor) -> Any:
            return torch.func.functional_call(module, state, (images,))

        for part, _ in modes:
            part.training = False  # not by train, which a trunk with frozen stages has its own of
        try:
            yield forward
        finally:
            for part, mode in modes:
                part.training = mode


def usable(value: Tensor) -> Tensor:
    """The tensor without its history; a copy of one that was made in inference mode, of which none can be kept."""
    return value.clone() if value.is_inference() else value.detach()


def run_to(forward: Forward, layer: nn.Module, images: Tensor) -> Any:
    """The output of ``layer``; nothing behind it is run, so nothing can change it in place.

    Raises:
        ValueError: The layer takes no part.
    """
    found: list[Any] = []

    def keep(_: nn.Module, inputs: object, output: Any) -> None:
        del inputs
        found.append(output)
        raise _ReachedError

    hook = layer.register_forward_hook(keep)
    try:
        forward(images)
    except _ReachedError:
        return found[0]
    finally:
        hook.remove()
    raise ValueError("the layer takes no part in what the module gives")


def run_through(forward: Forward, layer: nn.Module, images: Tensor) -> tuple[Any, Tensor]:
    """The output of the module, and that of ``layer`` as a leaf of its graph: no gradient is taken farther back.

    Raises:
        ValueError: The layer takes no part.
    """
    found: list[Tensor] = []

    def cut(_: nn.Module, inputs: object, output: Tensor) -> Tensor:
        del inputs
        found.append(output.detach().requires_grad_())
        return found[-1].clone()  # what follows may work in place

    hook = layer.register_forward_hook(cut)
    try:
        output = forward(images)
    finally:
        hook.remove()
    if not found:
        raise ValueError("the layer takes no part in what the module gives")
    return output, found[-1]


def gradient_of(forward: Forward, layer: nn.Module, target: Target, images: Tensor) -> Tensor:
    """The gradient of the target, which reads the output of ``layer``, with respect to images ``(N, C, H, W)``."""
    leaf = usable(images).requires_grad_()
    # A layer that works in place may be the first.
    score = target(run_to(forward, layer, leaf.clone()))
    (gradient,) = torch.autograd.grad(score.sum(), leaf, allow_unused=True, materialize_grads=True)
    return gradient


def score_of(forward: Forward, layer: nn.Module, target: Target, images: Tensor) -> Tensor:
    """The target, ``(N,)``, without gradients."""
    with torch.no_grad():
        return target(run_to(forward, layer, usable(images)))


def observe(
    module: nn.Module,
    watched: Sequence[tuple[nn.Module, Callable[[Tensor], None]]],
    batches: Iterable[Tensor],
    *,
    advance: Callable[[int], None] | None = None,
) -> None:
    """Run all batches once, and show the outputs of layers to whoever watches them, as `as_maps` has them.

    What is shown is only lent: a layer behind may change it in place, and nothing is kept of it here.

    Args:
        module: The network.
        watched: Layers, and who watches each.
        batches: Images ``(N, C, H, W)``.
        advance: Told after every batch of how many images it was.
    """

    def shown(watch: Callable[[Tensor], None]) -> Callable[[nn.Module, object, Tensor], None]:
        def show(_: nn.Module, inputs: object, output: Tensor) -> None:
            del inputs
            watch(as_maps(output.detach()))

        return show

    hooks = [layer.register_forward_hook(shown(watch)) for layer, watch in watched]
    try:
        with at_rest(module) as forward, torch.no_grad():
            for batch in batches:
                # With channels last, convolutions of a few channels a group take half the time on a processor.
                forward(usable(batch).contiguous(memory_format=torch.channels_last))
                if advance:
                    advance(len(batch))
    finally:
        for hook in hooks:
            hook.remove()


def as_maps(output: Tensor) -> Tensor:
    """The output of a layer as maps ``(N, C, H, W)``: vectors ``(N, C)`` are of one position."""
    return output if output.ndim == 4 else output.flatten(1)[..., None, None]

"""Taking channels out of a network: what it then costs, and the narrower network that computes the same."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from svertka.layers.channels import Channels
from svertka.layers.net import Net
from svertka.layers.widths import Widths, set_widths

Keep = NDArray[np.bool_]
"""By unit of `Channels`, whether it is kept."""

_AGREE = 1e-4  # of the largest output

AnyNet = TypeVar("AnyNet", bound=Net)


def macs(channels: Channels, keep: Keep) -> int:
    """Multiply-accumulate operations for one image of the size at which channels were followed."""
    total = 0
    for layer in channels.layers:
        count = layer.positions
        for axis, size in enumerate(layer.shape):
            kept = channels.kept(keep, layer.weight, axis)
            count *= size if kept is None else len(kept)
        total += count
    return total


def without(net: nn.Module, channels: Channels, keep: Keep) -> dict[str, Tensor]:
    """Weights by name with which ``net`` computes as if the channels that are not kept were zero.

    They are those of the layers that read these channels, with zeros where they do.
    """
    found = {}
    for layer in channels.layers:
        kept = channels.kept(keep, layer.weight, layer.inputs)
        if kept is None or len(kept) == layer.shape[layer.inputs]:
            continue
        read = torch.zeros([size if axis == layer.inputs else 1 for axis, size in enumerate(layer.shape)])
        read.index_fill_(layer.inputs, torch.from_numpy(kept), 1.0)
        found[layer.weight] = net.get_parameter(layer.weight).detach() * read
    return found


def thinned(net: AnyNet, channels: Channels, keep: Keep) -> tuple[AnyNet, dict[str, list[int | None]]]:
    """A copy of ``net`` that has the channels that are kept only, and its widths, to build it again."""
    state = {}
    for name, value in net.state_dict().items():
        for axis in range(value.ndim):
            kept = channels.kept(keep, name, axis)
            if kept is not None and len(kept) < value.shape[axis]:
                value = value.index_select(axis, torch.from_numpy(kept))
        state[name] = value
    widths = _widths(net, channels, state)
    narrow = copy.deepcopy(net)
    set_widths(narrow, widths)
    narrow.load_state_dict(state)
    return narrow, widths


def merged(before: Widths, after: Widths) -> dict[str, list[int | None]]:
    """The widths of a network that was made narrower twice."""
    found = {path: list(width) for path, width in before.items()}
    for path, width in after.items():
        earlier = found.get(path, [None] * len(width))
        found[path] = [now if now is not None else then for now, then in zip(width, earlier, strict=True)]
    return found


def prove(net: Net, narrow: Net, channels: Channels, keep: Keep, images: Tensor) -> None:
    """See that the narrow network computes what the whole one does without the channels that are not kept.

    Where neighbouring channels are normalised together it does not, and nothing is compared.

    Raises:
        RuntimeError: It does not.
    """
    if not channels.exact:
        return
    with torch.no_grad():
        expected = torch.func.functional_call(net.eval(), without(net, channels, keep), (images,))
        difference = (narrow.eval()(images) - expected).abs().max()
    if not difference <= _AGREE * expected.abs().max().clamp(min=1):
        raise RuntimeError(
            f"the narrow network differs by {float(difference):.2g}; this is a fault of svertka, please report it"
        )


def measure_statistics(net: nn.Module, batches: Iterable[Tensor]) -> None:
    """Let normalisations go by mean and variance of these images, all batches counting alike; in place.

    Args:
        net: The network, in evaluation mode afterwards.
        batches: Images ``(N, C, H, W)``.
    """
    net.eval()
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean of all
        norm.training = True
    try:
        with torch.no_grad():
            for images in batches if norms else ():
                net(images)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.training = False


def _widths(net: nn.Module, channels: Channels, state: dict[str, Tensor]) -> dict[str, list[int | None]]:
    grouped = {layer.weight for layer in channels.layers if layer.inputs not in channels.axes[layer.weight]}
    found: dict[str, list[int | None]] = {}
    for path, module in net.named_modules():
        name = f"{path}.weight"
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            inputs, outputs, groups = _of_convolution(module, state[name], by_groups=name in grouped)
            was, now = [module.in_channels, module.out_channels, module.groups], [inputs, outputs, groups]
            if module.groups == 1:
                del was[2], now[2]
        elif isinstance(module, nn.Linear):
            was, now = [module.in_features, module.out_features], list(state[name].shape[::-1])
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            was, now = [module.num_features] * 2, [len(state[f"{path}.running_mean"])] * 2
        elif isinstance(module, nn.PReLU):
            was, now = [module.num_parameters] * 2, [len(state[name])] * 2
        else:
            continue
        if was != now:
            found[path] = [None if before == after else after for before, after in zip(was, now, strict=True)]
    return found


def _of_convolution(module: nn.Conv2d | nn.ConvTranspose2d, weight: Tensor, *, by_groups: bool) -> tuple[int, int, int]:
    """Channels that come in and go out, and groups, of a convolution that is left with these weights."""
    first, second = weight.shape[:2]
    groups = module.groups
    if by_groups:
        groups = first // (module.weight.shape[0] // groups)
    if isinstance(module, nn.ConvTranspose2d):
        return first, second * groups, groups
    return second * groups, first, groups

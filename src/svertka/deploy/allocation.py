"""How many channels each layer gives up so that a network comes down to a share of its operations."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from svertka.deploy.importance import Importance
from svertka.deploy.thinning import Keep, macs, without
from svertka.errors import UserError
from svertka.layers.channels import Channels

_MOST = 0.8  # of a group's channels that may go
_BLOCK = 8  # channels; processors take them in blocks of so many, and leave the rest of the last one idle
_PROBE = 0.25  # of a group's channels that go to see how much that harms
_STEPS = 60  # of bisection
_HARMLESS = 1e-3  # of the largest harm; less cannot be told from nothing

Values = NDArray[np.float64]
"""By group of `Channels`: how much may go of it, relative to the others."""


def alike(channels: Channels) -> Values:
    """Every group gives up the same share."""
    return np.ones(len(channels.groups))


def by_sensitivity(
    net: nn.Module,
    channels: Channels,
    importance: Importance,
    loss: Callable[[Mapping[str, Tensor]], float],
    advance: Callable[[int, int], None],
) -> Values:
    """A group gives up the more, the more operations that saves and the less it harms.

    If the loss rises by h · r² as the share r of a group goes, which saves m · r operations, then most is saved for
    the same harm where r is proportional to m / h. Both are measured by taking out a quarter of each group alone.

    Args:
        net: The network.
        channels: Of the network.
        importance: Of its units.
        loss: Of the network with these parameters in place of its own.
        advance: Told how many of how many groups have been tried.
    """
    everything = np.ones(channels.units, bool)
    whole, cost = loss({}), macs(channels, everything)
    harms, savings = [], []
    for number, group in enumerate(channels.groups, start=1):
        keep = everything.copy()
        keep[_least(group, importance, math.ceil(_PROBE * (len(group) - 1)))] = False
        savings.append(cost - macs(channels, keep))
        harms.append(loss(without(net, channels, keep)) - whole)
        advance(number, len(channels.groups))
    harm = np.maximum(harms, _HARMLESS * max(max(harms, default=0.0), 1e-12))
    # Where a look is had at few images, chance makes some groups look harmless: the root keeps that within bounds.
    return np.asarray(np.sqrt(np.maximum(savings, 1) / harm))


def allocate(channels: Channels, importance: Importance, values: Values, share: float) -> Keep:
    """What is kept so that ``share`` of the operations are left: of each group, its most important units.

    Groups lose what ``values`` says, up to four fifths; what is left of wide ones is a multiple of 8 channels.

    Args:
        channels: Of a network.
        importance: Of its units.
        values: How much each group loses beside the others.
        share: Of the multiply-accumulate operations, above 0 and at most 1.

    Raises:
        UserError: So few cannot be reached.
    """
    wanted = share * macs(channels, np.ones(channels.units, bool))
    widths = _widths(channels)

    def kept(strength: float) -> Keep:
        keep = np.ones(channels.units, bool)
        for group, value, width in zip(channels.groups, values, widths, strict=True):
            left = _count(len(group), width, min(_MOST, strength * value))
            keep[_least(group, importance, len(group) - left)] = False
        return keep

    most = _MOST / float(values.min()) if len(values) else 0.0
    least = most
    reachable = macs(channels, kept(most)) / max(macs(channels, kept(0.0)), 1)
    if reachable > share:
        raise UserError(
            f"channels can be taken out down to {reachable:.0%} of the operations, not to {share:.0%}",
            mend="give a larger share",
        )
    low = 0.0
    for _ in range(_STEPS):
        middle = math.sqrt(low * least) if low else least / 2
        if macs(channels, kept(middle)) <= wanted:
            least = middle
        else:
            low = middle
    keep = kept(least)
    # Groups of one width come to their next multiple of 8 together: those that need not are given theirs back.
    given_back = []
    for group, width in zip(channels.groups, widths, strict=True):
        gone = group[~keep[group]]
        given_back.append(gone[np.argsort(-importance[gone], kind="stable")[: _block(len(group), width)]])
    for units in sorted(given_back, key=lambda units: -float(importance[units].sum())):
        keep[units] = True
        if macs(channels, keep) > wanted:
            keep[units] = False
    return keep


def _least(group: NDArray[np.int64], importance: Importance, count: int) -> NDArray[np.int64]:
    return group[np.argsort(importance[group], kind="stable")[:count]]


def _widths(channels: Channels) -> list[int]:
    """Of how many channels of a layer a unit of each group consists, at most."""
    widest = np.ones(channels.units, np.int64)
    for layer in channels.layers:
        units = channels.axes[layer.weight].get(layer.outputs)
        if units is not None:
            widest = np.maximum(widest, np.bincount(units + 1, minlength=channels.units + 1)[1:])
    return [int(widest[group[0]]) for group in channels.groups]


def _block(units: int, width: int) -> int:
    """How many units of a group go at a time."""
    block = max(1, _BLOCK // width)
    return block if units > block else 1


def _count(units: int, width: int, removed: float) -> int:
    """How many of a group's units are left when about this share of them goes."""
    block = _block(units, width)
    return min(units, max(block, round(units * (1 - removed) / block) * block))

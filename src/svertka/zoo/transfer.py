"""Beginning from trained weights: another number of classes, another number of channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from svertka.errors import UserError
from svertka.layers.net import Net
from svertka.layers.transfer import transfer_head
from svertka.layers.trunk import Classifier
from svertka.runtime.card import Card
from svertka.wording import counted
from svertka.zoo import registry
from svertka.zoo.modelfile import load_model

_MOST_FEATURES = 4096  # of a head that reads several stages


@dataclass
class Start:
    """A network to go on from.

    Attributes:
        net: With its trained trunk, and a head for the new classes.
        arguments: Constructor arguments that build it again.
        card: Of the weights.
        notes: What was changed, for the user to see.
    """

    net: Net
    arguments: dict[str, Any]
    card: Card
    notes: list[str]


def start_from(
    path: Path,
    *,
    classes: int,
    in_channels: int,
    side: int,
    own_head: bool,
    seed: int,
    net: str = "auto",
    options: Mapping[str, Any] | None = None,
) -> Start:
    """The network of a model file, for other classes and channels.

    Args:
        path: Model file.
        classes: Number of classes.
        in_channels: Number of channels of the images. The first convolution is adapted: its kernels are added up for
            one channel, which is what it makes of a grey image in three; and are repeated and scaled for more.
        side: Of the images, in pixels.
        own_head: Keep the network's own head, all but the layer that has another number of classes; else it is to be
            replaced by `put_head`.
        seed: Of the random weights of what is new.
        net: The network that is wanted: that of the file, or one that takes its trunk.
        options: Constructor arguments of one that takes its trunk.

    Raises:
        UserError: The file cannot be used, or the network cannot be changed like this.
    """
    trained, card = load_model(path)
    arguments: dict[str, Any] = {**card.arguments, "classes": classes, "in_channels": in_channels}
    if arguments.get("image_size", side) != side:
        raise UserError(
            f"{card.net} was trained at {arguments['image_size']} pixels and takes no other size",
            where=path,
            mend=f"give --image-size {arguments['image_size']}",
        )
    start = Start(trained, arguments, card, [])
    if own_head and "head" in arguments:  # its distances are those of the old classes
        arguments["head"] = {name: value for name, value in arguments["head"].items() if name != "reject"}
    torch.manual_seed(seed)
    if trained.in_channels != in_channels:
        was = trained.in_channels
        start.notes.append(f"the first convolution, trained on {counted(was, 'channel')}, now takes {in_channels}")
        _adapt_channels(trained, in_channels, card.net)
    if net not in ("auto", card.net):
        _put_under(start, net, options or {}, side)
    elif own_head:
        _renew_head(start)
    return start


def put_head(start: Start, options: dict[str, Any], *, side: int) -> None:
    """Put a head of these options on the trunk; see `svertka.layers.transfer.transfer_head`.

    Args:
        start: Changed in place.
        options: Of the head.
        side: Of the images, in pixels.

    Raises:
        UserError: A stage or a rule is unknown.
    """
    start.net.classes = start.arguments["classes"]
    start.net.head = transfer_head(start.net.trunk.channels(side, side), start.net.classes, options)
    start.arguments["head"] = options
    if "widths" in start.arguments:
        start.arguments["widths"] = registry.without_head(start.arguments["widths"])


def _put_under(start: Start, name: str, options: Mapping[str, Any], side: int) -> None:
    """Put the trunk of a classifier under the network ``name``."""
    classifier = start.net
    if not isinstance(classifier, Classifier):
        raise UserError(f"the weights are of {start.card.net}, and {name} takes the trunk of a classifier")
    own = ("classes", "in_channels", "head", "dropout")
    arguments = {key: value for key, value in start.card.arguments.items() if key not in own}
    if "head" in start.card.arguments and "widths" in arguments:
        arguments["widths"] = registry.without_head(arguments["widths"])
    wanted = registry.record(name).arguments.get("trunk", {})
    fully = wanted.get("fully_connected", False) if wanted.get("net") == start.card.net else False
    trunk: dict[str, Any] = {
        "net": start.card.net,
        "arguments": arguments,
    }
    if fully:
        trunk["fully_connected"] = fully
    start.arguments = {
        **options,
        **{key: start.arguments[key] for key in ("classes", "in_channels")},
        "trunk": trunk,
    }
    if registry.record(name).one_size:
        start.arguments["image_size"] = side
    start.net = registry.build_any(name, start.arguments)
    start.net.trunk.load_state_dict(registry.trunk_of(classifier, fully_connected=fully).state_dict())
    start.notes.append(f"the trunk of {start.card.net} under {name}; its decoder begins with random weights")


def _renew_head(start: Start) -> None:
    # All that fits is kept. What does not, for it has another number of classes, begins at random.
    trained = start.net.state_dict()
    fresh = registry.build_any(start.card.net, start.arguments)
    state = fresh.state_dict()
    new = [name for name, value in state.items() if name not in trained or trained[name].shape != value.shape]
    fresh.load_state_dict({name: state[name] if name in new else trained[name] for name in state})
    start.net = fresh
    if new:
        start.notes.append(f"new, with random weights: {', '.join(new)}")


def taps_of(net: Net, wanted: Sequence[str], side: int) -> tuple[str, ...]:
    """The stages that a head reads: those ``wanted`` by name, ``("auto",)`` or ``("last",)``, in their order.

    Raises:
        UserError: There is no such stage.
    """
    if tuple(wanted) == ("last",):
        return (net.trunk.names[-1],)
    if tuple(wanted) == ("auto",):
        return _default_taps(net, side)
    return tuple(sorted(wanted, key=net.trunk.depth))


def _default_taps(net: Net, side: int) -> tuple[str, ...]:
    # The last two thirds of those with weights; fewer where they would have more than 4,096 channels together.
    channels = net.trunk.channels(side, side)
    weighty = [name for name, stage in net.trunk.named_children() if any(True for _ in stage.parameters())]
    taps: list[str] = []
    for name in reversed(weighty[len(weighty) // 3 :]):
        if taps and sum(channels[tap] for tap in [*taps, name]) > _MOST_FEATURES:
            break
        taps.insert(0, name)
    return tuple(taps) or (net.trunk.names[-1],)


def adapted(kernels: Tensor, channels: int) -> Tensor:
    """Kernels ``(out, in, kH, kW)`` of a first convolution for another number of input channels."""
    before = kernels.shape[1]
    if channels == 1:
        return kernels.sum(dim=1, keepdim=True)
    repeated = kernels.repeat(1, -(-channels // before), 1, 1)[:, :channels]
    return repeated * (before / channels)


def _adapt_channels(net: Net, channels: int, name: str) -> None:
    before = net.in_channels
    first = [layer for layer in net.trunk.modules() if isinstance(layer, nn.Conv2d | nn.Linear)][:1]
    if not (first and isinstance(first[0], nn.Conv2d) and first[0].in_channels == before and first[0].groups == 1):
        raise UserError(
            f"{name} has no first convolution to adapt to {counted(channels, 'channel')}",
            mend=f"give --channels {before}",
        )
    first[0].weight = nn.Parameter(adapted(first[0].weight.detach(), channels))
    first[0].in_channels = net.trunk.in_channels = channels


def scale_logits(net: Classifier, factor: float) -> None:
    """Multiply the logits of ``net`` by ``factor`` > 0, by way of the weights of its last layer."""
    last = [layer for layer in net.head.modules() if hasattr(layer, "weight") and hasattr(layer, "bias")][-1]
    with torch.no_grad():
        for value in (last.weight, last.bias):
            assert isinstance(value, Tensor)
            value.mul_(factor)

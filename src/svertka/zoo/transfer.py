"""Beginning from trained weights: another number of classes, another number of channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from svertka.errors import UserError
from svertka.layers.transfer import transfer_head
from svertka.layers.trunk import Classifier
from svertka.runtime.card import Card
from svertka.zoo import registry
from svertka.zoo.modelfile import load_model

_MOST_FEATURES = 4096  # of a head that reads several stages


@dataclass(frozen=True)
class Start:
    """A network to go on from.

    Attributes:
        net: With its trained trunk, and a head for the new classes.
        arguments: Constructor arguments that build it again.
        card: Of the weights.
        notes: What was changed, for the user to see.
    """

    net: Classifier
    arguments: dict[str, Any]
    card: Card
    notes: tuple[str, ...]


def start_from(
    path: Path, *, classes: int, in_channels: int, head: Mapping[str, Any] | None, side: int, seed: int = 0
) -> Start:
    """The network of a model file, for other classes and channels.

    Args:
        path: Model file.
        classes: Number of classes.
        in_channels: Number of channels of the images. The first convolution is adapted: its kernels are added up for
            one channel, which is what it makes of a grey image in three; and are repeated and scaled for more.
        head: Options of a head that is put on the trunk, see `svertka.layers.transfer.transfer_head`; None for the
            network's own, of which all is kept but the layer that has another number of classes.
        side: Of the images, in pixels.
        seed: Of the random weights of what is new.

    Raises:
        UserError: The file cannot be used, or the network cannot be changed like this.
    """
    trained, card = load_model(path)
    arguments: dict[str, Any] = {**card.arguments, "classes": classes, "in_channels": in_channels}
    arguments.pop("head", None)
    if "image_size" in arguments and arguments["image_size"] != side:
        raise UserError(
            f"{card.net} was trained at {arguments['image_size']} pixels and takes no other size",
            where=path,
            mend=f"give --image-size {arguments['image_size']}",
        )
    torch.manual_seed(seed)
    notes = []
    if trained.in_channels != in_channels:
        _adapt_channels(trained, in_channels, card.net)
        notes.append(f"the first convolution was trained on {card.preprocess.channels} channels, and now takes {in_channels}")
    if head is None:
        with torch.device("meta"):
            net = registry.build(card.net, arguments)
        state, fresh = trained.state_dict(), []
        for name, tensor in net.state_dict().items():
            if name not in state or state[name].shape != tensor.shape:
                fresh.append(name)
        if fresh:
            new = registry.build(card.net, arguments).state_dict()
            state = {name: new[name] if name in fresh else state[name] for name in new}
            notes.append(f"new, with random weights: {', '.join(fresh)}")
        net.load_state_dict(state, assign=True)
        return Start(net, arguments, card, tuple(notes))
    trained.classes = classes
    trained.head = transfer_head(trained.trunk.channels(side), classes, head)
    notes.append(f"the head for {len(card.classes):,} classes is replaced by one for {classes}")
    return Start(trained, {**arguments, "head": dict(head)}, card, tuple(notes))


def default_taps(net: Classifier, side: int) -> tuple[str, ...]:
    """The stages that a head reads unless told otherwise: the last two thirds of those with weights.

    Fewer where they would have more than 4,096 channels together; the last in any case.
    """
    channels = net.trunk.channels(side)
    weighty = [name for name, stage in net.trunk.named_children() if any(True for _ in stage.parameters())]
    taps: list[str] = []
    for name in reversed(weighty[len(weighty) // 3 :]):
        if taps and sum(channels[tap] for tap in [*taps, name]) > _MOST_FEATURES:
            break
        taps.insert(0, name)
    last = net.trunk.names[-1]
    return tuple(taps) if last in taps or not taps else (*taps[:-1], last)


def adapted(kernels: Tensor, channels: int) -> Tensor:
    """Kernels ``(out, in, kH, kW)`` of a first convolution for another number of input channels."""
    before = kernels.shape[1]
    if channels == 1:
        return kernels.sum(dim=1, keepdim=True)
    repeated = kernels.repeat(1, -(-channels // before), 1, 1)[:, :channels]
    return repeated * (before / channels)


def _adapt_channels(net: Classifier, channels: int, name: str) -> None:
    before = net.in_channels
    first = [layer for layer in net.trunk.modules() if isinstance(layer, nn.Conv2d | nn.Linear)][:1]
    if not (first and isinstance(first[0], nn.Conv2d) and first[0].in_channels == before and first[0].groups == 1):
        raise UserError(f"{name} has no first convolution to adapt to {channels} channels", mend=f"give --channels {before}")
    first[0].weight = nn.Parameter(adapted(first[0].weight.detach(), channels))
    first[0].in_channels = net.trunk.in_channels = channels


def scale_logits(net: Classifier, factor: float) -> None:
    """Multiply the logits of ``net`` by ``factor`` > 0, by way of the weights of its last layer."""
    last = [layer for layer in net.head.modules() if hasattr(layer, "weight") and hasattr(layer, "bias")][-1]
    with torch.no_grad():
        for value in (last.weight, last.bias):
            assert isinstance(value, Tensor)
            value.mul_(factor)


def linear_layers(net: Classifier) -> Sequence[nn.Linear]:
    """The linear layers of the head, in order."""
    return [layer for layer in net.head.modules() if isinstance(layer, nn.Linear)]

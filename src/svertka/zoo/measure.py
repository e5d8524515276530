"""What a network costs and sees, stage by stage; computed on the meta device, so nothing is calculated."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from svertka.layers.dense import Decoder, Tapped
from svertka.layers.net import Net
from svertka.layers.receptive_field import FollowFields
from svertka.layers.transfer import TransferHead
from svertka.zoo.follow_layers import FollowLayers, LayerMeasure

_BYTES = 4  # of a number in fp32


@dataclass(frozen=True)
class StageMeasure:
    """One stage of a network, for one image.

    Attributes:
        name: Name of the stage; ``head`` for the head of a classifier, ``decoder`` for what follows another trunk.
        shape: Shape of its output, or of the first if there are several, without the batch axis.
        parameters: Number of parameters.
        macs: Multiply-accumulate operations of its convolutions and matrix products.
        stride: Of its output in input pixels; None where there is no spatial extent left.
        receptive_field: Pixels of the image that a unit of its output sees along the longer axis; None for all.
        activation_bytes: Memory of all layers' outputs in fp32, as training keeps them.
        depth: Layers with weights on the longest path through it.
        layers: All its layers with weights, in the order in which they run.
    """

    name: str
    shape: tuple[int, ...]
    parameters: int
    macs: int
    stride: int | None
    receptive_field: int | None
    activation_bytes: int
    depth: int
    layers: tuple[LayerMeasure, ...]


def measure(net: Net, *spatial: int) -> list[StageMeasure]:
    """Measure every stage and what follows them at inputs of this size.

    Args:
        net: The network; on the meta device, or it is copied there stage by stage.
        spatial: Height and width of the images, or length of the series.

    Raises:
        RuntimeError: The network cannot take images of this size.
    """
    image = torch.empty(1, net.in_channels, *spatial, device="meta")
    geometry = net.trunk.geometry(*spatial)
    last = ("decoder", net.decoder) if isinstance(net, Tapped) else ("head", net.head)
    stages = [*net.trunk.named_children(), last]
    activations: dict[str, int] = defaultdict(int)
    hooks = [
        layer.register_forward_hook(_counter(activations, name))
        for name, stage in stages
        for layer in stage.modules()
        if not list(layer.children())
    ]
    was_training = net.training
    net.eval()
    x = image
    pyramid: dict[str, Tensor] = {}
    measured = []
    try:
        with torch.no_grad(), FollowFields(image) as fields, FollowLayers(image) as follow:
            for name, stage in stages:
                before, done = follow.depth(x), len(follow.layers)
                if isinstance(stage, Decoder):
                    said = stage([pyramid[tap] for tap in stage.taps], (spatial[0], spatial[1]))
                    x = said if isinstance(said, Tensor) else said[0]
                elif isinstance(stage, TransferHead):
                    x = stage([pyramid[tap] for tap in stage.taps])
                else:
                    x = pyramid[name] = stage(x)
                layers = tuple(follow.layers[done:])
                sizes = [axis.size for axis in fields.of(x)]
                measured.append(
                    StageMeasure(
                        name,
                        tuple(x.shape[1:]),
                        sum(parameter.numel() for parameter in stage.parameters()),
                        sum(layer.macs for layer in layers),
                        geometry[name].stride if name in geometry else None,
                        int(max(sizes)) if math.isfinite(max(sizes)) else None,
                        activations[name],
                        follow.depth(x) - before,
                        layers,
                    )
                )
    finally:
        for hook in hooks:
            hook.remove()
        net.train(was_training)
    return measured


def _counter(activations: dict[str, int], name: str) -> Callable[[nn.Module, Any, Any], None]:
    def count(layer: nn.Module, inputs: Any, output: Any) -> None:
        del layer, inputs
        if isinstance(output, Tensor):
            activations[name] += _BYTES * output.numel()

    return count

"""How much a network needs each of its channels."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from svertka.layers.channels import STAYS, Channels, Numbers

Importance = NDArray[np.float64]
"""By unit of `Channels`, ``(units,)``: the larger, the more it is needed."""


def magnitude(net: nn.Module, channels: Channels) -> Importance:
    """The size of the weights that make a channel, beside those that make the other channels of its layer.

    It is the Euclidean norm of a filter, with the scale of a normalisation behind it folded in; the mean of all layers
    that make a unit.

    H. Li et al., "Pruning Filters for Efficient ConvNets", 2017.
    """
    total, layers = np.zeros(channels.units), np.zeros(channels.units)
    for layer in channels.layers:
        units = channels.axes[layer.weight].get(layer.outputs)
        if units is None:
            continue
        others = [axis for axis in range(len(layer.shape)) if axis != layer.outputs]
        size = torch.linalg.vector_norm(net.get_parameter(layer.weight).detach(), dim=others)
        if layer.norm and len(size) == len(units):
            size = size * _scale(net.get_submodule(layer.norm))
        # Layers that come together in a unit differ in scale, and what counts is which of their channels are small.
        _add(total, units, (size / size.mean().clamp(min=1e-12)).double().numpy())
        _add(layers, units, np.ones(len(units)))
    return total / np.maximum(layers, 1)


def taylor(net: nn.Module, channels: Channels, losses: Iterable[Tensor]) -> Importance:
    """By how much the loss would change without a channel, to first order.

    It is |Σ a · ∂L/∂a| over the values a of a channel, found by the weights that read it, of which Σ w · ∂L/∂w is the
    same; added up over batches.

    P. Molchanov et al., "Pruning Convolutional Neural Networks for Resource Efficient Inference", 2017.

    Args:
        net: The network.
        channels: Of the network.
        losses: The loss of one batch after another, computed by ``net`` when it is asked for.
    """
    readers = [layer for layer in channels.layers if layer.inputs in channels.axes[layer.weight]]
    weights = [net.get_parameter(layer.weight) for layer in readers]
    total = np.zeros(channels.units)
    for loss in losses:
        change = np.zeros(channels.units)
        # A head need not read the last stages, whose weights then change nothing.
        gradients = torch.autograd.grad(loss, weights, allow_unused=True, materialize_grads=True)
        for layer, weight, gradient in zip(readers, weights, gradients, strict=True):
            others = [axis for axis in range(weight.ndim) if axis != layer.inputs]
            entries = (weight.detach() * gradient).sum(dim=others)
            _add(change, channels.axes[layer.weight][layer.inputs], entries.double().numpy())
        total += np.abs(change)
    return total


def _scale(norm: nn.Module) -> Tensor:
    assert isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d)
    assert norm.running_var is not None
    deviation = (norm.running_var + norm.eps).sqrt()
    return (torch.ones_like(deviation) if norm.weight is None else norm.weight.detach().abs()) / deviation


def _add(total: Importance, units: Numbers, values: NDArray[np.float64]) -> None:
    there = units != STAYS
    np.add.at(total, units[there], values[there])

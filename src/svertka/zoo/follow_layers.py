"""The layers with weights that an image passes, in order, however the network is written."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from svertka.layers.tensors import tensors_in


@dataclass(frozen=True)
class LayerMeasure:
    """A convolution or a fully connected layer as it was run, for one image.

    Attributes:
        kernel: Height and width of its window, in positions of its input; of a fully connected layer all of them.
        outputs: Number of channels that go out.
        depthwise: Each output is computed from one of several channels.
        whole: The window is all of a map of more than one position.
        macs: Multiply-accumulate operations.
        elements: Numbers that go out.
    """

    kernel: tuple[int, int]
    outputs: int
    depthwise: bool
    whole: bool
    macs: int
    elements: int


class FollowLayers(TorchFunctionMode):
    """Within, every layer with weights is written down, and every tensor knows how many of them lie behind it.

    Args:
        image: The input, ``(1, C, H, W)``, or ``(1, C, T)`` of a series, whose height is 1; on the meta device
            nothing is calculated.

    Attributes:
        layers: The layers, in the order in which they run.
    """

    def __init__(self, image: Tensor) -> None:
        super().__init__()
        self.layers: list[LayerMeasure] = []
        self._axes = image.ndim
        # By identity, each with its tensor: its depth, and height and width of the map that a vector was.
        self._known: dict[int, tuple[Tensor, int, tuple[int, int]]] = {id(image): (image, 0, _extent(image))}

    def depth(self, tensor: Tensor) -> int:
        """The layers with weights on the longest path from the image to ``tensor``.

        Raises:
            KeyError: It does not come of the image.
        """
        return self._known[id(tensor)][1]

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        sources = [self._known[id(value)] for value in tensors_in((args, kwargs)) if id(value) in self._known]
        if not sources:
            return result
        depth = max(depth for _, depth, _ in sources)
        extent = max((extent for _, _, extent in sources), key=math.prod)
        if func in (torch.conv2d, F.conv2d, torch.conv1d, F.conv1d):
            self._convolution(args[1] if len(args) > 1 else kwargs["weight"], args[0], result)
            depth += 1
        elif func is F.conv_transpose2d:
            self._transposed(args[1] if len(args) > 1 else kwargs["weight"], args[0], result)
            depth += 1
        elif func is F.linear:
            outputs, inputs = (args[1] if len(args) > 1 else kwargs["weight"]).shape
            self.layers.append(LayerMeasure(extent, outputs, False, math.prod(extent) > 1, outputs * inputs, outputs))
            depth, extent = depth + 1, (1, 1)
        elif func in (torch.mean, Tensor.mean):
            extent = (1, 1)
        for value in tensors_in(result):
            self._known[id(value)] = value, depth, _extent(value) if value.ndim == self._axes else extent
        return result

    def _convolution(self, weight: Tensor, x: Tensor, y: Tensor) -> None:
        outputs, shared, *_ = weight.shape
        kernel, seen = _extent(weight), _extent(x)
        self.layers.append(
            LayerMeasure(
                kernel,
                outputs,
                depthwise=shared == 1 and x.shape[1] > 1,
                whole=math.prod(seen) > 1 and kernel[0] >= seen[0] and kernel[1] >= seen[1],
                macs=weight.numel() * math.prod(y.shape[2:]),
                elements=y.numel(),
            )
        )

    def _transposed(self, weight: Tensor, x: Tensor, y: Tensor) -> None:
        inputs, shared, *kernel = weight.shape
        self.layers.append(
            LayerMeasure(
                (kernel[0], kernel[1]),
                y.shape[1],
                depthwise=shared == 1 and inputs > 1,
                whole=False,
                macs=weight.numel() * math.prod(x.shape[2:]),
                elements=y.numel(),
            )
        )


def _extent(x: Tensor) -> tuple[int, int]:
    return (int(x.shape[2]), int(x.shape[3])) if x.ndim == 4 else (1, int(x.shape[2]))

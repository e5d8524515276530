"""Receptive fields, followed through any network as it runs.

W. Luo et al., "Understanding the Effective Receptive Field", 2016; A. Araujo et al., "Computing Receptive Fields of
Convolutional Neural Networks", 2019. Where branches meet, the field is the smallest that holds all of theirs.
"""

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
from svertka.layers.trunk import Trunk


@dataclass(frozen=True)
class Field:
    """What a unit of a map sees of the image, in pixels, along one axis.

    Attributes:
        size: Extent; infinite where a unit sees all of the image, whatever its size.
        stride: Pixels between the fields of neighbouring units.
        start: First pixel that the first unit sees; negative where it begins in the padding.
    """

    size: float = 1.0
    stride: float = 1.0
    start: float = 0.0

    def windowed(self, kernel: int, stride: int, padding: int, dilation: int) -> Field:
        """Behind a convolution or a pooling."""
        reach = (kernel - 1) * dilation
        return Field(self.size + reach * self.stride, self.stride * stride, self.start - padding * self.stride)

    def spread(self, kernel: int, factor: int, padding: int) -> Field:
        """Behind a transposed convolution of stride ``factor``, whose units see up to ``kernel / factor`` units."""
        seen = -(-kernel // factor)
        step = self.stride / factor
        start = self.start + (padding - kernel + 1) * step
        return Field(self.size + (seen - 1) * self.stride, step, start)

    def sliced(self, first: int, step: int) -> Field:
        """Behind a slice that begins with unit ``first`` and takes every ``step``-th."""
        if math.isinf(self.size):
            return self
        return Field(self.size, self.stride * step, self.start + first * self.stride)

    def joined(self, other: Field) -> Field:
        """Where two branches meet."""
        start = min(self.start, other.start)
        end = max(self.start + self.size, other.start + other.size)
        return Field(end - start, max(self.stride, other.stride), start)


Fields = tuple[Field, Field]
"""Along the height, and along the width; of a series, whose height is 1, along the time."""

_EVERYTHING = Field(math.inf, math.inf, -math.inf)
_CONVOLUTIONS = (torch.conv2d, F.conv2d, torch.conv1d, F.conv1d)
_MEANS = (F.avg_pool2d, F.avg_pool1d)
_WINDOWED = (*_CONVOLUTIONS, *_MEANS, F.max_pool2d, torch.max_pool2d, F.max_pool1d, torch.max_pool1d)
_ALONG_TIME = (torch.conv1d, F.conv1d, F.avg_pool1d, F.max_pool1d, torch.max_pool1d)
_GLOBAL = {
    F.adaptive_avg_pool1d,
    F.adaptive_max_pool1d,
    F.adaptive_avg_pool2d,
    F.adaptive_max_pool2d,
    torch.mean,
    Tensor.mean,
    F.linear,
    torch.flatten,
    Tensor.flatten,
}


class FollowFields(TorchFunctionMode):
    """Within, every tensor that comes of ``image`` knows its receptive field: see `of`.

    Args:
        image: The input, ``(N, C, H, W)`` or ``(N, C, T)``; on the meta device nothing is calculated.
    """

    def __init__(self, image: Tensor) -> None:
        super().__init__()
        # By identity, each with its tensor, for an id is free to be used again once a tensor is gone.
        self._known: dict[int, tuple[Tensor, Fields]] = {id(image): (image, (Field(), Field()))}

    def of(self, tensor: Tensor) -> Fields:
        """The receptive fields of the units of ``tensor``.

        Raises:
            KeyError: It does not come of the image.
        """
        return self._known[id(tensor)][1]

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        sources = [self._known[id(value)][1] for value in tensors_in((args, kwargs)) if id(value) in self._known]
        if sources:
            fields = _joined(sources)
            if func in _WINDOWED:
                fields = _behind_window(func, fields, args, kwargs)
            elif func is F.conv_transpose2d:
                fields = _behind_transposed(fields, args, kwargs)
            elif func is F.pixel_shuffle:
                fields = (fields[0].spread(args[1], args[1], 0), fields[1].spread(args[1], args[1], 0))
            elif func is F.pixel_unshuffle:
                fields = (fields[0].windowed(args[1], args[1], 0, 1), fields[1].windowed(args[1], args[1], 0, 1))
            elif func is F.pad:
                fields = _behind_padding(fields, args, kwargs)
            elif func is Tensor.__getitem__:
                fields = _behind_slices(fields, *args)
            elif func in _GLOBAL:
                fields = (_EVERYTHING, _EVERYTHING)
            for value in tensors_in(result):
                self._known[id(value)] = value, fields
        return result


def stage_fields(trunk: Trunk, height: int, width: int) -> dict[str, Fields]:
    """The receptive fields of the units of every stage, along both axes, for images of ``height`` × ``width``.

    One image is run for it.
    """
    training = trunk.training
    device = next((value.device for value in trunk.parameters()), None)
    image = torch.zeros(1, trunk.in_channels, height, width, device=device)
    try:
        with torch.inference_mode(), FollowFields(image) as fields:
            return {name: fields.of(x) for name, x in trunk.eval().pyramid(image).items()}
    finally:
        trunk.train(training)


def _joined(sources: list[Fields]) -> Fields:
    height, width = sources[0]
    for other in sources[1:]:
        height, width = height.joined(other[0]), width.joined(other[1])
    return height, width


def _behind_window(func: Any, fields: Fields, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Fields:
    def argument(place: int, name: str, default: Any) -> tuple[int, ...]:
        return _each_axis(args, kwargs, place, name, default)

    if func in _CONVOLUTIONS:
        weight = args[1] if len(args) > 1 else kwargs["weight"]
        kernel = tuple(map(int, weight.shape[2:]))
        stride, padding, dilation = argument(3, "stride", 1), argument(4, "padding", 0), argument(5, "dilation", 1)
    else:
        kernel = argument(1, "kernel_size", None)
        stride, padding, dilation = argument(2, "stride", kernel), argument(3, "padding", 0), (1, 1)
        if func not in _MEANS:
            dilation = argument(4, "dilation", 1)
    width = fields[1].windowed(kernel[-1], stride[-1], padding[-1], dilation[-1])
    if func in _ALONG_TIME:
        return fields[0], width
    return fields[0].windowed(kernel[0], stride[0], padding[0], dilation[0]), width


def _behind_transposed(fields: Fields, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Fields:
    weight = args[1] if len(args) > 1 else kwargs["weight"]
    factor, padding = _each_axis(args, kwargs, 3, "stride", 1), _each_axis(args, kwargs, 4, "padding", 0)
    height, width = (
        field.spread(int(weight.shape[2 + axis]), factor[axis], padding[axis]) for axis, field in enumerate(fields)
    )
    return height, width


def _each_axis(
    args: tuple[Any, ...], kwargs: Mapping[str, Any], place: int, name: str, default: Any
) -> tuple[int, ...]:
    value = args[place] if len(args) > place else kwargs.get(name, default)
    if value is None or value == []:
        value = default
    return (value, value) if isinstance(value, int) else tuple(value)


def _behind_padding(fields: Fields, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Fields:
    left, _, *rest = args[1] if len(args) > 1 else kwargs["pad"]
    top = rest[0] if rest else 0
    return fields[0].windowed(1, 1, top, 1), fields[1].windowed(1, 1, left, 1)


def _behind_slices(fields: Fields, x: Tensor, index: Any) -> Fields:
    if not (isinstance(index, tuple) and len(index) == x.ndim == 4):  # rows and columns are all there
        return fields
    height, width = (
        field.sliced(*part.indices(size)[::2]) if isinstance(part, slice) else field
        for field, part, size in zip(fields, index[2:], x.shape[2:], strict=True)
    )
    return height, width

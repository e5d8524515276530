"""The filters of the first layer, which can be looked at as pictures: what they weigh are pixels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from svertka.explaining.running import at_rest, usable


def first_filters(module: nn.Module, images: Tensor) -> Tensor:
    """The weights of the first layer, ``(K, C, h, w)``; of a fully connected one, a filter as large as the image.

    Args:
        module: The network.
        images: ``(N, C, H, W)``; which layer is the first is found by running one.

    Raises:
        ValueError: There is no layer with weights, or it does not read the image.
    """
    with at_rest(module) as forward, torch.no_grad(), _FirstWeights() as first:
        forward(usable(images[:1]))
    weights: Tensor | None = first.found
    shape = images.shape[1:]
    if weights is not None and weights.ndim == 4 and weights.shape[1] == shape[0]:
        return weights.detach()
    if weights is not None and weights.ndim == 2 and weights.shape[1] == shape.numel():
        return weights.detach().view(-1, *shape)
    raise ValueError("the first layer does not read the image")


class _FirstWeights(TorchFunctionMode):
    found: Tensor | None = None

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if self.found is None and func in (torch.conv2d, F.conv2d, F.linear):
            self.found = args[1] if len(args) > 1 else kwargs["weight"]
        return func(*args, **kwargs)

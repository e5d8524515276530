"""How weights begin."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from svertka.layers.tensors import tensors_in

_FILLS = {
    nn.init.kaiming_uniform_,
    nn.init.uniform_,
    nn.init.normal_,
    nn.init.constant_,
    Tensor.uniform_,
    Tensor.normal_,
    Tensor.fill_,
    Tensor.zero_,
}
_LOOKS = {Tensor.dim, Tensor.size, Tensor.shape.__get__}  # type: ignore[attr-defined]


def he_normal(net: nn.Module, fan: Literal["fan_in", "fan_out"]) -> None:
    """Draw every convolution from a normal distribution of variance ``2 / fan``; biases become zero.

    That keeps the size of the signal (``fan_in``) or of its gradient (``fan_out``) through rectified layers. A
    grouped convolution counts the connections of one group, so that depthwise ones do not begin almost at zero; a
    transposed one those of its kernel that meet an input, ``1 / stride²``.

    K. He, X. Zhang, S. Ren, J. Sun, "Delving Deep into Rectifiers", 2015.
    """
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            channels = module.in_channels if fan == "fan_in" else module.out_channels
            connections = channels // module.groups * math.prod(module.kernel_size)
            if isinstance(module, nn.ConvTranspose2d):
                connections //= math.prod(module.stride)
            nn.init.normal_(module.weight, std=math.sqrt(2 / connections))
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def normal_linear(net: nn.Module, std: float = 0.01) -> None:
    """Draw every fully connected layer from a normal distribution; biases become zero."""
    for module in net.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


class FilledOnce(TorchFunctionMode):
    """Within, a tensor that is filled several times is filled once, by the last filling, at the end.

    PyTorch's layers draw their weights when they are made, and a network that begins otherwise draws them all again:
    half of the time that building it takes. On the meta device there is nothing to fill.
    """

    def __init__(self) -> None:
        super().__init__()
        # By identity, each with its tensor, for an id is free to be used again once a tensor is gone.
        self._waiting: dict[int, tuple[Tensor, Callable[[], Any]]] = {}

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _FILLS:
            tensor: Tensor = args[0] if args else kwargs["tensor"]
            self._waiting.pop(id(tensor), None)  # filled in the order of the last fillings
            if not tensor.is_meta:
                self._waiting[id(tensor)] = tensor, lambda: func(*args, **kwargs)
            return tensor
        if func not in _LOOKS:
            for tensor in tensors_in((args, kwargs)):  # they may be read, so they must be what they would be
                self._fill(tensor)
        return func(*args, **kwargs)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)  # type: ignore[no-untyped-call]
        if error is None:
            for tensor, _ in list(self._waiting.values()):
                self._fill(tensor)

    def _fill(self, tensor: Tensor) -> None:
        _, fill = self._waiting.pop(id(tensor), (tensor, None))
        if fill is not None:
            with torch.no_grad():
                fill()

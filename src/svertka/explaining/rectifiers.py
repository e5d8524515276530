"""Other ways back through rectifiers than the gradient, be they layers, functions, or in place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

Rule = Literal["guided", "deconvnet"]

_RECTIFIERS = {F.relu, torch.relu, Tensor.relu, F.relu6, F.hardtanh}
_IN_PLACE = {torch.relu_, Tensor.relu_}


class Rectified(TorchFunctionMode):
    """Within, rectifiers hand back positive signals only; max(0, x) and min(max(0, x), 6) alike.

    Other nonlinearities keep their gradient.

    Args:
        rule: ``deconvnet`` rectifies what comes back and asks for nothing else (Zeiler and Fergus 2014); ``guided``
            lets it through only where the unit was active, too (Springenberg et al. 2015).
    """

    def __init__(self, rule: Rule) -> None:
        super().__init__()
        self.rule = rule

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        in_place = func in _IN_PLACE or bool(kwargs.get("inplace"))
        if func not in _RECTIFIERS and func not in _IN_PLACE:
            return func(*args, **kwargs)
        if func is F.hardtanh and kwargs.get("min_val", -1.0) != 0:
            return func(*args, **kwargs)
        x: Tensor = args[0] if args else kwargs["input"]
        if self.rule == "guided":
            result = func(*args, **kwargs)
        else:
            top = 6.0 if func is F.relu6 else kwargs.get("max_val") if func is F.hardtanh else None
            # The same values, and on the way back the identity.
            change = (x.clamp(min=0, max=top) - x).detach()
            result = x.add_(change) if in_place else x + change
        if result.requires_grad:
            result.register_hook(_positive)
        return result


def _positive(signal: Tensor) -> Tensor:
    return signal.clamp(min=0)

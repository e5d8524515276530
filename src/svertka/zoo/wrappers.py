"""What programs wrap around the weights of a network: dictionaries in dictionaries, and prefixes of names.

Both are the same here: ``{"state_dict": {"module.conv1.weight": …}}`` is ``state_dict.module.conv1.weight``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from torch import Tensor

Value = TypeVar("Value")

_WRAPPERS = (
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "net",
    "network",
    "module",
    "_orig_mod",
    "params",
    "weights",
    "state_dict_ema",
    "model_ema",
    "ema_model",
    "ema_state_dict",
    "params_ema",
    "ema",
)
"""In the order in which they are preferred: the weights themselves before their running mean. No network whose
checkpoints are known here has a layer of such a name."""

_LONGEST_NAME = 1000


def flattened(loaded: Any) -> dict[str, Tensor]:
    """The tensors in dictionaries in dictionaries, by their keys with dots between them.

    Raises:
        ValueError: Two tensors have one name, or a name is longer than any layer's.
    """
    tensors: dict[str, Tensor] = {}
    seen: set[int] = set()
    waiting: list[tuple[str, Any]] = [("", loaded)]
    while waiting:
        prefix, owner = waiting.pop()
        if not isinstance(owner, Mapping) or id(owner) in seen:  # a dictionary inside itself would have no end
            continue
        seen.add(id(owner))
        inner = []
        for key, value in owner.items():
            if not isinstance(value, Tensor | Mapping):
                continue
            name = f"{prefix}{key}"
            if len(name) > _LONGEST_NAME or name in tensors:
                raise ValueError("a name in it is too long, or is that of two tensors")
            if isinstance(value, Tensor):
                tensors[name] = value
            else:
                inner.append((f"{name}.", value))
        waiting += reversed(inner)
    return tensors


def unwrapped(named: Mapping[str, Value]) -> tuple[dict[str, Value], list[str]]:
    """The weights of the network without what wraps their names, in any order and as often as it does so.

    Returns:
        The weights by name, and the names of what lies beside them: an optimiser's state, other weights.
    """
    weights, beside = dict(named), list[str]()
    while True:
        owners = {name.partition(".")[0] for name in weights if "." in name}
        wrapper = next((wrapper for wrapper in _WRAPPERS if wrapper in owners), None)
        if wrapper is None:
            return weights, beside
        inside = {name: value for name, value in weights.items() if name.startswith(f"{wrapper}.")}
        beside += [name for name in weights if name not in inside]
        weights = {name.removeprefix(f"{wrapper}."): value for name, value in inside.items()}

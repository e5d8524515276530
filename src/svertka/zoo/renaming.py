"""The keys of a foreign state dict become ours."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TypeVar

Value = TypeVar("Value")


def rename(state: Mapping[str, Value], rules: Sequence[tuple[str, str]]) -> dict[str, Value]:
    """The same values under new keys, in the same order.

    Args:
        state: Value, usually a tensor, by key.
        rules: Regular expression and replacement (with ``\\1`` for a group), in order. The first whose
            expression matches the whole key renames it; an empty replacement drops it. A key that none matches stays.

    Raises:
        ValueError: Two keys become one.
    """
    compiled = [(re.compile(pattern), replacement) for pattern, replacement in rules]
    renamed: dict[str, Value] = {}
    origin: dict[str, str] = {}
    for key, value in state.items():
        new = key
        for pattern, replacement in compiled:
            if match := pattern.fullmatch(key):
                new = match.expand(replacement)
                break
        if not new:
            continue
        if new in renamed:
            raise ValueError(f"{origin[new]!r} and {key!r} both become {new!r}")
        renamed[new], origin[new] = value, key
    return renamed

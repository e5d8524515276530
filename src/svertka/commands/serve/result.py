"""A server that answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Serving:
    """A server that listens.

    Attributes:
        address: Its URL.
        models: What it answers with, as ``/v1/models`` has them.
        stop: Lets it finish what has come, and end; may be called in any thread.
    """

    address: str
    models: tuple[dict[str, Any], ...]
    stop: Callable[[], None] = field(repr=False)

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        names = ("name", "file", "task", "engine", "batch", "images_per_second", "explains")
        return {"address": self.address, "models": [{name: model[name] for name in names} for model in self.models]}

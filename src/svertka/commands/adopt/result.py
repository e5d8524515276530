"""What came of adopting trained weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from svertka.runtime.preprocess import Preprocess


@dataclass(frozen=True)
class Adopted:
    """What a checkpoint became.

    Attributes:
        model: The model file.
        net: Registry name of the network.
        source: Whose names the checkpoint had.
        published: Name of the published weights that the file is, by its digest; None where it is none.
        classes: Class names in the order of the logits.
        preprocess: How an image becomes an input.
        licence: Of the weights.
        assumed: What neither the checkpoint nor the caller said, in words.
    """

    model: Path
    net: str
    source: str
    published: str | None
    classes: tuple[str, ...]
    preprocess: Preprocess
    licence: str
    assumed: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            **vars(self),
            "model": str(self.model),
            "classes": list(self.classes),
            "preprocess": self.preprocess.to_json(),
            "assumed": list(self.assumed),
        }

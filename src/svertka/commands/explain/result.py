"""What came of explaining a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Explained:
    """What a model has learnt, and what it goes by.

    Attributes:
        net: Registry name of the network.
        layer: The stage that class activation maps and the embedding go by.
        stages: Those that were looked into.
        images: The images that were explained one by one: ``file``, what was ``predicted``, and the class that was
            ``explained``; of a network that finds boxes, also the ``box``: left, top, right and bottom, in shares of
            what the network sees.
        methods: What was found, by method.
        seconds: Time by method.
        notes: What could not be done, and why.
        skipped: Files that were left out, each with ``file`` and ``error``.
        pictures: PNG files in the folder.
        report: The page.
    """

    net: str
    layer: str
    stages: tuple[str, ...]
    images: tuple[dict[str, Any], ...]
    methods: Mapping[str, Any]
    seconds: Mapping[str, float]
    notes: tuple[str, ...]
    skipped: tuple[dict[str, str], ...]
    pictures: tuple[str, ...]
    report: Path

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            **vars(self),
            "stages": list(self.stages),
            "images": list(self.images),
            "methods": dict(self.methods),
            "seconds": {name: round(value, 3) for name, value in self.seconds.items()},
            "notes": list(self.notes),
            "skipped": list(self.skipped),
            "pictures": list(self.pictures),
            "report": str(self.report),
        }

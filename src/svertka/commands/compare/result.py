"""What came of comparing ways to learn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from svertka.commands.compare.advice import Advice, Way
from svertka.tasks.mcnemar import mcnemar


@dataclass(frozen=True)
class Compared:
    """What came of comparing.

    Attributes:
        ways: In the order in which they were tried.
        advice: Which of them to take.
        left_out: Ways that could not be tried, each with ``name`` and ``error``.
        judged_on: The part of the data that all were judged by.
        images: Number of images by what they were for: ``train``, ``val`` to choose by, ``test`` to judge by.
        classes: Class names.
        skipped: Files that were left out.
        report: The page, where a folder was given.
        model: Model file of the way that is advised, where a folder was given and it is a network.
    """

    ways: tuple[Way, ...]
    advice: Advice
    left_out: tuple[dict[str, str], ...]
    judged_on: str
    images: dict[str, int]
    classes: tuple[str, ...]
    skipped: tuple[dict[str, str], ...]
    report: Path | None
    model: Path | None

    def to_json(self) -> dict[str, Any]:
        """As a JSON object; a way's ``p_value`` is that of McNemar's test beside the most accurate."""
        best = max(self.ways, key=lambda way: way.accuracy)
        return {
            "ways": [{**way.to_json(), "p_value": mcnemar(best.right, way.right)} for way in self.ways],
            "take": self.advice.way.name,
            "advice": self.advice.text,
            "left_out": list(self.left_out),
            "judged_on": self.judged_on,
            "images": self.images,
            "classes": list(self.classes),
            "skipped": list(self.skipped),
            "report": None if self.report is None else str(self.report),
            "model": None if self.model is None else str(self.model),
        }

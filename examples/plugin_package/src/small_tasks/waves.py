"""Waves told apart: one class a series."""

from __future__ import annotations

from svertka.tasks.classification import Classification
from svertka.tasks.task import Evaluation
from svertka.wording import counted


class WaveClassification(Classification):
    """One class a series, by cross-entropy, as images are classified."""

    name = "wave_classification"

    def sentence(self, evaluation: Evaluation, part: str) -> str:
        """How many series are named correctly."""
        count = len(evaluation.arrays["target"])
        right = round(evaluation.metrics["accuracy"] * count)
        return f"It names {right:,} of {counted(count, f'{part} series', f'{part} series')} correctly."

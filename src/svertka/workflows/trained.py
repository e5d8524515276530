"""What came of training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Trained:
    """What came of training.

    Attributes:
        run: The run's folder.
        model: Its model file.
        report: Its report.
        metrics: On the test part, or on validation where there is no test part.
        judged_on: Which part that was; None where nothing was held out.
        seconds: Time by stage.
        skipped: Files that were left out, each with ``file`` and ``error``.
        tried: Steps of learning from trained weights: ``name``, ``metrics`` on validation, ``seconds``, ``kept``.
        findings: Errors and warnings about the data, as `svertka.check` has them.
        notes: Choices made while reading the data, and what its annotations state that is not read.
    """

    run: Path
    model: Path
    report: Path
    metrics: Mapping[str, float]
    judged_on: str | None
    seconds: Mapping[str, float]
    skipped: tuple[dict[str, str], ...]
    tried: tuple[dict[str, Any], ...] = ()
    findings: tuple[dict[str, Any], ...] = ()
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        seconds = {name: round(value, 3) for name, value in self.seconds.items()}
        return {
            "run": str(self.run),
            "model": str(self.model),
            "report": str(self.report),
            "metrics": dict(self.metrics),
            "judged_on": self.judged_on,
            "seconds": round(sum(seconds.values()), 3),
            "seconds_by_stage": seconds,
            "skipped": list(self.skipped),
            **({"tried": list(self.tried)} if self.tried else {}),
            **({"findings": list(self.findings)} if self.findings else {}),
            **({"notes": list(self.notes)} if self.notes else {}),
        }

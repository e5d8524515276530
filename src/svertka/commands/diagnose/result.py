"""What a diagnosis of a training found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from svertka.training.diagnoses.diagnosis import Diagnosis


@dataclass(frozen=True)
class Diagnosed:
    """What is wrong with a run.

    Attributes:
        run: Its folder.
        state: ``finished``, ``broken`` where something was not finite, or ``unfinished``: it runs or was interrupted.
        epochs: Epochs done, over all of its trainings.
        steps: Steps taken.
        looked_at: How many of these were sampled.
        share: Of the time of training that went into looking on.
        diagnoses: What is wrong, the surest first.
        report: The page, where one was asked for.
    """

    run: Path
    state: str
    epochs: int
    steps: int
    looked_at: int
    share: float
    diagnoses: tuple[Diagnosis, ...]
    report: Path | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong, as far as can be seen."""
        return not self.diagnoses

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "ok": self.ok,
            **vars(self),
            "run": str(self.run),
            "share": round(self.share, 4),
            "diagnoses": [diagnosis.to_json() for diagnosis in self.diagnoses],
            "report": None if self.report is None else str(self.report),
        }

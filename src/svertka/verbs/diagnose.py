"""Diagnose: what is wrong with a training, by what was measured while it ran."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from svertka.training.diagnoses.diagnosis import Diagnosis

REPORT_NAME = "diagnosis.html"


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


def diagnose(run: str | PathLike[str], *, out: str | PathLike[str] | None = None) -> Diagnosed:
    """Say what is wrong with a run that is finished, broken, interrupted or still running.

    Args:
        run: Its folder.
        out: Folder for a page with the plots; it is made where there is none. A finished run has them in its report.

    Raises:
        UserError: It is no run's folder, or nothing is known of it; or the page cannot be written.
    """
    from svertka.report.page import Section, write_report
    from svertka.runtime.files import make_folder
    from svertka.verbs._diagnosing import judged, known, measured, section

    folder = Path(run)
    found = known(folder)
    diagnoses = judged(found)
    last = list(found.values())[-1]
    broken = any(signals.trouble for signals in found.values())
    finished = all(signals.ended for signals in found.values())
    training, watching = (sum(signals.seconds[name] for signals in found.values()) for name in ("training", "watching"))
    report = None
    if out is not None:
        report = make_folder(Path(out)) / REPORT_NAME
        kinds = ", ".join(diagnosis.kind.replace("_", " ") for diagnosis in diagnoses)
        write_report(
            report,
            title=f"Diagnosis of {folder.resolve().name}",
            lead=f"Seen: {kinds}." if kinds else "Nothing is wrong, as far as can be seen.",
            sections=[section(found, diagnoses), Section(name="What was measured", exhibits=measured(last))],
        )
    return Diagnosed(
        folder,
        "broken" if broken else "finished" if finished else "unfinished",
        sum(int(signals.epochs[-1]["epoch"]) for signals in found.values() if signals.epochs),
        sum(signals.done for signals in found.values()),
        sum(len(signals.steps) for signals in found.values()),
        watching / max(training, 1e-9),
        tuple(diagnoses),
        report,
    )

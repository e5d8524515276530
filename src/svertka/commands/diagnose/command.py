"""Diagnose: what is wrong with a training, by what was measured while it ran."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from svertka.commands.diagnose.result import Diagnosed

REPORT_NAME = "diagnosis.html"


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
    from svertka.workflows.diagnosing import judged, known, measured, section, trainings

    folder = Path(run)
    found = known(folder)
    diagnoses = judged(found)
    each = trainings(found)
    broken = any(signals.trouble for signals in found.values())
    finished = all(signals.ended for signals in found.values())
    training, watching = (sum(signals.seconds[name] for signals in found.values()) for name in ("training", "watching"))
    report = None
    if out is not None:
        report = make_folder(Path(out)) / REPORT_NAME
        kinds = ", ".join(diagnosis.title for diagnosis in diagnoses)
        write_report(
            report,
            title=f"Diagnosis of {folder.resolve().name}",
            lead=f"Seen: {kinds}." if kinds else "Nothing is wrong, as far as can be seen.",
            sections=[section(found, diagnoses), Section(name="What was measured", exhibits=measured(found))],
        )
    return Diagnosed(
        folder,
        "broken" if broken else "finished" if finished else "unfinished",
        sum(int(signals.epochs[-1]["epoch"]) for signals in each if signals.epochs),
        sum(signals.done for signals in each),
        sum(len(signals.steps) for signals in each),
        watching / max(training, 1e-9),
        tuple(diagnoses),
        report,
    )

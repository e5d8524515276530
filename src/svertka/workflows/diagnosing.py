"""What the doctor saw of a run, finished or not, and what is made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from svertka.errors import UserError
from svertka.exhibits import Exhibit, Facts, Listing
from svertka.report.page import Section
from svertka.training.diagnoses.diagnosing import SURE, diagnose
from svertka.training.diagnoses.diagnosis import Diagnosis
from svertka.training.diagnoses.readings import by_name, by_step, gradient, learning, loss_plot, update
from svertka.training.signals import Signals, read_saved, read_signals, signals_file
from svertka.wording import counted

_CHECKPOINT = "checkpoint"


def records(run: Path) -> dict[str, Signals]:
    """The records of the trainings of a run, by name, which that of a run from scratch has not; maybe none.

    Raises:
        UserError: One cannot be read.
    """
    found = {}
    for path in sorted(run.glob(signals_file(run, "*").name)) + sorted(run.glob(signals_file(run).name)):
        found[path.stem.partition("-")[2]] = read_signals(path)
    for path in sorted(run.glob(f"{_CHECKPOINT}*.safetensors")):
        name = path.name.removesuffix(".safetensors").removeprefix(_CHECKPOINT).removeprefix("-")
        if not name.endswith(".previous") and name not in found:
            saved = read_saved(path)
            if saved is not None:
                found[name] = saved
    return found


def known(run: Path) -> dict[str, Signals]:
    """The same, at least one.

    Raises:
        UserError: It is no run's folder, or nothing is known of it.
    """
    if not (run / "recipe.toml").is_file():
        raise UserError("no run's folder", where=run, mend="give the --out of svertka train, or what it said")
    found = records(run)
    if found:
        return found
    if (run / "run.json").is_file():
        raise UserError(
            "nothing in this run learnt by gradient descent, so there is nothing to look at",
            where=run,
            mend="svertka check looks at its data",
        )
    raise UserError("nothing was saved yet", where=run, mend="wait for the first checkpoint, as --save-every says")


def judged(found: Mapping[str, Signals]) -> list[Diagnosis]:
    """What is wrong with the trainings of a run, each kind once: what is sure first."""
    best: dict[str, Diagnosis] = {}
    for signals in found.values():
        for diagnosis in diagnose(signals, live=not signals.ended):
            if diagnosis.kind not in best or best[diagnosis.kind].confidence < diagnosis.confidence:
                best[diagnosis.kind] = diagnosis
    return sorted(best.values(), key=lambda diagnosis: diagnosis.confidence < SURE)


def section(found: Mapping[str, Signals], diagnoses: Sequence[Diagnosis]) -> Section:
    """What a report shows of it: every diagnosis with what it is seen by."""
    exhibits: list[Exhibit] = []
    for diagnosis in diagnoses:
        exhibits.append(
            Facts(
                title=f"{diagnosis.kind.replace('_', ' ').capitalize()} ({diagnosis.confidence:.0%} sure)",
                items=[("Seen", diagnosis.message), ("To do", diagnosis.mend)],
            )
        )
        exhibits.append(diagnosis.evidence)
        if diagnosis.images:
            exhibits.append(Listing(title="Images", text="\n".join(diagnosis.images)))
    if not diagnoses:
        exhibits.append(Facts(title="Nothing is wrong", items=[("Looked at", _looked_at(found))]))
    return Section(name="What the doctor says", exhibits=exhibits)


def measured(signals: Signals) -> list[Exhibit]:
    """Plots of what was measured, whatever the diagnoses."""
    stages = learning(signals)
    movement = {"median of the stages": lambda step: update(step, stages)}
    return [
        loss_plot(signals),
        by_step(signals, "Norm of the gradient", "norm", {"all weights": gradient}),
        by_step(signals, "How far weights move at a step", "share of the weights", movement),
        by_name(signals, "Norm of the gradient by stage", "norm", "gradient", stages),
    ]


def _looked_at(found: Mapping[str, Signals]) -> str:
    steps = sum(len(signals.steps) for signals in found.values())
    done = sum(signals.done for signals in found.values())
    return f"{steps:,} of {counted(done, 'step')}; what that can miss is said in docs/doctor.md"

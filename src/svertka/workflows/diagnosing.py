"""What the doctor saw of a run, finished or not, and what is made of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from svertka.errors import UserError
from svertka.exhibits import Curves, Exhibit, Facts, Listing
from svertka.report.page import Section
from svertka.training.diagnoses.diagnosing import SURE, diagnose
from svertka.training.diagnoses.diagnosis import Diagnosis
from svertka.training.diagnoses.readings import by_name, by_step, gradient, learning, loss_plot, update
from svertka.training.signals import Signals, read_saved, read_signals, signals_file
from svertka.wording import counted

_CHECKPOINT = "checkpoint"


def records(run: Path) -> dict[str, Signals]:
    """The records of the trainings of a run, by name, which that of a run from scratch has not; maybe none.

    A training of several updates has a record of each, named ``training:update``.

    Raises:
        UserError: One cannot be read.
    """
    found: dict[str, Signals] = {}
    for path in sorted(run.glob(signals_file(run, "*").name)) + sorted(run.glob(signals_file(run).name)):
        found |= _named(path.stem.partition("-")[2], read_signals(path))
    for path in sorted(run.glob(f"{_CHECKPOINT}*.safetensors")):
        name = path.name.removesuffix(".safetensors").removeprefix(_CHECKPOINT).removeprefix("-")
        if not name.endswith(".previous") and name not in map(_training, found):
            found |= _named(name, read_saved(path))
    return found


def _named(training: str, by_update: Mapping[str, Signals]) -> dict[str, Signals]:
    return {f"{training}:{update}" if update else training: signals for update, signals in by_update.items()}


def _training(name: str) -> str:
    return name.partition(":")[0]


def trainings(found: Mapping[str, Signals]) -> list[Signals]:
    """A record of each training: of its updates, of the one that ran most often."""
    most: dict[str, Signals] = {}
    for name, signals in found.items():
        training = _training(name)
        if training not in most or most[training].done < signals.done:
            most[training] = signals
    return list(most.values())


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
    """What is wrong with the trainings of a run, each kind once an update: what is sure first."""
    best: dict[str, Diagnosis] = {}
    for signals in found.values():
        for diagnosis in diagnose(signals, live=not signals.ended):
            if diagnosis.name not in best or best[diagnosis.name].confidence < diagnosis.confidence:
                best[diagnosis.name] = diagnosis
    return sorted(best.values(), key=lambda diagnosis: diagnosis.confidence < SURE)


def section(found: Mapping[str, Signals], diagnoses: Sequence[Diagnosis]) -> Section:
    """What a report shows of it: every diagnosis with what it is seen by."""
    exhibits: list[Exhibit] = []
    for diagnosis in diagnoses:
        exhibits.append(
            Facts(
                title=f"{diagnosis.title.capitalize()} ({diagnosis.confidence:.0%} sure)",
                items=[("Seen", diagnosis.message), ("To do", diagnosis.mend)],
            )
        )
        exhibits.append(diagnosis.evidence)
        if diagnosis.images:
            exhibits.append(Listing(title="Images", text="\n".join(diagnosis.images)))
    if not diagnoses:
        exhibits.append(Facts(title="Nothing is wrong", items=[("Looked at", _looked_at(found))]))
    return Section(name="What the doctor says", exhibits=exhibits)


def measured(found: Mapping[str, Signals]) -> list[Exhibit]:
    """Plots of what was measured in the last training, update by update, whatever the diagnoses."""
    last = _training(list(found)[-1])
    shown = [signals for name, signals in found.items() if _training(name) == last]
    return [
        dataclasses.replace(plot, title=f"{plot.title} ({signals.update})") if signals.update else plot
        for signals in shown
        for plot in _measured(signals)
    ]


def _measured(signals: Signals) -> list[Curves]:
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
    done = sum(signals.done for signals in found.values())  # of every update
    return f"{steps:,} of {counted(done, 'step')}; what that can miss is said in docs/doctor.md"

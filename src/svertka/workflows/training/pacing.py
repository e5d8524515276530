"""What a run has planned to learn, and for how long, is kept in its folder: a resumed run does what it has decided."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from svertka.errors import UserError
from svertka.runtime.checked import read_checked, write_checked
from svertka.runtime.files import write_text
from svertka.training.budget import Option, Pace, Phase

if TYPE_CHECKING:
    from pathlib import Path

    from svertka.workflows.training.stages import Clock

_PLAN = "plan.json"  # in the run's folder
_NOTHING = "null"  # is in it where nothing is to learn


def paced(folder: Path, clock: Clock, plan: Callable[[], Phase | None]) -> tuple[Phase, Pace] | None:
    """What learns and for how long, as was planned when the run began, and what counts its epochs.

    A resumed run does what it has decided, however long it was away.

    Args:
        folder: Of the run.
        clock: Counts the time that planning takes.
        plan: Plans now.

    Returns:
        None where nothing is to learn.

    Raises:
        UserError: What was planned cannot be read.
    """
    file = folder / _PLAN
    if file.is_file():
        try:
            if file.read_text() == _NOTHING:
                return None
            known = read_checked(file, required=False)
            decided = {_number(done): _number(count) for done, count in known["epochs"].items()}
            times = Option(int(known["depth"]), *map(float, known.get("times", (0, 0, 0, 0))))
            phase = Phase(times.depth, int(decided[0]), float(known["seconds"]), times, bool(known.get("pixels")))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise UserError("damaged, so the run cannot be resumed", where=file, mend="begin a new run") from error
    else:
        with clock.stage("planning"):
            found = plan()
        if found is None:
            give_up(folder)
            return None
        phase, decided = found, {0: found.epochs}
    return phase, pace_of(folder, phase, decided)


def pace_of(folder: Path, phase: Phase, decided: Mapping[float, float]) -> Pace:
    """What counts the epochs of a phase, and keeps what is decided in the run's folder."""

    def keep(pace: Pace) -> None:
        times = [pace.times.prepare, pace.times.epoch, pace.times.judging, pace.times.after]
        plan = {"depth": phase.depth, "seconds": pace.seconds, "epochs": pace.decided, "times": times}
        write_checked(folder / _PLAN, {**plan, "pixels": phase.pixels})

    pace = Pace(phase.seconds, dict(decided), keep, phase.times)
    keep(pace)
    return pace


def run_anew(folder: Path, phase: Phase, pace: Pace | None) -> tuple[Phase, Pace | None]:
    """Decide that frozen stages are run anew in every epoch of a phase, and keep that in the run's folder."""
    if pace:
        phase = pace.times.anew(pace.seconds)
        return phase, pace_of(folder, phase, {0: phase.epochs})
    write_checked(folder / _PLAN, {"pixels": True})
    return replace(phase, pixels=True), None


def keeps_pixels(folder: Path) -> bool:
    """Whether that was decided when a run without a budget began."""
    return (folder / _PLAN).is_file()


def give_up(folder: Path) -> None:
    """Decide that nothing learns after the head, and keep that in the run's folder."""
    write_text(folder / _PLAN, _NOTHING)


def _number(value: str | float) -> float:
    number = float(value)
    return int(number) if number.is_integer() else number

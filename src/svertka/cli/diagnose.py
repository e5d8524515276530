"""``svertka diagnose``."""

from __future__ import annotations

from pathlib import Path

from svertka.cli._output import Json, print_json, say
from svertka.commands.diagnose.command import diagnose as run_diagnose
from svertka.wording import counted

_MOST = 6  # images of a diagnosis


def diagnose(run: Path, /, *, out: Path | None = None, json: Json = False) -> int:
    """Say what is wrong with a training: by its losses, gradients, units, inputs, labels and data.

    The run may be finished, broken, interrupted or still running. The exit status is 1 if something is wrong.

    Parameters
    ----------
    run
        Folder of the run.
    out
        Folder for diagnosis.html, a page with the plots; a finished run has them in its report too.
    """
    found = run_diagnose(run, out=out)
    if json:
        print_json(found.to_json())
        return int(not found.ok)
    say(
        f"{found.run}: {found.state}, {counted(found.epochs, 'epoch')}; {found.looked_at:,} of "
        f"{counted(found.steps, 'step was', 'steps were')} "
        f"looked at, in {found.share:.1%} of the time of training\n"
    )
    for diagnosis in found.diagnoses:
        say(f"{diagnosis.title} ({diagnosis.confidence:.0%} sure): {diagnosis.message}")
        for line in diagnosis.images[:_MOST]:
            say(f"    {line}")
        if len(diagnosis.images) > _MOST:
            say(f"    … and {len(diagnosis.images) - _MOST:,} more")
        say(f"  {diagnosis.mend}")
    if found.ok:
        say("nothing is wrong, as far as can be seen")
    if found.report is not None:
        say(f"page: {found.report}")
    return int(not found.ok)

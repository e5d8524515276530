"""``svertka train``."""

from __future__ import annotations

import dataclasses
import os
import typing
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from svertka.cli._output import Flag, Json, duration, metrics_line, print_json, print_table, say, whole
from svertka.commands.train.command import Recipe
from svertka.commands.train.command import train as run_train
from svertka.commands.train.result import CrossValidated, Trained, Trial
from svertka.wording import counted, inflected


def _recipe_flags() -> type[Any]:
    # Every field of the recipe as a flag that is None unless given, so that a recipe file keeps its say.
    hints = typing.get_type_hints(Recipe)
    fields = []
    for item in dataclasses.fields(Recipe):
        kind: Any = dict[str, bool | int | float | str] if item.name == "net_options" else hints[item.name]
        converter = whole if kind in (int, int | None) else duration if item.name == "budget" else None
        shown = item.default if item.default not in (None, dataclasses.MISSING, ()) else False
        if isinstance(shown, tuple):
            shown = ", ".join(shown)
        parameter = Parameter(
            show_default=str(shown) if shown is not False else False,
            negative=(),
            consume_multiple=item.name in ("augment", "views", "taps", "loss"),
            converter=converter,
        )
        fields.append((item.name, Annotated[kind | None, parameter], dataclasses.field(default=None)))
    flags = dataclasses.make_dataclass("RecipeFlags", fields, kw_only=True, frozen=True)
    flags.__doc__ = (Recipe.__doc__ or "").replace("``", "")  # where the help of each flag comes from
    flags.__module__ = __name__
    return flags


_LINES = 14  # of the curve of a range test
_Flags = _recipe_flags()
RecipeFlags: Any = Annotated[_Flags, Parameter(name="*", group="Recipe")]


def train(
    data: Path,
    /,
    *,
    recipe: Path | None = None,
    out: Path | None = None,
    resume: Flag = False,
    find_lr: Flag = False,
    check_wiring: Flag = False,
    flags: RecipeFlags = _Flags(),  # noqa: B008 (it is frozen)
    json: Json = False,
) -> int:
    """Train a network on a folder of images.

    Parameters
    ----------
    data
        Folder of class folders (FOLDER/CLASS/IMAGE.jpg, or train/, val/, test/ with class folders in them), folder
        of IDX files, or CSV with columns file and label; several labels are divided by semicolons.
    recipe
        TOML file of a recipe, as a run saves it; flags given beside it take precedence.
    out
        Folder of the run, which must not exist. By default a new one below runs/.
    resume
        Go on with the run in --out; begin it if there is none.
    find_lr
        Train nothing, but let the learning rate rise over a few hundred steps (Smith, 2017) and suggest one; --out is
        then a folder for the page with the curve.
    check_wiring
        Train nothing, but see whether one batch can be learnt by heart, and if not, say what is wrong. The exit
        status is then 1.
    """
    changes = {name: value for name, value in vars(flags).items() if value is not None}
    if "net_options" in changes:
        changes["net_options"] = {name: _option(value) for name, value in changes["net_options"].items()}
    trained = run_train(
        data,
        recipe,
        out=out,
        resume=resume,
        find_lr=find_lr,
        check_wiring=check_wiring,
        progress=not json,
        **changes,
    )
    if os.environ.get("RANK", "0") != "0":  # of several processes, one speaks
        return 0
    if json:
        print_json(trained.to_json())
        return int(isinstance(trained, Trial) and not trained.ok)
    if isinstance(trained, Trial):
        _print_trial(trained)
        return int(not trained.ok)
    if isinstance(trained, CrossValidated):
        _print_folds(trained)
    else:
        _print_trained(trained)
    return 0


def _print_folds(trained: CrossValidated) -> None:
    for number, metrics in enumerate(trained.by_fold, 1):
        say(f"fold {number}: {metrics_line(metrics)}")
    spread = [
        f"{name.replace('_', ' ')} {mean:.4f} ± {trained.deviation[name]:.4f}" for name, mean in trained.metrics.items()
    ]
    say(f"mean ± deviation: {', '.join(spread)}\nreport: {trained.report}")


def _print_trained(trained: Trained) -> None:
    if trained.judged_on:
        say(f"on {trained.judged_on}: {metrics_line(trained.metrics)}")
    if trained.skipped:
        say(
            f"left out: {counted(len(trained.skipped), 'file')}; the report names "
            f"{inflected(len(trained.skipped), 'it', 'them')}"
        )
    say(f"model:  {trained.model}\nreport: {trained.report}")


def _print_trial(trial: Trial) -> None:
    if trial.test == "find_lr":
        places = range(0, len(trial.rates), max(1, len(trial.rates) // _LINES))
        print_table(("learning rate", "loss"), [[f"{trial.rates[place]:.1e}", trial.losses[place]] for place in places])
        say(f"\nsuggested: --lr {trial.lr:g}, where the loss fell fastest or safely below where it was least")
    elif trial.ok:
        say(
            f"one batch of {counted(trial.images, trial.media)} was learnt by heart in "
            f"{counted(len(trial.losses), 'step')}: "
            f"the loss fell from {trial.losses[0]:.3g} to {trial.losses[-1]:.3g}"
        )
    else:
        say(f"one batch of {counted(trial.images, trial.media)} could not be learnt by heart:")
        for fault in trial.faults:
            say(f"  {fault}")
    if trial.report is not None:
        say(f"page: {trial.report}")


def _option(value: Any) -> Any:
    # A list, such as hidden=256,128.
    if isinstance(value, str) and "," in value:
        return [int(piece) if piece.strip().isdigit() else piece.strip() for piece in value.split(",") if piece.strip()]
    return value

"""Train: from a folder of images to a run with its model file and report.

Packages that need torch are imported when a command is called, so that reading this interface is quick.
"""

from __future__ import annotations

import dataclasses
import shlex
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from svertka.commands.train.folds import cross_validate
from svertka.commands.train.result import CrossValidated, Trial
from svertka.errors import UserError
from svertka.training.recipe import Recipe as Recipe
from svertka.workflows.progress import Display
from svertka.workflows.run_folder import Run
from svertka.workflows.trained import Trained

if TYPE_CHECKING:
    import torch

    from svertka.data.samples import Dataset
    from svertka.workflows.training.stages import Plan


def train(
    data: str | PathLike[str] | Dataset | torch.utils.data.Dataset[Any],
    recipe: Recipe | str | PathLike[str] | None = None,
    *,
    out: str | PathLike[str] | None = None,
    resume: bool = False,
    find_lr: bool = False,
    check_wiring: bool = False,
    progress: bool = True,
    **changes: Any,
) -> Trained | CrossValidated | Trial:
    """Train a network on a data set.

    Args:
        data: Folder of class folders, folder of IDX files, or CSV of file and label or labels; or a data set in memory,
            as `svertka.open_dataset` takes it.
        recipe: A recipe or the TOML file of one; the default recipe if not given.
        out: Folder of the run, which must not exist; a new one below ``runs/`` by default.
        resume: Go on with the run in ``out``. Where there is none yet, it is begun, so that a command can
            simply be given again until it succeeds.
        find_lr: Train nothing, but let the learning rate rise over a few hundred steps and suggest one; ``out`` is then
            a folder for the page with the curve.
        check_wiring: Train nothing, but see whether one batch can be learnt by heart; ``out`` likewise.
        progress: Show progress on standard error.
        **changes: Fields of the recipe to change, such as ``epochs=5``; see `Recipe`. ``net`` can be a
            `torch.nn.Module` too, or a class of one, and ``task`` a task or the record of one.

    Returns:
        The run; of ``folds``, all of their runs, with the mean and the deviation of what was measured.
        Of ``find_lr`` and ``check_wiring``, what was measured.

    Raises:
        UserError: The data, the recipe or the folder cannot be used; or training was interrupted, after saving.
    """
    from svertka.workflows.given import named, source_of

    changes, source = named(changes, recipe), source_of(data)
    place = source if isinstance(source, Path) else source.root
    if find_lr or check_wiring:
        if resume or (find_lr and check_wiring):
            raise UserError("two things are asked for at once", mend="give --find-lr, --check-wiring or --resume alone")
        run = Run.open(place, recipe, changes, None if out is None else Path(out), False)
        test = "find_lr" if find_lr else "check_wiring"
        return _try_out(run, source, test, None if out is None else run.folder, progress)
    run = Run.open(place, recipe, changes, None if out is None else Path(out), resume)
    if run.recipe.folds and not run.recipe.fold:
        return cross_validate(run, place, lambda fold: _train_or_find(fold, source, run, progress))
    return _train_or_find(run, source, run, progress)


def _train_or_find(run: Run, source: Path | Dataset, whole: Run, progress: bool) -> Trained:
    # ``whole`` is what is resumed: the run itself, or that of all folds.
    if run.finished:
        return run.result()
    try:
        return _train(run, source, whole, progress)
    except KeyboardInterrupt:
        if not run.begun:
            raise
        raise _interrupted(whole, source, "after the last checkpoint") from None


def _try_out(run: Run, source: Path | Dataset, test: str, out: Path | None, progress: bool) -> Trial:
    from svertka.commands.train.preparing import planned, read_data
    from svertka.commands.train.trying import try_out
    from svertka.training.memory import enough_memory
    from svertka.workflows.training.stages import Clock, Context

    if run.recipe.weights is not None:
        flag = f"--{test.replace('_', '-')}"
        raise UserError(f"{flag} is for learning from scratch", mend="leave --weights out")
    if test == "check_wiring":
        run = dataclasses.replace(run, recipe=run.recipe.changed({"label_smoothing": 0.0}))
    clock, plan = Clock(), planned(run)
    context = Context(_display(plan, progress), clock)
    data = read_data(plan, source, context)
    with enough_memory():
        return try_out(plan, data, context.display, test, out)


def _train(run: Run, source: Path | Dataset, whole: Run, progress: bool) -> Trained:
    from svertka.commands.train.finishing import finish
    from svertka.commands.train.preparing import planned, read_data
    from svertka.training.loop import InterruptedTrainingError
    from svertka.training.memory import enough_memory
    from svertka.workflows.training.learners import learner_of
    from svertka.workflows.training.stages import Clock, Context

    clock, plan = Clock(), planned(run)
    context = Context(_display(plan, progress), clock)
    data = read_data(plan, source, context)
    try:
        with enough_memory():
            learnt = learner_of(run.recipe)(plan, data, context)
    except InterruptedTrainingError as stopped:
        raise _interrupted(whole, source, f"{stopped}; all is saved") from None
    return finish(plan, data, learnt, context)


def _display(plan: Plan, progress: bool) -> Display:
    from svertka.zoo import registry

    recipe = plan.recipe
    media = registry.record(recipe.net).media
    return Display(show=progress and plan.machine.first, epochs=recipe.epochs, batch=recipe.batch, media=media)


def _interrupted(run: Run, source: Path | Dataset, how: str) -> UserError:
    if not isinstance(source, Path):
        again = f"call svertka.train with the same data again, out={str(run.folder)!r} and resume=True"
        return UserError(f"interrupted {how}", mend=again)
    command = shlex.join(["svertka", "train", str(source), "--out", str(run.folder), "--resume"])
    return UserError(f"interrupted {how}", mend=f"go on with: {command}")

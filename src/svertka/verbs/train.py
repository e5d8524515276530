"""Train: from a folder of images to a run with its model file and report.

Rooms that need torch are imported when a verb is called, so that reading this interface is quick.
"""

from __future__ import annotations

import dataclasses
import math
import shlex
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from svertka.errors import UserError
from svertka.training.recipe import Recipe as Recipe
from svertka.verbs._card import card_of
from svertka.verbs._images import preprocess_of, say_data
from svertka.verbs._job import Clock, Job
from svertka.verbs._progress import Display
from svertka.verbs._run import Run, Trained

if TYPE_CHECKING:
    from svertka.data.preparing import Prepared
    from svertka.runtime.preprocess import Preprocess


def train(
    data: str | PathLike[str],
    recipe: Recipe | str | PathLike[str] | None = None,
    *,
    out: str | PathLike[str] | None = None,
    resume: bool = False,
    progress: bool = True,
    **changes: Any,
) -> Trained:
    """Train a network on a data set.

    Args:
        data: Folder of class folders, folder of IDX files, or CSV of file and label or labels.
        recipe: A recipe or the TOML file of one; the default recipe if not given.
        out: Folder of the run, which must not exist; a new one below ``runs/`` by default.
        resume: Go on with the run in ``out``. Where there is none yet, it is begun, so that a command can
            simply be given again until it succeeds.
        progress: Show progress on standard error.
        **changes: Fields of the recipe to change, such as ``epochs=5``; see `Recipe`.

    Raises:
        UserError: The data, the recipe or the folder cannot be used; or training was interrupted, after saving.
    """
    source = Path(data)
    run = Run.open(source, recipe, changes, None if out is None else Path(out), resume)
    if run.finished:
        return run.result()
    try:
        return _train(run, source, progress)
    except KeyboardInterrupt:
        if not run.begun:
            raise
        raise _interrupted(run, source, "after the last checkpoint") from None


def _train(run: Run, source: Path, progress: bool) -> Trained:
    from svertka.data.augment import check_names
    from svertka.data.preparing import learnable_classes, measure
    from svertka.tasks.making import task_for
    from svertka.training.loop import InterruptedTrainingError
    from svertka.training.machine import start_fabric
    from svertka.verbs._report import write_run_report
    from svertka.verbs._scratch import from_scratch
    from svertka.verbs._transfer import from_weights
    from svertka.zoo.engine import TorchEngine
    from svertka.zoo.modelfile import save_model

    recipe = run.recipe
    preprocess = preprocess_of(recipe)
    check_names(recipe.augment)
    fabric = start_fabric(recipe)
    first = fabric.is_global_zero
    display = Display(show=progress and first, epochs=recipe.epochs, batch=recipe.batch)

    clock = Clock()
    with clock.stage("reading"):
        with fabric.rank_zero_first():  # the others find the images decoded
            prepared = _prepare(source, preprocess, recipe, display)
        classes = learnable_classes(prepared)
        _check_judged(recipe, prepared)
        if recipe.weights is None:
            mean, std = measure(prepared)
            preprocess = dataclasses.replace(preprocess, mean=mean, std=std)
    say_data(display, prepared, classes)
    task = task_for(
        prepared.parts["train"].labels,
        classes,
        label_smoothing=recipe.label_smoothing,
        balanced=recipe.balance == "weights",
    )
    job = Job(run, recipe, prepared, task, preprocess, fabric, display, clock)
    try:
        learnt = from_scratch(job) if recipe.weights is None else from_weights(job)
    except InterruptedTrainingError as stopped:
        raise _interrupted(run, source, f"{stopped}; all is saved") from None
    task = task.settled(learnt.evaluations.get("val"))
    evaluations = {part: task.score().evaluate(found.arrays) for part, found in learnt.evaluations.items()}
    learnt = dataclasses.replace(learnt, evaluations=evaluations)
    outcome = learnt.outcome
    judged_on = next((part for part in ("test", "val") if part in prepared.parts), None)
    metrics = {part: dict(evaluation.metrics) for part, evaluation in evaluations.items()}
    for part, values in metrics.items():
        for name, value in values.items():
            if not math.isfinite(value):
                raise UserError(f"the {name} on {part} is {value}", where=run.folder, mend="try a lower --lr")
    if not first:
        return run.trained(metrics.get(judged_on or "", {}), judged_on, {}, ())
    card = card_of(learnt, task, preprocess, prepared, metrics, TorchEngine(learnt.net), judged_on or "train")
    trained = run.trained(
        metrics[judged_on] if judged_on else {},
        judged_on,
        clock.seconds | outcome.seconds,
        tuple(item.to_json() for item in prepared.skipped),
        tuple(step.to_json() for step in learnt.tried),
    )
    card = save_model(trained.model, outcome.weights, card)
    run.write_history(outcome.history)
    write_run_report(trained, card, task, prepared, learnt)
    run.finish(trained)
    run.forget_checkpoints()
    return trained


def _interrupted(run: Run, source: Path, how: str) -> UserError:
    command = shlex.join(["svertka", "train", str(source), "--out", str(run.folder), "--resume"])
    return UserError(f"interrupted {how}", mend=f"go on with: {command}")


def _prepare(source: Path, preprocess: Preprocess, recipe: Recipe, display: Display) -> Prepared:
    from svertka.data.preparing import prepare

    return prepare(source, preprocess, val_fraction=recipe.val_fraction, seed=recipe.seed, advance=display.advance)


def _check_judged(recipe: Recipe, prepared: Prepared) -> None:
    if "val" not in prepared.parts and (recipe.early_stop or recipe.schedule == "plateau"):
        asked = "--early-stop" if recipe.early_stop else "--schedule plateau"
        raise UserError(
            f"{asked} goes by validation, and nothing is held out",
            where=prepared.dataset.root,
            mend="give --val-fraction, or a val/ folder",
        )

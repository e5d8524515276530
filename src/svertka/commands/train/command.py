"""Train: from a folder of images to a run with its model file and report.

Packages that need torch are imported when a command is called, so that reading this interface is quick.
"""

from __future__ import annotations

import dataclasses
import math
import shlex
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from svertka.commands.train.folds import cross_validate
from svertka.commands.train.result import CrossValidated, Trial
from svertka.errors import UserError
from svertka.training.recipe import Recipe as Recipe
from svertka.workflows.images import preprocess_of, say_data
from svertka.workflows.progress import Display
from svertka.workflows.run_folder import Run
from svertka.workflows.trained import Trained
from svertka.workflows.training.card import card_of
from svertka.workflows.training.job import Clock, Job

if TYPE_CHECKING:
    from svertka.data.preparing import Prepared


def train(
    data: str | PathLike[str],
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
        data: Folder of class folders, folder of IDX files, or CSV of file and label or labels.
        recipe: A recipe or the TOML file of one; the default recipe if not given.
        out: Folder of the run, which must not exist; a new one below ``runs/`` by default.
        resume: Go on with the run in ``out``. Where there is none yet, it is begun, so that a command can
            simply be given again until it succeeds.
        find_lr: Train nothing, but let the learning rate rise over a few hundred steps and suggest one; ``out`` is then
            a folder for the page with the curve.
        check_wiring: Train nothing, but see whether one batch can be learnt by heart; ``out`` likewise.
        progress: Show progress on standard error.
        **changes: Fields of the recipe to change, such as ``epochs=5``; see `Recipe`.

    Returns:
        The run; of ``folds``, all of their runs, with the mean and the deviation of what was measured.
        Of ``find_lr`` and ``check_wiring``, what was measured.

    Raises:
        UserError: The data, the recipe or the folder cannot be used; or training was interrupted, after saving.
    """
    source = Path(data)
    if find_lr or check_wiring:
        if resume or (find_lr and check_wiring):
            raise UserError("two things are asked for at once", mend="give --find-lr, --check-wiring or --resume alone")
        run = Run.open(source, recipe, changes, None if out is None else Path(out), False)
        test = "find_lr" if find_lr else "check_wiring"
        return _try_out(run, source, test, None if out is None else run.folder, progress)
    run = Run.open(source, recipe, changes, None if out is None else Path(out), resume)
    if run.recipe.folds and not run.recipe.fold:
        return cross_validate(run, source, lambda fold: _train_or_find(fold, source, run, progress))
    return _train_or_find(run, source, run, progress)


def _train_or_find(run: Run, source: Path, whole: Run, progress: bool) -> Trained:
    # ``whole`` is what is resumed: the run itself, or that of all folds.
    if run.finished:
        return run.result()
    try:
        return _train(run, source, whole, progress)
    except KeyboardInterrupt:
        if not run.begun:
            raise
        raise _interrupted(whole, source, "after the last checkpoint") from None


def _try_out(run: Run, source: Path, test: str, out: Path | None, progress: bool) -> Trial:
    from svertka.commands.train.trying import try_out
    from svertka.training.memory import enough_memory

    display = Display(show=progress, batch=run.recipe.batch)
    if test == "check_wiring":
        run = dataclasses.replace(run, recipe=run.recipe.changed({"label_smoothing": 0.0}))
    job = _ready(run, source, display, Clock())
    with enough_memory():
        return try_out(job, test, out)


def _ready(run: Run, source: Path, display: Display, clock: Clock) -> Job:
    from svertka.commands.train.findings import quick_findings, say_findings
    from svertka.data.augmentation.augment import check_names
    from svertka.data.preparing import learnable_classes, measure
    from svertka.tasks.making import task_for
    from svertka.tasks.task import Choices
    from svertka.training.machine import Machine
    from svertka.workflows.training.flags import check_flags
    from svertka.workflows.training.learners import learner_of
    from svertka.workflows.training.rejecting import check_reject
    from svertka.workflows.training.scratch import check_suits

    recipe = run.recipe
    check_names(recipe.augment)
    # What is wrong with the recipe is said before a large folder is read.
    learner_of(recipe, run.typed)
    check_flags(recipe, run.typed)
    machine = Machine(recipe)
    if recipe.budget and machine.world > 1:
        raise UserError(
            f"--budget goes by timing, and {machine.world} processes would not all time the same",
            mend="start one process, or give --freeze and --epochs",
        )
    display.show = display.show and machine.first
    with clock.stage("reading"):
        with machine.first_goes_first():  # the others find the images decoded
            prepared = _prepare(source, recipe, display)
        classes = learnable_classes(prepared)
        _check_judged(recipe, prepared)
        preprocess = prepared.images.preprocess
        if recipe.weights is not None:
            recipe = recipe.changed({"image_size": preprocess.height})
        else:
            mean, std = measure(prepared)
            preprocess = dataclasses.replace(preprocess, mean=mean, std=std)
    say_data(display, prepared, classes)
    with clock.stage("checking"):
        found = quick_findings(prepared) if machine.first else []
    say_findings(display, found)
    task = task_for(
        prepared.parts["train"].labels,
        classes,
        preprocess,
        Choices(
            label_smoothing=recipe.label_smoothing,
            balanced=recipe.balance == "weights",
            losses=recipe.loss,
            border=recipe.border,
        ),
    )
    check_suits(recipe.net, task)
    check_reject(recipe, prepared, task)
    return Job(run, recipe, prepared, task, preprocess, machine, display, clock, findings=found)


def _train(run: Run, source: Path, whole: Run, progress: bool) -> Trained:
    from svertka.commands.train.page import write_run_report
    from svertka.training.loop import InterruptedTrainingError
    from svertka.training.memory import enough_memory
    from svertka.workflows.diagnosing import judged, records, section
    from svertka.workflows.rejection import FALSE_REJECTS
    from svertka.workflows.training.learners import learner_of
    from svertka.zoo.engine import TorchEngine
    from svertka.zoo.modelfile import save_model

    clock, display = Clock(), Display(show=progress, epochs=run.recipe.epochs, batch=run.recipe.batch)
    job = _ready(run, source, display, clock)
    recipe, prepared, task, preprocess, first = job.recipe, job.prepared, job.task, job.preprocess, job.machine.first
    found = job.findings or ()
    try:
        with enough_memory():
            learnt = learner_of(recipe)(job)
    except InterruptedTrainingError as stopped:
        raise _interrupted(whole, source, f"{stopped}; all is saved") from None
    task = task.settled(learnt.evaluations.get("val"))
    evaluations = {part: task.score().evaluate(found.arrays) for part, found in learnt.evaluations.items()}
    learnt = dataclasses.replace(learnt, evaluations=evaluations)
    outcome = learnt.outcome
    judged_on = next((part for part in ("test", "val") if part in prepared.parts), None)
    metrics = {part: dict(evaluation.metrics) for part, evaluation in evaluations.items()}
    if learnt.rejection:
        for part, rate in learnt.rejection.refused.items():
            metrics[part][FALSE_REJECTS] = rate.share
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
        tuple(finding.to_json() for finding in found if finding.severity != "note"),
        tuple(prepared.notes),
    )
    card = save_model(trained.model, outcome.weights, card)
    run.write_history(outcome.history)
    seen = records(run.folder)
    diagnoses = judged(seen)
    told = {name for signals in seen.values() for name in signals.said}
    for diagnosis in diagnoses:
        if diagnosis.name not in told:
            display.say(f"diagnosis: {diagnosis.line()}")
    write_run_report(trained, card, task, prepared, learnt, found, section(seen, diagnoses) if seen else None)
    run.finish(trained)
    run.forget_checkpoints()
    return trained


def _interrupted(run: Run, source: Path, how: str) -> UserError:
    command = shlex.join(["svertka", "train", str(source), "--out", str(run.folder), "--resume"])
    return UserError(f"interrupted {how}", mend=f"go on with: {command}")


def _prepare(source: Path, recipe: Recipe, display: Display) -> Prepared:
    from svertka.data.preparing import prepare

    preprocess_of(recipe)
    if recipe.fold > recipe.folds:
        raise UserError(f"fold {recipe.fold} of {recipe.folds}", mend="give --folds, and a --fold that is one of them")
    if recipe.split and (recipe.folds or recipe.group):
        raise UserError("a split is given, and another asked for", mend="leave out --split, or --folds and --group")
    return prepare(
        source,
        lambda images: preprocess_of(recipe, images),
        val_fraction=recipe.val_fraction,
        seed=recipe.seed,
        group=recipe.group,
        fold=(recipe.fold, recipe.folds) if recipe.fold else None,
        split=None if recipe.split is None else Path(recipe.split),
        format=recipe.format,
        advance=display.advance,
    )


def _check_judged(recipe: Recipe, prepared: Prepared) -> None:
    if "val" not in prepared.parts and (recipe.early_stop or recipe.schedule == "plateau"):
        asked = "--early-stop" if recipe.early_stop else "--schedule plateau"
        raise UserError(
            f"{asked} goes by validation, and nothing is held out",
            where=prepared.dataset.root,
            mend="give --val-fraction, or a val/ folder",
        )

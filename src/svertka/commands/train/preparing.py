"""The first two stages of a training: its plan, seen to be possible, and its data, read and checked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from svertka.commands.train.findings import quick_findings, say_findings
from svertka.data.augmentation.augment import check_names
from svertka.data.preparing import learnable_classes, measured, prepare
from svertka.errors import UserError
from svertka.tasks.making import task_for
from svertka.tasks.task import Choices
from svertka.training.machine import Machine
from svertka.workflows.images import say_data
from svertka.workflows.inputs import transform_of
from svertka.workflows.training.flags import check_flags
from svertka.workflows.training.learners import learner_of
from svertka.workflows.training.network import check_suits
from svertka.workflows.training.rejecting import check_reject
from svertka.workflows.training.stages import Data, Plan

if TYPE_CHECKING:
    from svertka.data.preparing import Prepared
    from svertka.data.samples import Dataset
    from svertka.runtime.inputs import InputTransform
    from svertka.tasks.task import Task
    from svertka.training.recipe import Recipe
    from svertka.workflows.progress import Display
    from svertka.workflows.run_folder import Run
    from svertka.workflows.training.stages import Context


def planned(run: Run) -> Plan:
    """The plan of a run: what is wrong with its recipe is said here, before a large folder is read.

    Raises:
        UserError: It cannot be followed, or something was typed that would change nothing.
    """
    recipe = run.recipe
    check_names(recipe.augment)
    learner_of(recipe, run.typed)
    check_flags(recipe, run.typed)
    machine = Machine(recipe)
    if recipe.budget and machine.world > 1:
        raise UserError(
            f"--budget goes by timing, and {machine.world} processes would not all time the same",
            mend="start one process, or give --freeze and --epochs",
        )
    transform_of(recipe)
    if recipe.fold > recipe.folds:
        raise UserError(f"fold {recipe.fold} of {recipe.folds}", mend="give --folds, and a --fold that is one of them")
    if recipe.split and (recipe.folds or recipe.group):
        raise UserError("a split is given, and another asked for", mend="leave out --split, or --folds and --group")
    return Plan(run, machine)


def read_data(plan: Plan, source: Path | Dataset, context: Context) -> Data:
    """Read the data of a plan, and see what is wrong with them.

    Args:
        plan: How they are to be divided, and what is to be learnt of them.
        source: Where a data set lies, or the data set.
        context: Is told what was read, and counts the time.

    Raises:
        UserError: They cannot be read, or what the plan says cannot be learnt of them.
    """
    recipe, machine = plan.recipe, plan.machine
    with context.clock.stage("reading"):
        with machine.first_goes_first():  # the others find the images decoded
            prepared = _read(recipe, source, context.display)
        classes = learnable_classes(prepared)
        _check_judged(recipe, prepared)
        transform = prepared.contents.transform if recipe.weights is not None else measured(prepared)
    say_data(context.display, prepared, classes)
    with context.clock.stage("checking"):
        found = quick_findings(prepared) if machine.first else None
    say_findings(context.display, found or ())
    task = _task(recipe, prepared, classes, transform)
    check_suits(recipe.net, task)
    check_reject(recipe, prepared, task)
    return Data(prepared, task, transform, found)


def _read(recipe: Recipe, source: Path | Dataset, display: Display) -> Prepared:
    return prepare(
        source,
        lambda sources, media: transform_of(recipe, sources, media),
        val_fraction=recipe.val_fraction,
        seed=recipe.seed,
        group=recipe.group,
        fold=(recipe.fold, recipe.folds) if recipe.fold else None,
        split=None if recipe.split is None else Path(recipe.split),
        format=recipe.format,
        task=_wanted(recipe),
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


def _task(recipe: Recipe, prepared: Prepared, classes: tuple[str, ...], transform: InputTransform) -> Task:
    choices = Choices(
        label_smoothing=recipe.label_smoothing,
        balanced=recipe.balance == "weights",
        losses=recipe.loss,
        border=recipe.border,
    )
    return task_for(prepared.parts["train"].labels, classes, transform, choices, name=_wanted(recipe))


def _wanted(recipe: Recipe) -> str | None:
    return None if recipe.task == "auto" else recipe.task

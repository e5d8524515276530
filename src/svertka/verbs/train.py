"""Train: from a folder of images to a run with its model file and report.

Rooms that need torch are imported when a verb is called, so that reading this interface is quick.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import math
import shlex
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from svertka.errors import UserError, nearest
from svertka.runtime.card import Card, Golden
from svertka.runtime.preprocess import Preprocess
from svertka.training.recipe import Recipe as Recipe
from svertka.verbs._job import Clock, Job
from svertka.verbs._models import model_file
from svertka.verbs._progress import Display
from svertka.verbs._run import Run, Trained
from svertka.zoo import registry

if TYPE_CHECKING:
    from svertka.data.preparing import Prepared
    from svertka.tasks.task import Task
    from svertka.verbs._job import Learnt
    from svertka.zoo.engine import TorchEngine

_GOLDEN = 4  # inputs that prove a model file
_GOLDEN_SIDE = 64  # pixels of their longer side, at most


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
    from svertka.data.augment import AUGMENTATIONS
    from svertka.data.preparing import learnable_classes, measure
    from svertka.tasks.making import task_for
    from svertka.training.loop import InterruptedTrainingError
    from svertka.training.machine import start_fabric
    from svertka.verbs._report import write_run_report
    from svertka.verbs._scratch import from_scratch
    from svertka.verbs._transfer import from_weights
    from svertka.zoo.engine import TorchEngine
    from svertka.zoo.modelfile import save_model

    recipe, record = run.recipe, registry.record(run.recipe.net)
    known = None if recipe.weights is None else _known_preprocess(Path(recipe.weights))
    size = recipe.image_size or (known.height if known else record.image_size)
    channels = recipe.channels or (known.channels if known else record.channels)
    if size < record.smallest:
        raise UserError(
            f"{record.name} takes images from {record.smallest}×{record.smallest} on, not {size}×{size}",
            mend=f"give --image-size {record.image_size}",
        )
    for name in recipe.augment:
        if name not in AUGMENTATIONS:
            raise UserError(f"unknown augmentation {name!r}", mend=nearest(name, [*AUGMENTATIONS, "none"]))
    preprocess = Preprocess(height=size, width=size, channels=channels, mean=(0,) * channels, std=(1,) * channels)
    if known:
        preprocess = _adapted(known, preprocess)
    fabric = start_fabric(recipe)
    first = fabric.is_global_zero
    display = Display(show=progress and first, epochs=recipe.epochs, batch=recipe.batch)

    clock = Clock()
    with clock.stage("reading"):
        with fabric.rank_zero_first():  # the others find the images decoded
            prepared = _prepare(source, preprocess, recipe, display)
        classes = learnable_classes(prepared)
        _check_judged(recipe, prepared)
        if not known:
            mean, std = measure(prepared)
            preprocess = dataclasses.replace(preprocess, mean=mean, std=std)
    _say_data(display, prepared, classes)
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
    card = _card(learnt, task, preprocess, prepared, metrics, TorchEngine(learnt.net), judged_on or "train")
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


def _say_data(display: Display, prepared: Prepared, classes: tuple[str, ...]) -> None:
    counts = ", ".join(f"{part} {count:,}" for part, count in prepared.counts.items())
    display.say(f"{prepared.dataset.root}: {prepared.dataset.format}, {len(classes)} classes; images: {counts}")
    for note in prepared.notes:
        display.say(f"  {note}")
    for item in prepared.skipped[:5]:
        display.warn(f"skipped {item.file}: {item.error}")
    if len(prepared.skipped) > 5:
        display.warn(f"skipped {len(prepared.skipped) - 5} more; all are in the report")


def _known_preprocess(weights: Path) -> Preprocess:
    from svertka.zoo.modelfile import read_card

    return read_card(model_file(weights)).preprocess


def _adapted(known: Preprocess, wanted: Preprocess) -> Preprocess:
    # As the weights were trained, but the whole image, at the size and in the channels that are wanted.
    mean, std, order = known.mean, known.std, known.order
    if wanted.channels != known.channels:
        mean = (sum(mean) / len(mean),) * wanted.channels
        std = (sum(std) / len(std),) * wanted.channels
        order = "rgb"
    return dataclasses.replace(wanted, interpolation=known.interpolation, mean=mean, std=std, order=order)


def _check_judged(recipe: Recipe, prepared: Prepared) -> None:
    if "val" not in prepared.parts and (recipe.early_stop or recipe.schedule == "plateau"):
        asked = "--early-stop" if recipe.early_stop else "--schedule plateau"
        raise UserError(
            f"{asked} goes by validation, and nothing is held out",
            where=prepared.dataset.root,
            mend="give --val-fraction, or a val/ folder",
        )


def _card(
    learnt: Learnt,
    task: Task,
    preprocess: Preprocess,
    prepared: Prepared,
    metrics: Mapping[str, Mapping[str, float]],
    engine: TorchEngine,
    part: str,
) -> Card:
    recipe = learnt.recipe
    # No clock times and no folder names of this machine: the same run gives the same file.
    provenance = {
        "packages": _versions(),
        "data": {
            "name": prepared.dataset.root.resolve().name.encode(errors="replace").decode(),
            "format": prepared.dataset.format,
            "fingerprint": prepared.fingerprint,
            "images": prepared.counts,
            "skipped": len(prepared.skipped),
            "val_fraction": recipe.val_fraction,
            "seed": recipe.seed,
        },
        "recipe": dataclasses.asdict(recipe),
        "epoch": learnt.outcome.best_epoch,
        **learnt.record,
    }
    return Card(
        net=recipe.net,
        arguments=learnt.arguments,
        task=task.name,
        classes=task.classes,
        preprocess=preprocess,
        licence=learnt.licence,
        provenance=provenance,
        metrics=metrics,
        golden=_golden(prepared, part, preprocess, engine),
        weights="",
        thresholds=task.thresholds,
    )


def _golden(prepared: Prepared, part: str, preprocess: Preprocess, engine: TorchEngine) -> tuple[Golden, ...]:
    positions = prepared.parts[part].positions
    chosen = positions[np.linspace(0, len(positions) - 1, min(_GOLDEN, len(positions))).astype(int)]
    images = [_small(prepared.samples[position].source.load()[0]) for position in chosen]
    return tuple(
        Golden(image, {name: value[0] for name, value in engine.run(preprocess([image])).items()}) for image in images
    )


def _small(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    picture = Image.fromarray(image)
    picture.thumbnail((_GOLDEN_SIDE, _GOLDEN_SIDE))
    return np.asarray(picture)


def _versions() -> dict[str, str]:
    import platform

    import PIL
    import torch

    return {
        "svertka": importlib.metadata.version("svertka"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "pillow": PIL.__version__,
    }

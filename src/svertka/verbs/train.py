"""Train: from a folder of images to a run with its model file and report.

Rooms that need torch are imported when a verb is called, so that reading this interface is quick.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import math
import shlex
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
from svertka.verbs._progress import Display
from svertka.verbs._run import Run, Trained
from svertka.zoo import registry

if TYPE_CHECKING:
    from svertka.data.preparing import Prepared
    from svertka.layers.trunk import Classifier
    from svertka.tasks.task import Task
    from svertka.training.loop import Outcome
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
        data: Folder of class folders, folder of IDX files, or CSV of file and label.
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
    from svertka.data.batches import Loader, Part
    from svertka.data.preparing import learnable_classes, measure
    from svertka.tasks.classification import Classification
    from svertka.training import speed
    from svertka.training.checkpoint import Checkpoints
    from svertka.training.evaluation import evaluate
    from svertka.training.loop import InterruptedTrainingError, Training
    from svertka.training.machine import start_fabric
    from svertka.verbs._report import write_run_report
    from svertka.zoo.engine import TorchEngine
    from svertka.zoo.modelfile import save_model

    recipe, record = run.recipe, registry.record(run.recipe.net)
    size, channels = recipe.image_size or record.image_size, recipe.channels or record.channels
    if size < record.smallest:
        raise UserError(
            f"{record.name} takes images from {record.smallest}×{record.smallest} on, not {size}×{size}",
            mend=f"give --image-size {record.image_size}",
        )
    for name in recipe.augment:
        if name not in AUGMENTATIONS:
            raise UserError(f"unknown augmentation {name!r}", mend=nearest(name, [*AUGMENTATIONS, "none"]))
    neutral = Preprocess(height=size, width=size, channels=channels, mean=(0,) * channels, std=(1,) * channels)
    fabric = start_fabric(recipe)
    first = fabric.is_global_zero
    display = Display(show=progress and first, epochs=recipe.epochs, batch=recipe.batch)

    clock = _Clock()
    with clock.stage("reading"):
        with fabric.rank_zero_first():  # the others find the images decoded
            prepared = _prepare(source, neutral, recipe, display)
        classes = learnable_classes(prepared)
        _check_judged(recipe, prepared)
        mean, std = measure(prepared)
    preprocess = dataclasses.replace(neutral, mean=mean, std=std)
    _say_data(display, prepared, classes)
    task = Classification(classes, label_smoothing=recipe.label_smoothing)

    with clock.stage("setting up"):
        arguments = _arguments(recipe, classes, size, channels)
        net = _build(recipe, arguments)
        shape = (channels, size, size)
        chosen = speed.choose(net, task, recipe, image_shape=shape, fabric=fabric)
        recipe = recipe.changed(chosen._asdict())
        fabric = start_fabric(recipe)
    if first:
        run.begin(recipe, prepared.fingerprint)

    def loader(part: str) -> Loader | None:
        if part not in prepared.parts:
            return None
        division = prepared.parts[part]
        augment = recipe.augment if part == "train" else ()
        samples = Part(
            prepared.images,
            division.positions,
            task.targets(division.labels),
            preprocess,
            augment,
            recipe.seed,
        )
        return Loader(samples, recipe.batch, recipe.workers, fabric.global_rank, fabric.world_size)

    loaders = {part: loader(part) for part in ("train", "val", "test")}
    assert loaders["train"] is not None
    checkpoints = Checkpoints(run.folder)
    training = Training(
        net,
        task,
        loaders["train"],
        loaders["val"],
        recipe,
        fabric=fabric,
        checkpoints=checkpoints,
        watcher=display,
    )
    with display.catching_interrupts():
        try:
            outcome = training.run()
        except InterruptedTrainingError:
            epoch = min(training.state.epoch + 1, recipe.epochs)
            raise _interrupted(run, source, f"in epoch {epoch} of {recipe.epochs}; all is saved") from None

    with clock.stage("evaluation"):
        # On the processor in plain fp32: what is saved is what is judged.
        net = _build(recipe, arguments)
        net.load_state_dict(outcome.weights)
        engine = TorchEngine(net)
        judged_on = next((part for part in ("test", "val") if part in prepared.parts), None)
        evaluations = {
            part: evaluate(engine.forward, task, found.in_order(), processes=fabric.world_size)
            for part, found in loaders.items()
            if part != "train" and found is not None
        }
    metrics = {part: dict(evaluation.metrics) for part, evaluation in evaluations.items()}
    for part, values in metrics.items():
        for name, value in values.items():
            if not math.isfinite(value):
                raise UserError(f"the {name} on {part} is {value}", where=run.folder, mend="try a lower --lr")
    if not first:
        return run.trained(metrics.get(judged_on or "", {}), judged_on, {}, ())
    card = _card(recipe, arguments, task, preprocess, prepared, outcome, metrics, engine, judged_on or "train")
    trained = run.trained(
        metrics[judged_on] if judged_on else {},
        judged_on,
        clock.seconds | outcome.seconds,
        tuple(item.to_json() for item in prepared.skipped),
    )
    card = save_model(trained.model, outcome.weights, card)
    run.write_history(outcome.history)
    write_run_report(trained, card, task, prepared, evaluations, outcome, recipe)
    run.finish(trained)
    checkpoints.remove()
    return trained


def _interrupted(run: Run, source: Path, how: str) -> UserError:
    command = shlex.join(["svertka", "train", str(source), "--out", str(run.folder), "--resume"])
    return UserError(f"interrupted {how}", mend=f"go on with: {command}")


class _Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - started


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


def _check_judged(recipe: Recipe, prepared: Prepared) -> None:
    if "val" not in prepared.parts and (recipe.early_stop or recipe.schedule == "plateau"):
        asked = "--early-stop" if recipe.early_stop else "--schedule plateau"
        raise UserError(
            f"{asked} goes by validation, and nothing is held out",
            where=prepared.dataset.root,
            mend="give --val-fraction, or a val/ folder",
        )


def _arguments(recipe: Recipe, classes: tuple[str, ...], size: int, channels: int) -> dict[str, Any]:
    for name, flag in (("classes", None), ("in_channels", "--channels"), ("image_size", "--image-size")):
        if name in recipe.net_options:
            mend = f"give {flag}" if flag else "the folders say how many there are"
            raise UserError(f"the net option {name!r} follows from the data", mend=mend)
    arguments: dict[str, Any] = {**recipe.net_options, "classes": len(classes), "in_channels": channels}
    if registry.record(recipe.net).one_size:
        arguments["image_size"] = size
    if recipe.dropout is not None:
        if not registry.accepts(recipe.net, "dropout"):
            raise UserError(f"{recipe.net} has no dropout", mend="leave --dropout out")
        arguments["dropout"] = recipe.dropout
    return arguments


def _build(recipe: Recipe, arguments: Mapping[str, Any]) -> Classifier:
    import torch

    torch.manual_seed(recipe.seed)
    return registry.build(recipe.net, arguments)


def _card(
    recipe: Recipe,
    arguments: Mapping[str, Any],
    task: Task,
    preprocess: Preprocess,
    prepared: Prepared,
    outcome: Outcome,
    metrics: Mapping[str, Mapping[str, float]],
    engine: TorchEngine,
    part: str,
) -> Card:
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
        "epoch": outcome.best_epoch,
    }
    return Card(
        net=recipe.net,
        arguments=arguments,
        task=task.name,
        classes=task.classes,
        preprocess=preprocess,
        licence="unspecified",
        provenance=provenance,
        metrics=metrics,
        golden=_golden(prepared, part, preprocess, engine),
        weights="",
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

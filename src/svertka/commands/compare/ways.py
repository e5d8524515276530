"""Ways of learning, each sent over the same course."""

from __future__ import annotations

import dataclasses
import json
import pickle
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from svertka.data.batching.batches import Loader, Part, Pixels
from svertka.data.chance import permutation
from svertka.data.descriptors import describe
from svertka.data.preparing import Division, Prepared, measured
from svertka.deploy.bulk import Bulk, BulkName, PytorchBulk, fastest
from svertka.errors import UserError
from svertka.runtime.cores import available_cores
from svertka.runtime.predictor import Predictor
from svertka.runtime.preprocess import Preprocess
from svertka.training.classical import KINDS, Kind, Learner, fit_classical
from svertka.training.evaluation import evaluate
from svertka.training.loop import InterruptedTrainingError
from svertka.training.machine import Machine
from svertka.workflows.images import preprocess_of
from svertka.workflows.inputs import transform_of
from svertka.workflows.models import MODEL_NAME, model_file
from svertka.workflows.run_folder import Run
from svertka.workflows.training.card import card_of
from svertka.workflows.training.scratch import from_scratch
from svertka.workflows.training.stages import Clock, Context, Data, Plan
from svertka.workflows.training.transfer import from_weights
from svertka.zoo.engine import TorchEngine
from svertka.zoo.modelfile import load_model, save_model

if TYPE_CHECKING:
    from svertka.commands.compare.course import Course, Image
    from svertka.tasks.task import Evaluation
    from svertka.training.recipe import Recipe
    from svertka.workflows.training.stages import Learnt

_SIDE = 64  # pixels that descriptors are taken from
_NAMES: Mapping[Kind, str] = {
    "svm": "colours and gradients, SVM",
    "random_forest": "colours and gradients, random forest",
    "nearest_neighbours": "colours and gradients, nearest neighbours",
}
_EXACT: tuple[BulkName, ...] = ("openvino", "onnxruntime")
_WORTH_LOOKING = 10.0  # seconds of judging, above which a faster engine is looked for
_PROBE = 2  # batches, and epochs, that steps are timed by
_RESERVE = 1.1  # what an epoch may take more than was timed


@dataclass(frozen=True)
class Entrant:
    """A network that is to take part.

    Attributes:
        name: What the way is called.
        run: Its folder and recipe; its epochs are the most that it may have.
    """

    name: str
    run: Run

    @classmethod
    def of(cls, name: str, source: Path, recipe: Recipe, folder: Path) -> Entrant:
        """An entrant whose recipe has been checked.

        Raises:
            UserError: The network or its weights cannot be had.
        """
        run = Run.open(source, recipe, {}, folder, resume=False)
        preprocess_of(run.recipe)
        return cls(name, run)


def boundary(weights: str) -> str:
    """The stage at two thirds of the depth of the network with these weights: what follows is quick to train.

    Raises:
        UserError: The weights cannot be had.
    """
    names = load_model(model_file(Path(weights)))[0].trunk.names
    return names[max(0, 2 * len(names) // 3 - 1)]


def classical(course: Course) -> None:
    """Enter descriptors and a machine that learns from them, one way for each kind of machine."""
    preprocess = Preprocess(height=_SIDE, width=_SIDE)
    prepared = course.images(preprocess)
    described, targets, seconds = {}, {}, {}
    for part, division in prepared.parts.items():
        started = time.perf_counter()
        described[part] = describe(prepared.images.take(division.positions))
        seconds[part] = time.perf_counter() - started
        targets[part] = course.task.targets(division.labels)
    for kind in KINDS:
        started = time.perf_counter()
        chosen = fit_classical(
            kind,
            (described["train"], targets["train"]),
            (described["val"], targets["val"]),
            seed=course.seed,
            threads=available_cores(),
        )
        learning = time.perf_counter() - started + seconds["train"] + seconds["val"]
        machine = chosen.machine
        score = course.task.score()
        answers = np.eye(len(course.classes), dtype=np.float32)[machine.predict(described["test"])]
        score.update(torch.from_numpy(answers), torch.from_numpy(targets["test"]), torch.arange(len(answers)))
        # Only to know its size: it is neither written nor read.
        size = len(pickle.dumps(machine))
        evaluation = score.evaluate(score.arrays())
        predict = _predict(machine, preprocess)
        course.enter(_NAMES[kind], evaluation, predict, seconds=learning, size=size, graph=kind)


def _predict(machine: Learner, preprocess: Preprocess) -> Callable[[Image], object]:
    return lambda image: machine.predict(describe(preprocess.place(image)[None]))


def network(course: Course, entrant: Entrant, budget: float | None) -> Path:
    """Enter a network; its model file.

    Args:
        course: What all ways have in common.
        entrant: The network.
        budget: Seconds of training: as many epochs are trained as fit in; None where there are none.

    Raises:
        UserError: Not even an epoch fits in, fine-tuning made it worse, or the network cannot learn this.
        KeyboardInterrupt: A stop was asked for.
    """
    prepared = course.images(lambda sources, media: transform_of(entrant.run.recipe, sources, media))
    recipe = entrant.run.recipe
    preprocess = prepared.images.preprocess if recipe.weights is not None else measured(prepared)
    assert isinstance(preprocess, Preprocess)
    parts = {part: division for part, division in prepared.parts.items() if part != "test"}
    if budget is not None:
        few = _few(prepared.parts["train"], _PROBE * recipe.batch, course.seed)
        probe, _ = _learn(
            course,
            entrant,
            prepared,
            preprocess,
            {"train": few},  # nothing to choose by, so that the last step counts, whatever it made of so few
            recipe.changed({"epochs": _PROBE}),
            "probe",
        )
        epochs = _epochs(probe, len(few.positions), parts, budget)
        recipe = recipe.changed({"epochs": min(epochs, recipe.epochs)})
    learnt, seconds = _learn(course, entrant, prepared, preprocess, parts, recipe, "run")
    if learnt.tried and not learnt.tried[-1].kept:  # a line for it would be the head's
        alone, tuned = (f"{step.metrics['accuracy']:.1%}" for step in (learnt.tried[0], learnt.tried[-1]))
        raise UserError(
            f"{learnt.tried[-1].name}: {tuned} on validation, no better than the head alone with {alone}",
            mend="try a larger --budget",
        )
    engine = TorchEngine(learnt.net)
    evaluation = _judge(course, learnt.net, prepared, preprocess)
    metrics = {course.judged_on: dict(evaluation.metrics)}
    card = card_of(learnt, Data(prepared, course.task, preprocess), metrics, engine, "test")
    model = entrant.run.folder / MODEL_NAME
    card = save_model(model, learnt.outcome.weights, card)
    predictor = Predictor(engine, card)
    size = model.stat().st_size
    # Weights apart, this is all that an image goes through.
    graph = json.dumps([card.net, card.arguments, preprocess.to_json()], sort_keys=True, default=str)
    course.enter(
        entrant.name, evaluation, lambda image: predictor.predict([image]), seconds=seconds, size=size, graph=graph
    )
    return model


def _judge(course: Course, net: nn.Module, prepared: Prepared, preprocess: Preprocess) -> Evaluation:
    held = prepared.parts["test"]
    pixels = Pixels(prepared.images, held.positions, preprocess)
    loader = Loader(Part(pixels, course.task.targets(held.labels)), PytorchBulk.batch)
    engine = _bulk(_Answer(net), preprocess.normalise(prepared.images.take(np.resize(held.positions, 16))), len(pixels))
    logits = engine.stream(batch.inputs.numpy() for batch in loader.in_order())
    return evaluate(lambda _: torch.from_numpy(next(logits)[0]), course.task, loader.in_order())


def _bulk(net: nn.Module, examples: NDArray[np.float32], count: int) -> Bulk:
    # To look for an engine takes seconds itself. None that computes in less than single precision may judge.
    plain = PytorchBulk(net)
    started = time.perf_counter()
    list(plain.stream([examples[: plain.batch]]))
    if (time.perf_counter() - started) * count / plain.batch < _WORTH_LOOKING:
        return plain
    for name in _EXACT:
        with suppress(UserError):  # not installed
            return fastest(net, examples, wanted=name)
    return plain


class _Answer(nn.Module):
    """A network whose output is a tuple, as engines take it."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> tuple[Tensor]:
        return (self.net(x),)


def _learn(
    course: Course,
    entrant: Entrant,
    prepared: Prepared,
    preprocess: Preprocess,
    parts: Mapping[str, Division],
    recipe: Recipe,
    name: str,
) -> tuple[Learnt, float]:
    """What came of learning, and the seconds it took, but for the choice of an engine, which is made once a machine."""
    folder = entrant.run.folder / name
    display, clock = course.display, Clock()
    display.plan(epochs=recipe.epochs, batch=recipe.batch)
    display.show, shown = display.show and name == "run", display.show
    plan = Plan(dataclasses.replace(entrant.run, folder=folder, recipe=recipe), Machine(recipe))
    data = Data(dataclasses.replace(prepared, parts=dict(parts)), course.task, preprocess)
    learn = from_scratch if recipe.weights is None else from_weights
    started = time.perf_counter()
    try:
        learnt = learn(plan, data, Context(display, clock, folder / "memory"))
    except InterruptedTrainingError:
        raise KeyboardInterrupt from None
    finally:
        display.show = shown
    return learnt, time.perf_counter() - started - clock.seconds.get("choosing an engine", 0.0)


def _epochs(probe: Learnt, samples: int, parts: Mapping[str, Division], budget: float) -> int:
    # Judging an image on validation takes a third of a step on it.
    images = len(parts["train"].positions) + len(parts["val"].positions) / 3
    epoch = _RESERVE * probe.outcome.history[-1]["seconds"] / samples * images
    if epoch > budget:
        raise UserError(f"an epoch takes about {epoch:.0f} s", mend=f"give a larger --budget than {budget:.0f} s")
    return int(budget / epoch)


def _few(division: Division, count: int, seed: int) -> Division:
    chosen = permutation(len(division.positions), seed)[:count]
    return Division(division.positions[chosen], tuple(division.labels[index] for index in chosen))

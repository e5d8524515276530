"""Learning from scratch: a network with random weights, trained on images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from svertka.errors import UserError
from svertka.training import speed
from svertka.training.checkpoint import Checkpoints
from svertka.training.evaluation import evaluate
from svertka.training.loop import Training
from svertka.training.machine import Machine
from svertka.workflows.training.doctor import doctor_for
from svertka.workflows.training.job import Job, Learnt
from svertka.workflows.training.planning import paced, plan_epochs
from svertka.zoo import registry
from svertka.zoo.engine import TorchEngine
from svertka.zoo.records import kind_called

if TYPE_CHECKING:
    from svertka.layers.net import Net
    from svertka.tasks.task import Task
    from svertka.training.recipe import Recipe


def from_scratch(job: Job) -> Learnt:
    """Train the network of the recipe.

    Raises:
        UserError: The network cannot be built like this, training diverged, or something cannot be written.
        InterruptedTrainingError: A stop was asked for; all is saved.
    """
    task, preprocess = job.task, job.preprocess
    with job.clock.stage("setting up"):
        arguments = arguments_of(job.recipe, task, preprocess.height, preprocess.channels)
        net = build(job.recipe, arguments)
        shape = (preprocess.channels, preprocess.height, preprocess.width)
        chosen = speed.choose(net, task, job.recipe, image_shape=shape, machine=job.machine)
        job.recipe = recipe = job.recipe.changed(chosen._asdict())
        job.machine = Machine(recipe)
        job.check_batches(net, shape)
    job.begin()
    pace = None
    if recipe.budget:
        planned = paced(job, lambda: plan_epochs(job, net, shape))
        assert planned is not None  # one epoch at least
        phase, pace = planned
        recipe = recipe.changed({"epochs": phase.epochs})
        job.display.plan(epochs=recipe.epochs, batch=recipe.batch)

    inputs = job.pixels()
    loaders = {part: job.loader(inputs, part, recipe) for part in inputs}
    training = Training(
        net,
        task,
        loaders["train"],
        loaders.get("val"),
        recipe,
        machine=job.machine,
        checkpoints=Checkpoints(job.run.folder),
        watcher=job.display,
        observer=doctor_for(job, inputs),
        pace=pace,
    )
    with job.display.catching_interrupts():
        outcome = training.run()
    with job.clock.stage("evaluation"):
        # On the processor in plain fp32: what is saved is what is judged.
        net = build(recipe, arguments)
        net.load_state_dict(outcome.weights)
        engine = TorchEngine(net)
        evaluations = {
            part: evaluate(engine.forward, task, job.display.judging(found), processes=job.machine.world)
            for part, found in loaders.items()
            if part != "train"
        }
    return Learnt(net, arguments, job.recipe, outcome, evaluations)


def check_suits(net: str, task: Task) -> None:
    """Check that a network is of the kind that learns this.

    Raises:
        UserError: It is not.
    """
    if registry.record(net).kind != task.net_kind:
        found, wanted = registry.record(net).traits, kind_called(task.net_kind)
        raise UserError(
            f"{net} predicts {found.gives}, and the annotations are for {task.name}",
            mend=f"give {wanted.suggested}; `svertka nets` lists all that predict {wanted.gives}",
        )


def options_of(recipe: Recipe, task: Task) -> dict[str, Any]:
    """The options of a recipe for its network, and those that follow from what is to be learnt."""
    return {**task.net_options(lambda option: registry.accepts(recipe.net, option)), **recipe.net_options}


def arguments_of(recipe: Recipe, task: Task, size: int, channels: int) -> dict[str, Any]:
    """Constructor arguments of the network of a recipe.

    Raises:
        UserError: An option does not suit it.
    """
    own = {"classes": len(task.classes), "in_channels": channels}
    return {**options_of(recipe, task), **flag_arguments(recipe, size), **own}


def flag_arguments(recipe: Recipe, size: int) -> dict[str, Any]:
    """Those of them that follow from the recipe alone.

    Raises:
        UserError: An option does not suit the network.
    """
    for name, flag in (("classes", None), ("in_channels", "--channels"), ("image_size", "--image-size")):
        if name in recipe.net_options:
            mend = f"give {flag}" if flag else "the folders say how many there are"
            raise UserError(f"the net option {name!r} follows from the data", mend=mend)
    arguments: dict[str, Any] = {**recipe.net_options}
    if recipe.trunk is not None:
        if not registry.accepts(recipe.net, "trunk"):
            raise UserError(f"{recipe.net} takes no other trunk", mend="leave --trunk out")
        arguments["trunk"] = {"net": recipe.trunk, "arguments": {}}
    if registry.record(recipe.net).one_size:
        arguments["image_size"] = size
    if recipe.dropout is not None:
        if not registry.accepts(recipe.net, "dropout"):
            raise UserError(f"{recipe.net} has no dropout", mend="leave --dropout out")
        arguments["dropout"] = recipe.dropout
    return arguments


def build(recipe: Recipe, arguments: Mapping[str, Any]) -> Net:
    """The network of a recipe, with the random weights of its seed."""
    torch.manual_seed(recipe.seed)
    return registry.build_any(recipe.net, arguments)

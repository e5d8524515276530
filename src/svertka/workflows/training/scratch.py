"""Learning from scratch: a network with random weights, trained on images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svertka.training.checkpoint import Checkpoints
from svertka.training.evaluation import evaluate
from svertka.training.loop import Training
from svertka.training.signals import signals_file
from svertka.workflows.training.budgeting import Times, plan_epochs
from svertka.workflows.training.doctor import doctor_for
from svertka.workflows.training.pacing import paced
from svertka.workflows.training.setting_up import set_up
from svertka.workflows.training.stages import Learnt
from svertka.zoo import registry
from svertka.zoo.engine import TorchEngine

if TYPE_CHECKING:
    from svertka.workflows.training.stages import Context, Data, Plan


def from_scratch(plan: Plan, data: Data, context: Context) -> Learnt:
    """Train the network of the recipe.

    Args:
        plan: What was asked for.
        data: What it learns from.
        context: Stands beside.

    Raises:
        UserError: The network cannot be built like this, training diverged, or something cannot be written.
        InterruptedTrainingError: A stop was asked for; all is saved.
    """
    folder, display, clock = plan.run.folder, context.display, context.clock
    with clock.stage("setting up"):
        setup = set_up(plan, data, display)
    plan.begin(setup.recipe, data.prepared)
    recipe, pace = setup.recipe, None
    inputs = data.inputs(recipe.augment, recipe.seed)
    loaders = data.loaders(inputs, setup, display)
    if recipe.budget:
        planned = paced(
            folder,
            clock,
            lambda: plan_epochs(Times(setup, data, loaders, clock), setup.net, data.shape, setup.recipe.epochs),
        )
        assert planned is not None  # one epoch at least
        phase, pace = planned
        recipe = recipe.changed({"epochs": phase.epochs})
        display.plan(epochs=recipe.epochs, batch=recipe.batch)
    training = Training(
        setup.net,
        data.task,
        loaders["train"],
        loaders.get("val"),
        recipe,
        machine=setup.machine,
        checkpoints=Checkpoints(folder),
        watcher=display,
        observer=doctor_for(data, inputs, signals_file(folder), display),
        pace=pace,
    )
    with display.catching_interrupts():
        outcome = training.run()
    with clock.stage("evaluation"):
        # On the processor in plain fp32: what is saved is what is judged.
        net = registry.build_any(recipe.net, setup.arguments)
        net.load_state_dict(outcome.weights)
        forward = TorchEngine(net).forward
        evaluations = {
            part: evaluate(forward, data.task, display.judging(found), processes=setup.machine.world)
            for part, found in loaders.items()
            if part != "train"
        }
    return Learnt(net, setup.arguments, setup.recipe, outcome, evaluations)

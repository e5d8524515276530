"""Learning from trained weights: frozen stages are run once an image, and what learns is trained on what they gave."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from svertka.data.batching.batches import Inputs, Loader, Part
from svertka.data.cache.memory import Remembered
from svertka.layers.frozen import Behind, BehindPieces, behind, frozen_stages
from svertka.layers.transfer import TransferHead
from svertka.layers.trunk import Classifier
from svertka.training.budget import Deadline, Pace, Phase, TooSlowError
from svertka.training.checkpoint import Checkpoints
from svertka.training.evaluation import evaluate
from svertka.training.heads import FITS, examples, temperature
from svertka.training.loop import Outcome, Training
from svertka.training.signals import signals_file
from svertka.training.speed import suited
from svertka.wording import counted
from svertka.workflows.rejection import Rejection
from svertka.workflows.training.budgeting import Times, plan_depth
from svertka.workflows.training.candidate import Candidate
from svertka.workflows.training.doctor import doctor_for
from svertka.workflows.training.frozen import FrozenMemory, Kind
from svertka.workflows.training.least_batch import least_batch
from svertka.workflows.training.network import around_weights, put_head_of
from svertka.workflows.training.pacing import give_up, keeps_pixels, paced, run_anew
from svertka.workflows.training.rejecting import learn_to_reject
from svertka.workflows.training.setting_up import check_learns
from svertka.workflows.training.stages import Learnt, Setup, Tried
from svertka.zoo.transfer import Start, put_head, scale_logits

if TYPE_CHECKING:
    from svertka.tasks.task import Evaluation
    from svertka.workflows.training.stages import Context, Data, Plan

_MLP = {"epochs": 60, "lr": 1e-3, "batch": 64, "schedule": "one_cycle", "optimizer": "adamw"}


def from_weights(plan: Plan, data: Data, context: Context, masks: Mapping[str, Tensor] | None = None) -> Learnt:
    """Learn from trained weights: see `Transfer`.

    Args:
        plan: What was asked for.
        data: What is learnt from.
        context: Stands beside.
        masks: Where parameters of the network are to stay zero; see `svertka.training.loop.Training`.

    Raises:
        UserError: The weights cannot be used like this, something is not finite, or cannot be written.
        InterruptedTrainingError: A stop was asked for; all is saved.
    """
    own = plan.recipe.head == "own"
    with context.clock.stage("setting up"):
        start = around_weights(plan.recipe, data.task, data.preprocess, own_head=own)
        if not own:
            put_head_of(plan.recipe, data.task, start, data.preprocess.height)
        for note in start.notes:
            context.display.say(f"  {note}")
    return Transfer(start, plan, data, context, masks).run()


class Transfer:
    """The way from trained weights to a network for the classes at hand.

    Args:
        start: The network with its trained trunk.
        plan: What was asked for.
        data: What is learnt from.
        context: Stands beside.
        masks: Where parameters are to stay zero.
    """

    def __init__(
        self, start: Start, plan: Plan, data: Data, context: Context, masks: Mapping[str, Tensor] | None
    ) -> None:
        self.start, self.net, self.data, self.context = start, start.net, data, context
        self.folder, self.masks, recipe, trunk = plan.run.folder, masks, plan.recipe, start.net.trunk
        self.depth = frozen_stages(trunk, recipe.freeze)
        head = getattr(self.net, "head", None)
        self.taps = head.taps if isinstance(head, TransferHead) else ()
        # The weights' own head may be one that reads several stages, from a run like this.
        self.fits_head = bool(self.taps) and recipe.head != "own"
        if not self.depth and not self.fits_head and not recipe.budget:
            # Where all stages learn from the first step on, none is run beforehand.
            recipe = recipe.changed({"engine": "pytorch"})
        reads = self.taps or trunk.names[-1:]
        self.memory = FrozenMemory(start, recipe, plan.machine, data.prepared, data.preprocess, context, reads)
        with context.clock.stage("choosing an engine"):
            recipe = recipe.changed({"engine": self.memory.engine, "image_size": data.preprocess.height})
        trunk.freeze(self.depth)
        trunk.keeps_statistics = True
        if self.depth < len(trunk.names) or not self.fits_head:
            module, _ = self._learner(self.depth, pixels=True)
            check_learns(module, recipe, plan.machine, data)
        least = least_batch(self.net, recipe, plan.machine.world, data, context.display)
        self.setup = Setup(self.net, start.arguments, recipe, plan.machine, least)
        plan.begin(recipe, data.prepared, start.card.weights)

    def run(self) -> Learnt:
        """Learn.

        Raises:
            UserError: Something is not finite, or cannot be written.
            InterruptedTrainingError: A stop was asked for; all is saved.
        """
        trunk = self.net.trunk
        whole = len(trunk.names)
        trunk.freeze(whole)
        tried: list[Candidate] = []
        started = time.perf_counter()
        if self.fits_head:
            # Where it is known from the beginning what learns, one pass gives all that is needed.
            known = self._boundary(self.depth) if self.depth < whole and not self.setup.recipe.budget else None
            means, maps = [*map(Kind, self.taps)], [Kind(known, maps=True)] if known else []
            lacking = self.memory.lacking(maps, self.memory.bytes_to_write(maps))
            self.memory.remember(means if lacking or self._keeps_pixels() else means + maps)
            tried.append(self._fit_head(started))
        if more := self._phase():
            started = time.perf_counter()
            if tried:
                self.net.load_state_dict(tried[0].weights)
            if found := self._go_on(*more, tried[0] if tried else None, started):
                tried.append(found)
        best = kept = max(reversed(tried), key=self._rank)
        self.net.load_state_dict(best.weights)
        boundary = self._boundary(best.depth)
        after = trunk.digests()
        if any(after[name] != self.memory.digests[name] for name in trunk.names[: best.depth]):
            raise RuntimeError("frozen stages have changed; this is a fault of svertka, please report it")
        record = dict(best.record)
        with self.context.clock.stage("evaluation"):
            if isinstance(best.module, BehindPieces):  # learning may have gone by pieces; images are judged whole
                best = dataclasses.replace(best, module=self.net, inputs=self._pixels())
            elif "val" in best.inputs and isinstance(self.net, Classifier):
                record["temperature"] = self._calibrate(best)
            evaluations = {part: self._judge(best, part) for part in best.inputs if part != "train"}
        rejection = self._reject(best)
        if boundary is not None:
            record["frozen"] = {"up to": boundary, "sha256": after[boundary]}
        record["from"] = self.start.card.provenance.get("weights", self.start.card.weights)
        weights = {name: value.detach().clone().contiguous() for name, value in self.net.state_dict().items()}
        history = best.outcome.history if best.outcome else []
        return Learnt(
            self.net.eval(),
            self.start.arguments,
            self.setup.recipe,
            Outcome(weights, best.outcome.best_epoch if best.outcome else 0, history, {}),
            evaluations,
            tuple(Tried(one.name, one.metrics, one.seconds, one is kept) for one in tried),
            {"transfer": record},
            self.start.card.licence,
            rejection,
        )

    def _keeps_pixels(self) -> bool:
        return not self.setup.recipe.budget and keeps_pixels(self.folder)

    def _pixels(self) -> dict[str, Inputs]:
        return self.data.inputs(self.setup.recipe.augment, self.setup.recipe.seed)

    def _boundary(self, depth: int) -> str | None:
        return self.net.trunk.names[depth - 1] if depth else None

    def _rank(self, candidate: Candidate) -> tuple[float, ...]:
        # Where nothing was held out, whatever came last.
        return self.data.task.rank(candidate.metrics) if candidate.metrics else ()

    def _phase(self) -> tuple[Phase, Pace | None] | None:
        """What learns after the head, if anything: how many stages stay frozen, for how many epochs, and who counts."""
        whole = len(self.net.trunk.names)
        if not self.setup.recipe.budget:
            learns = self.depth < whole or not self.fits_head
            phase = Phase(self.depth, self.setup.recipe.epochs, pixels=self._keeps_pixels())
            return (phase, None) if learns else None
        # Where there is no head to be fitted, something has to learn.
        last = whole if self.fits_head else whole + 1
        depths = [depth for depth in reversed(range(last)) if depth == whole or self._has_weights(depth)]
        reads, must = self.taps or self.net.trunk.names[-1:], not self.fits_head
        clock = self.context.clock

        def planned() -> Phase | None:
            loaders = self.data.loaders(self._pixels(), self.setup, self.context.display)
            times = Times(self.setup, self.data, loaders, clock)
            return plan_depth(times, self.memory, depths, self._learner, reads, must=must)

        return paced(self.folder, clock, planned)

    def _has_weights(self, depth: int) -> bool:
        trunk = self.net.trunk
        return any(True for _ in getattr(trunk, trunk.names[depth]).parameters())

    # Learning

    def _fit_head(self, started: float) -> Candidate:
        recipe, classes, head = self.setup.recipe, len(self.data.task.classes), self.net.head
        assert isinstance(head, TransferHead)
        inputs = self.memory.inputs([*map(Kind, self.taps)])
        record: dict[str, Any] = {}
        outcome = None
        with self.context.clock.stage("fitting the head"):
            if recipe.head == "mlp":
                outcome = self._train(head.rule, inputs, self.setup.changed(_MLP), "head")
            else:
                weights = self.data.task.sample_weights(self.data.targets["train"])
                train = examples(_remembered(inputs["train"]), self.data.targets["train"], weights)
                val = examples(_remembered(inputs["val"]), self.data.targets["val"]) if "val" in inputs else None
                fitted = FITS[recipe.head](train, val, classes, recipe.seed)
                tensors = {name: torch.from_numpy(np.asarray(value)) for name, value in fitted.tensors.items()}
                if recipe.head == "kernel_svm":
                    options = {**self.start.arguments["head"], "supports": len(tensors["supports"])}
                    put_head(self.start, options, side=self.data.preprocess.height)
                    head = self.start.net.head
                    assert isinstance(head, TransferHead)
                else:
                    tensors = {f"linear.{name}": value for name, value in tensors.items()}
                head.rule.load_state_dict(tensors)
                record = {"head": {**fitted.chosen, "tried": [list(pair) for pair in fitted.tried]}}
        name = f"{recipe.head} head on {', '.join(self.taps)}"
        whole = len(self.net.trunk.names)
        return self._candidate(name, whole, head.rule, inputs, started, outcome, record)

    def _go_on(self, phase: Phase, pace: Pace | None, head: Candidate | None, started: float) -> Candidate | None:
        """Train all stages that are not frozen, and the head, which may have been fitted before.

        Returns:
            None where the budget has no time for it.
        """
        depth, boundary = phase.depth, self._boundary(phase.depth)
        if boundary is not None and not phase.pixels and (reason := self._cannot_remember(depth, pace)):
            if pace and self.fits_head:
                self.context.display.say(f"the head alone learns: {reason}")
                give_up(self.folder)
                return None
            self.context.display.say(f"frozen stages up to {boundary} are run anew in every epoch: {reason}")
            phase, pace = run_anew(self.folder, phase, pace)
        module, size = self._learner(depth, pixels=phase.pixels)
        inputs = self._pixels()
        if isinstance(module, Behind | BehindPieces):
            inputs = self.memory.inputs([Kind(*read) for read in module.reads])
        with self.context.clock.stage("setting up"):
            planned = self.setup.recipe.changed({"epochs": phase.epochs})
            recipe, machine = suited(planned, self.setup.machine, module, self.data.task, size)
        setup = dataclasses.replace(self.setup, recipe=recipe, machine=machine)
        before = head.metrics.get(self.data.task.headline[0]) if head else None
        outcome = self._train(module, inputs, setup, boundary or "all", pace, before)
        epochs = len(outcome.history)
        what = f"all that follows {boundary}" if boundary else "the whole network"
        return self._candidate(f"{what}, {counted(epochs, 'epoch')}", depth, module, inputs, started, outcome, {})

    def _cannot_remember(self, depth: int, pace: Pace | None) -> str:
        """See that what the frozen stages give is in the stores; why not, if there is no room or no time for it."""
        module, _ = self._learner(depth)
        assert isinstance(module, Behind | BehindPieces)
        kinds = [Kind(*read) for read in module.reads]
        started = time.perf_counter()
        if lacking := self.memory.lacking(kinds, self.memory.bytes_to_write(kinds)):
            return lacking
        try:
            self.memory.remember(kinds, Deadline(pace).look if pace else None)
        except TooSlowError as error:
            return str(error)
        finally:
            if pace:
                pace.prepared(time.perf_counter() - started)
        return ""

    def _learner(self, depth: int, *, pixels: bool = False) -> tuple[nn.Module, tuple[int, ...]]:
        """What learns behind the first ``depth`` stages, and the shape of what it gets: what they gave, or pixels."""
        self.net.trunk.freeze(depth)
        for name, part in self.net.named_children():
            if name != "trunk":
                part.requires_grad_(True)
        boundary = self._boundary(depth)
        if boundary is None or pixels:
            return self.net, self.data.shape
        shapes, preprocess = self.memory.shapes, self.data.preprocess
        module = behind(self.net, boundary, shapes, (preprocess.height, preprocess.width))
        return module, (sum(math.prod(shapes[name] if maps else shapes[name][:1]) for name, maps in module.reads),)

    def _train(
        self,
        module: nn.Module,
        inputs: Mapping[str, Inputs],
        setup: Setup,
        name: str,
        pace: Pace | None = None,
        before: float | None = None,
    ) -> Outcome:
        """Train ``module`` by gradient descent, from its checkpoint if there is one; its best weights stay in it."""
        data, display = self.data, self.context.display
        display.plan(epochs=setup.recipe.epochs, batch=setup.recipe.batch)
        signals = signals_file(self.folder, name)
        training = Training(
            module,
            data.task,
            data.loader(inputs, "train", setup, display),
            data.loader(inputs, "val", setup, display) if "val" in inputs else None,
            setup.recipe,
            machine=setup.machine,
            checkpoints=Checkpoints(self.folder, f"checkpoint-{name}"),
            watcher=display,
            observer=doctor_for(data, inputs, signals, display, before=before, frozen=name != "all"),
            masks=self.masks,
            pace=pace,
        )
        with display.catching_interrupts():
            outcome = training.run()
        module.load_state_dict(outcome.weights)
        for stage, seconds in outcome.seconds.items():
            self.context.clock.add(stage, seconds)
        return outcome

    # Judging

    def _candidate(
        self,
        name: str,
        depth: int,
        module: nn.Module,
        inputs: dict[str, Inputs],
        started: float,
        outcome: Outcome | None,
        record: dict[str, Any],
    ) -> Candidate:
        weights = {key: value.detach().clone() for key, value in self.net.state_dict().items()}
        made = Candidate(name, depth, module, inputs, weights, 0.0, outcome, record)
        if "val" in inputs:
            made.metrics = dict(self._judge(made, "val").metrics)
        made.seconds = time.perf_counter() - started
        main = self.data.task.headline[0]
        said = (
            f"{main.replace('_', ' ')} {made.metrics[main]:.1%} on validation"
            if made.metrics
            else "nothing was held out"
        )
        self.context.display.say(f"{name}: {said}, {made.seconds:.1f} s")
        return made

    def _judge(self, candidate: Candidate, part: str) -> Evaluation:
        module = candidate.module.cpu().float().to(memory_format=torch.contiguous_format).eval()
        data, display = self.data, self.context.display
        batches = display.judging(data.loader(candidate.inputs, part, self.setup, display))
        return evaluate(module, data.task, batches, processes=self.setup.machine.world)

    def _calibrate(self, candidate: Candidate) -> float:
        """Scale the logits so that the scores of validation images are right as often as they say."""
        module = candidate.module.eval()
        part = Part(candidate.inputs["val"], self.data.targets["val"])
        with torch.inference_mode():
            logits = torch.cat([module(batch.inputs) for batch in Loader(part, self.setup.recipe.batch).in_order()])
        found = temperature(logits.double().numpy(), self.data.targets["val"])
        assert isinstance(self.net, Classifier)
        scale_logits(self.net, 1 / found)
        return found

    def _reject(self, candidate: Candidate) -> Rejection | None:
        """Learn what known images look like to the head, as it is in the end."""
        head, module = getattr(self.net, "head", None), candidate.module.eval()
        if not isinstance(head, TransferHead) or head.distance is None:
            return None
        # What a rule alone was given are the features themselves.
        features = module.features if isinstance(module, Behind | Classifier) else nn.Identity()
        with self.context.clock.stage("learning to refuse"):
            return learn_to_reject(
                head.distance, features, candidate.inputs, self.data.targets, self.setup.recipe, self.context.display
            )


def _remembered(inputs: Inputs) -> Remembered:
    assert isinstance(inputs, Remembered)
    return inputs

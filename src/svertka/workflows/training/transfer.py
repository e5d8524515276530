"""Learning from trained weights: frozen stages are run once an image, and what learns is trained on what they gave."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from svertka.data.batching.batches import Inputs, Loader, Part
from svertka.data.cache.memory import Remembered
from svertka.errors import UserError
from svertka.layers.frozen import Behind, BehindPieces, behind, frozen_stages
from svertka.layers.transfer import TransferHead
from svertka.layers.trunk import Classifier
from svertka.training import speed
from svertka.training.budget import Deadline, Pace, Phase, TooSlowError
from svertka.training.checkpoint import Checkpoints
from svertka.training.evaluation import evaluate
from svertka.training.heads import FITS, examples, temperature
from svertka.training.loop import Outcome, Training
from svertka.training.machine import Machine
from svertka.wording import counted
from svertka.workflows.models import model_file
from svertka.workflows.rejection import Rejection
from svertka.workflows.training.candidate import Candidate
from svertka.workflows.training.doctor import doctor_for
from svertka.workflows.training.frozen import FrozenMemory, Kind
from svertka.workflows.training.job import Job, Learnt, Tried
from svertka.workflows.training.planning import give_up, keeps_pixels, paced, plan_depth, run_anew
from svertka.workflows.training.rejecting import learn_to_reject
from svertka.workflows.training.scratch import options_of
from svertka.zoo.transfer import Start, put_head, scale_logits, start_from, taps_of

if TYPE_CHECKING:
    from svertka.tasks.task import Evaluation
    from svertka.training.recipe import Recipe

_HIDDEN = 256
"""Units of the hidden layer of ``mlp``."""

_MLP = {"epochs": 60, "lr": 1e-3, "batch": 64, "schedule": "one_cycle", "optimizer": "adamw"}
_EXCLUSIVE = ("svm", "kernel_svm", "means")


def from_weights(job: Job) -> Learnt:
    """Learn from trained weights: see `Transfer`.

    Raises:
        UserError: The weights cannot be used like this, something is not finite, or cannot be written.
        InterruptedTrainingError: A stop was asked for; all is saved.
    """
    recipe, preprocess, classes = job.recipe, job.preprocess, len(job.task.classes)
    assert recipe.weights is not None
    with job.clock.stage("setting up"):
        start = start_from(
            model_file(Path(recipe.weights)),
            classes=classes,
            in_channels=preprocess.channels,
            side=preprocess.height,
            own_head=recipe.head == "own",
            net=recipe.net,
            options=options_of(recipe, job.task),
            seed=recipe.seed,
        )
        if recipe.head != "own":
            assert isinstance(start.net, Classifier)  # flags are checked
            if recipe.head in _EXCLUSIVE and not job.task.exclusive:
                raise UserError(
                    f"the head {recipe.head!r} gives an image one class, and here it may have several labels",
                    mend="give --head linear, mlp or own",
                )
            taps = taps_of(start.net, recipe.taps, preprocess.height)
            options: dict[str, Any] = {"taps": list(taps), "rule": "linear", "dropout": recipe.dropout or 0.0}
            if recipe.head == "mlp":
                options |= {"rule": "mlp", "hidden": _HIDDEN}
            elif recipe.head == "kernel_svm":
                options |= {"rule": "kernel", "supports": 0}  # fitting says how many
            if recipe.reject:
                options["reject"] = True
            put_head(start, options, side=preprocess.height)
        for note in start.notes:
            job.display.say(f"  {note}")
    return Transfer(start, job).run()


class Transfer:
    """The way from trained weights to a network for the classes at hand.

    Args:
        start: The network with its trained trunk.
        job: All that is decided.
    """

    def __init__(self, start: Start, job: Job) -> None:
        self.start, self.net, self.job = start, start.net, job
        self.prepared, self.task, self.preprocess = job.prepared, job.task, job.preprocess
        self.display, self.clock = job.display, job.clock
        trunk = self.net.trunk
        self.depth = frozen_stages(trunk, job.recipe.freeze)
        head = getattr(self.net, "head", None)
        self.taps = head.taps if isinstance(head, TransferHead) else ()
        self.memory = FrozenMemory(start, job)
        with self.clock.stage("choosing an engine"):
            # Where all stages learn from the first step on, none is run beforehand.
            idle = not self.depth and not self._fits_head and not job.recipe.budget
            engine = "pytorch" if idle else self.memory.choose_engine(self.taps or trunk.names[-1:])
            self.recipe = job.recipe = job.recipe.changed({"engine": engine})
        trunk.freeze(self.depth)
        trunk.keeps_statistics = True
        job.check_batches(self.net, (self.preprocess.channels, self.preprocess.height, self.preprocess.width))
        job.begin(weights=start.card.weights)

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
        if self._fits_head:
            # Where it is known from the beginning what learns, one pass gives all that is needed.
            known = self._boundary(self.depth) if self.depth < whole and not self.recipe.budget else None
            means, maps = [*map(Kind, self.taps)], [Kind(known, maps=True)] if known else []
            lacking = self.memory.lacking(maps, self.memory.bytes_to_write(maps))
            self.memory.remember(means if lacking or keeps_pixels(self.job) else means + maps)
            tried.append(self._fit_head(started))
        if more := self._phase():
            started = time.perf_counter()
            if tried:
                self.net.load_state_dict(tried[0].weights)
                self.job.before = tried[0].metrics.get(self.task.headline[0])
            if found := self._go_on(*more, started):
                tried.append(found)
        best = kept = max(reversed(tried), key=self._rank)
        self.net.load_state_dict(best.weights)
        boundary = self._boundary(best.depth)
        after = trunk.digests()
        if any(after[name] != self.memory.digests[name] for name in trunk.names[: best.depth]):
            raise RuntimeError("frozen stages have changed; this is a fault of svertka, please report it")
        record = dict(best.record)
        with self.clock.stage("evaluation"):
            if isinstance(best.module, BehindPieces):  # learning may have gone by pieces; images are judged whole
                best = dataclasses.replace(best, module=self.net, inputs=self.job.pixels())
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
            self.recipe,
            Outcome(weights, best.outcome.best_epoch if best.outcome else 0, history, {}),
            evaluations,
            tuple(Tried(one.name, one.metrics, one.seconds, one is kept) for one in tried),
            {"transfer": record},
            self.start.card.licence,
            rejection,
        )

    @property
    def _fits_head(self) -> bool:
        # The weights' own head may be one that reads several stages, from a run like this.
        return bool(self.taps) and self.job.recipe.head != "own"

    def _boundary(self, depth: int) -> str | None:
        return self.net.trunk.names[depth - 1] if depth else None

    def _rank(self, candidate: Candidate) -> tuple[float, ...]:
        # Where nothing was held out, whatever came last.
        return self.task.rank(candidate.metrics) if candidate.metrics else ()

    def _phase(self) -> tuple[Phase, Pace | None] | None:
        """What learns after the head, if anything: how many stages stay frozen, for how many epochs, and who counts."""
        whole = len(self.net.trunk.names)
        if not self.recipe.budget:
            learns = self.depth < whole or not self._fits_head
            phase = Phase(self.depth, self.recipe.epochs, pixels=keeps_pixels(self.job))
            return (phase, None) if learns else None
        # Where there is no head to be fitted, something has to learn.
        last = whole if self._fits_head else whole + 1
        depths = [depth for depth in reversed(range(last)) if depth == whole or self._has_weights(depth)]
        reads, must = self.taps or self.net.trunk.names[-1:], not self._fits_head
        return paced(
            self.job, lambda: plan_depth(self.job, self.memory, self.net, depths, self._learner, reads, must=must)
        )

    def _has_weights(self, depth: int) -> bool:
        trunk = self.net.trunk
        return any(True for _ in getattr(trunk, trunk.names[depth]).parameters())

    # Learning

    def _fit_head(self, started: float) -> Candidate:
        recipe, classes, head = self.recipe, len(self.task.classes), self.net.head
        assert isinstance(head, TransferHead)
        inputs = self.memory.inputs([*map(Kind, self.taps)])
        record: dict[str, Any] = {}
        outcome = None
        with self.clock.stage("fitting the head"):
            if recipe.head == "mlp":
                outcome = self._train(head.rule, inputs, recipe.changed(_MLP), "head")
            else:
                weights = self.task.sample_weights(self.job.targets["train"])
                train = examples(_remembered(inputs["train"]), self.job.targets["train"], weights)
                val = examples(_remembered(inputs["val"]), self.job.targets["val"]) if "val" in inputs else None
                fitted = FITS[recipe.head](train, val, classes, recipe.seed)
                tensors = {name: torch.from_numpy(np.asarray(value)) for name, value in fitted.tensors.items()}
                if recipe.head == "kernel_svm":
                    options = {**self.start.arguments["head"], "supports": len(tensors["supports"])}
                    put_head(self.start, options, side=self.preprocess.height)
                    head = self.start.net.head
                    assert isinstance(head, TransferHead)
                else:
                    tensors = {f"linear.{name}": value for name, value in tensors.items()}
                head.rule.load_state_dict(tensors)
                record = {"head": {**fitted.chosen, "tried": [list(pair) for pair in fitted.tried]}}
        name = f"{recipe.head} head on {', '.join(self.taps)}"
        whole = len(self.net.trunk.names)
        return self._candidate(name, whole, head.rule, inputs, started, outcome, record)

    def _go_on(self, phase: Phase, pace: Pace | None, started: float) -> Candidate | None:
        """Train all stages that are not frozen, and the head; None where the budget has no time for it."""
        depth, boundary = phase.depth, self._boundary(phase.depth)
        if boundary is not None and not phase.pixels and (reason := self._cannot_remember(depth, pace)):
            if pace and self._fits_head:
                self.display.say(f"the head alone learns: {reason}")
                give_up(self.job)
                return None
            self.display.say(f"frozen stages up to {boundary} are run anew in every epoch: {reason}")
            phase, pace = run_anew(self.job, phase, pace)
        module, size = self._learner(depth, pixels=phase.pixels)
        inputs = self.job.pixels()
        if isinstance(module, Behind | BehindPieces):
            inputs = self.memory.inputs([Kind(*read) for read in module.reads])
        recipe = self.recipe.changed({"epochs": phase.epochs})
        with self.clock.stage("setting up"):
            chosen = speed.choose(module, self.task, recipe, image_shape=size, machine=self.job.machine)
            recipe = recipe.changed(chosen._asdict())
            self.job.machine = Machine(recipe)
        outcome = self._train(module, inputs, recipe, boundary or "all", pace)
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
            return self.net, (self.preprocess.channels, self.preprocess.height, self.preprocess.width)
        module = behind(self.net, boundary, self.memory.shapes, (self.preprocess.height, self.preprocess.width))
        shapes = self.memory.shapes
        return module, (sum(math.prod(shapes[name] if maps else shapes[name][:1]) for name, maps in module.reads),)

    def _train(
        self, module: nn.Module, inputs: Mapping[str, Inputs], recipe: Recipe, name: str, pace: Pace | None = None
    ) -> Outcome:
        """Train ``module`` by gradient descent, from its checkpoint if there is one; its best weights stay in it."""
        self.display.plan(epochs=recipe.epochs, batch=recipe.batch)
        training = Training(
            module,
            self.task,
            self.job.loader(inputs, "train", recipe),
            self.job.loader(inputs, "val", recipe) if "val" in inputs else None,
            recipe,
            machine=self.job.machine,
            checkpoints=Checkpoints(self.job.run.folder, f"checkpoint-{name}"),
            watcher=self.display,
            observer=doctor_for(self.job, inputs, name, frozen=name != "all"),
            masks=self.job.masks,
            pace=pace,
        )
        with self.display.catching_interrupts():
            outcome = training.run()
        module.load_state_dict(outcome.weights)
        for stage, seconds in outcome.seconds.items():
            self.clock.add(stage, seconds)
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
        main = self.task.headline[0]
        said = (
            f"{main.replace('_', ' ')} {made.metrics[main]:.1%} on validation"
            if made.metrics
            else "nothing was held out"
        )
        self.display.say(f"{name}: {said}, {made.seconds:.1f} s")
        return made

    def _judge(self, candidate: Candidate, part: str) -> Evaluation:
        module = candidate.module.cpu().float().to(memory_format=torch.contiguous_format).eval()
        batches = self.display.judging(self.job.loader(candidate.inputs, part, self.recipe))
        return evaluate(module, self.task, batches, processes=self.job.machine.world)

    def _calibrate(self, candidate: Candidate) -> float:
        """Scale the logits so that the scores of validation images are right as often as they say."""
        module = candidate.module.eval()
        part = Part(candidate.inputs["val"], self.job.targets["val"])
        with torch.inference_mode():
            logits = torch.cat([module(batch.inputs) for batch in Loader(part, self.recipe.batch).in_order()])
        found = temperature(logits.double().numpy(), self.job.targets["val"])
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
        with self.clock.stage("learning to refuse"):
            return learn_to_reject(head.distance, features, candidate.inputs, self.job)


def _remembered(inputs: Inputs) -> Remembered:
    assert isinstance(inputs, Remembered)
    return inputs

"""Learning from trained weights: frozen stages are run once an image, and what learns is trained on what they gave."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from svertka.data.batches import Inputs, Loader, Part, Pixels
from svertka.data.memory import VIEWS, Remembered, Store, memory_bytes, remember
from svertka.deploy.bulk import Bulk, BulkName, engines, fastest
from svertka.errors import UserError, nearest
from svertka.layers.transfer import TransferHead
from svertka.layers.trunk import Classifier, Trunk
from svertka.runtime.choices import remembered_choice
from svertka.training import speed
from svertka.training.checkpoint import Checkpoints
from svertka.training.evaluation import evaluate
from svertka.training.heads import examples, fit_logistic, fit_means, fit_svm, temperature
from svertka.training.loop import Outcome, Training
from svertka.training.machine import start_fabric
from svertka.verbs._job import Job, Learnt, Tried
from svertka.verbs._models import model_file
from svertka.zoo.transfer import Start, put_head, scale_logits, start_from, taps_of

if TYPE_CHECKING:
    from svertka.tasks.task import Evaluation
    from svertka.training.recipe import Recipe

_HIDDEN = 256
"""Units of the hidden layer of ``mlp``."""

_MLP = {"epochs": 60, "lr": 1e-3, "batch": 64, "schedule": "one_cycle", "optimizer": "adamw"}
_MAPS = "maps"  # what the store of the boundary's maps is called among those of the taps' means
_EXAMPLES = 16  # images that engines are timed with


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
            seed=recipe.seed,
        )
        if recipe.head != "own":
            taps = taps_of(start.net, recipe.taps, preprocess.height)
            if recipe.freeze != "all":  # what is before the boundary is not at hand when the rest learns
                first = frozen_stages(start.net.trunk, recipe.freeze)
                taps = tuple(tap for tap in taps if start.net.trunk.depth(tap) >= first)
            options: dict[str, Any] = {"taps": list(taps), "rule": "linear", "dropout": recipe.dropout or 0.0}
            if recipe.head == "mlp":
                options |= {"rule": "mlp", "hidden": _HIDDEN}
            elif recipe.head == "kernel_svm":
                options |= {"rule": "kernel", "supports": 0}  # fitting says how many
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
        self.boundary = trunk.names[self.depth - 1] if self.depth else None
        self.digests = trunk.digests()
        self.targets = {part: self.task.targets(held.labels) for part, held in self.prepared.parts.items()}
        self._engines: list[Bulk] = []
        with self.clock.stage("choosing an engine"):
            self.recipe = job.recipe = job.recipe.changed({"engine": self._choose_engine()})
        job.begin()

    @property
    def _head(self) -> TransferHead:
        assert isinstance(self.net.head, TransferHead)
        return self.net.head

    @property
    def _taps(self) -> tuple[str, ...]:
        return self.net.head.taps if isinstance(self.net.head, TransferHead) else ()

    @property
    def _keeps_maps(self) -> bool:
        """Whether the maps at the boundary are needed: only if there is something behind it that learns by them."""
        return self.boundary is not None and (not self._taps or self.depth < len(self.net.trunk.names))

    def run(self) -> Learnt:
        """Learn.

        Raises:
            UserError: Something is not finite, or cannot be written.
            InterruptedTrainingError: A stop was asked for; all is saved.
        """
        trunk = self.net.trunk
        trunk.freeze(len(trunk.names))
        stores = self._remember()
        tried: list[Tried] = []
        record: dict[str, Any] = {}
        module: nn.Module | None = None
        outcome: Outcome | None = None
        if self._taps:
            inputs = self._inputs(stores, self._taps)
            started = time.perf_counter()
            with self.clock.stage("fitting the head"):
                record, outcome = self._fit(self._head.rule, inputs)
            module = self._head.rule
            self._note(tried, f"{self.recipe.head} head on {', '.join(self._taps)}", module, inputs, started)
        if module is None or self.depth < len(trunk.names):
            before = None if module is None else {name: value.clone() for name, value in self.net.state_dict().items()}
            started = time.perf_counter()
            module, inputs, outcome = self._go_on(stores)
            what = "all stages" if self.boundary is None else f"all that follows {self.boundary}"
            self._note(tried, f"{what}, {self.recipe.epochs} epochs", module, inputs, started)
            if before is not None and not tried[-1].kept:  # the head alone was better
                self.net.load_state_dict(before)
        trunk.freeze(self.depth)
        after = trunk.digests()
        if any(after[name] != self.digests[name] for name in trunk.names[: self.depth]):
            raise RuntimeError("frozen stages have changed; this is a fault of svertka, please report it")
        with self.clock.stage("evaluation"):
            if "val" in inputs:
                record["temperature"] = self._calibrate(module.eval(), inputs)
            evaluations = {part: self._judge(module, inputs, part) for part in inputs if part != "train"}
        if self.boundary is not None:
            record["frozen"] = {"up to": self.boundary, "sha256": after[self.boundary]}
        weights = {name: value.detach().clone().contiguous() for name, value in self.net.state_dict().items()}
        best_epoch, history = (outcome.best_epoch, outcome.history) if outcome else (0, [])
        return Learnt(
            self.net.eval(),
            self.start.arguments,
            self.recipe,
            Outcome(weights, best_epoch, history, {}),
            evaluations,
            tuple(tried),
            {"transfer": {**record, "from": self.start.card.provenance.get("weights", self.start.card.weights)}},
            self.start.card.licence,
        )

    def _note(
        self, tried: list[Tried], name: str, module: nn.Module, inputs: Mapping[str, Inputs], started: float
    ) -> None:
        """Write down a step; of several, the one that validation ranks highest is kept, or else the last."""
        metrics = dict(self._judge(module, inputs, "val").metrics) if "val" in inputs else {}
        kept = not (tried and metrics) or self.task.rank(metrics) > self.task.rank(tried[-1].metrics)
        if kept and tried:
            tried[-1] = dataclasses.replace(tried[-1], kept=False)
        tried.append(Tried(name, metrics, time.perf_counter() - started, kept))
        said = f"{metrics['accuracy']:.1%} of the validation images" if metrics else "nothing was held out"
        self.display.say(f"{name}: {said}, {tried[-1].seconds:.1f} s")

    # What frozen stages gave

    def _remember(self) -> dict[str, dict[str, Store]]:
        """By view, the store of every tap's means; and that of the boundary's maps, where they are needed."""
        recipe, prepared = self.recipe, self.prepared
        for view in recipe.views:
            if view not in VIEWS:
                raise UserError(f"unknown view {view!r}", mend=nearest(view, VIEWS))
        shapes = self.net.trunk.shapes(self.preprocess.height, self.preprocess.width)
        kinds = {tap: shapes[tap][:1] for tap in self._taps}
        if self.boundary is not None and self._keeps_maps:
            kinds[_MAPS] = shapes[self.boundary]
        stores: dict[str, dict[str, Store]] = {}
        for number, view in enumerate(recipe.views if kinds else ()):
            stores[view] = {kind: Store(self._key(kind, shape, view), shape) for kind, shape in kinds.items()}
            # What is judged is judged by the first view alone.
            parts = ["train"] if number else list(prepared.parts)
            positions = np.concatenate([prepared.parts[part].positions for part in parts])
            with self.clock.stage("running frozen stages"), self.job.fabric.rank_zero_first():
                count = remember(
                    prepared.images,
                    positions,
                    view,
                    list(stores[view].values()),
                    self._engine,
                    advance=self.display.remembering,
                )
            how = f" by {recipe.engine}" if count else ""
            self.display.say(
                f"frozen stages ({view}): {count:,} of {len(positions):,} images run{how}, the others remembered; "
                f"{memory_bytes() / 1e6:,.0f} MB are kept in all"
            )
        return stores

    def _choose_engine(self) -> str:
        if self.job.recipe.engine != "auto" or not (self._taps or self.boundary):
            return self.job.recipe.engine
        if self.job.fabric.world_size > 1:  # processes might choose differently
            return "pytorch"
        circumstances = [platform.node(), torch.__version__, self.job.recipe.net, self.preprocess.to_json()]
        return remembered_choice(circumstances, engines(), lambda: self._start_engine(None).name)

    def _engine(self) -> Bulk:
        if self._engines:
            return self._engines[-1]
        assert self.recipe.engine != "auto"
        return self._start_engine(self.recipe.engine)

    def _start_engine(self, wanted: BulkName | None) -> Bulk:
        pixels = self.prepared.images.take(np.resize(self.prepared.parts["train"].positions, _EXAMPLES))
        frozen = _Frozen(self.net.trunk, self._taps, self.boundary if self._keeps_maps else None)
        self._engines.append(fastest(frozen.eval(), self.preprocess.normalise(pixels), wanted=wanted))
        return self._engines[-1]

    def _key(self, kind: str, shape: tuple[int, ...], view: str) -> str:
        arguments = {
            name: value for name, value in self.start.arguments.items() if name not in ("classes", "head", "dropout")
        }
        stage = self.boundary if kind == _MAPS and self.boundary else kind
        what = [1, self.recipe.net, arguments, self.digests[stage], stage, shape]
        text = json.dumps([what, self.preprocess.to_json(), view, self.recipe.engine], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def _inputs(self, stores: Mapping[str, Mapping[str, Store]], kinds: Sequence[str]) -> dict[str, Inputs]:
        """What is remembered, by part; training sees every view, the others the first."""
        digests = self.prepared.images.digests
        inputs: dict[str, Inputs] = {}
        for part, division in self.prepared.parts.items():
            views = self.recipe.views if part == "train" else self.recipe.views[:1]
            inputs[part] = Remembered(
                [[stores[view][kind] for kind in kinds] for view in views],
                [digests[position] for position in division.positions],
                seed=self.recipe.seed,
            )
        return inputs

    # Learning

    def _fit(self, rule: nn.Module, inputs: Mapping[str, Inputs]) -> tuple[dict[str, Any], Outcome | None]:
        recipe, classes = self.recipe, len(self.task.classes)
        if recipe.head == "mlp":
            return {}, self._train(rule, inputs, recipe.changed(_MLP), "head")
        weights = None
        if self.task.weights is not None:
            weights = self.task.weights.numpy().astype(np.float64)[self.targets["train"]]
        train = examples(_remembered(inputs["train"]), self.targets["train"], weights)
        val = examples(_remembered(inputs["val"]), self.targets["val"]) if "val" in inputs else None
        if recipe.head == "linear":
            fitted = fit_logistic(train, val, classes, seed=recipe.seed)
        elif recipe.head == "means":
            fitted = fit_means(train, classes)
        else:
            fitted = fit_svm(train, val, classes, kernel=recipe.head == "kernel_svm", seed=recipe.seed)
        if recipe.head == "kernel_svm":
            options = {**self.start.arguments["head"], "supports": len(fitted.tensors["supports"])}
            put_head(self.start, options, side=self.preprocess.height)
            rule = self._head.rule
        names = fitted.tensors if recipe.head == "kernel_svm" else {f"linear.{n}": t for n, t in fitted.tensors.items()}
        rule.load_state_dict({name: torch.from_numpy(np.asarray(value)) for name, value in names.items()})
        return {"head": {**fitted.chosen, "tried": [list(pair) for pair in fitted.tried]}}, None

    def _train(self, module: nn.Module, inputs: Mapping[str, Inputs], recipe: Recipe, name: str) -> Outcome:
        """Train ``module`` by gradient descent, from its checkpoint if there is one; its best weights stay in it."""
        self.display.plan(epochs=recipe.epochs, batch=recipe.batch)
        training = Training(
            module,
            self.task,
            self._loader(inputs, "train", recipe),
            self._loader(inputs, "val", recipe) if "val" in inputs else None,
            recipe,
            fabric=self.job.fabric,
            checkpoints=Checkpoints(self.job.run.folder, f"checkpoint-{name}"),
            watcher=self.display,
        )
        with self.display.catching_interrupts():
            outcome = training.run()
        module.load_state_dict(outcome.weights)
        for stage, seconds in outcome.seconds.items():
            self.clock.add(stage, seconds)
        return outcome

    def _go_on(self, stores: Mapping[str, Mapping[str, Store]]) -> tuple[nn.Module, dict[str, Inputs], Outcome]:
        """Train all stages behind the frozen ones, and the head."""
        trunk = self.net.trunk
        trunk.freeze(self.depth)
        self.net.head.requires_grad_(True)
        if self.boundary is None:
            size: tuple[int, ...] = (self.preprocess.channels, self.preprocess.height, self.preprocess.width)
            module, inputs = self.net, self._pixels()
        else:
            size = trunk.shapes(self.preprocess.height, self.preprocess.width)[self.boundary]
            module, inputs = behind(self.net, self.boundary), self._inputs(stores, [_MAPS])
        with self.clock.stage("setting up"):
            recipe = self.recipe
            chosen = speed.choose(module, self.task, recipe, image_shape=size, fabric=self.job.fabric)
            recipe = recipe.changed(chosen._asdict())
            self.job.fabric = start_fabric(recipe)
        outcome = self._train(module, inputs, recipe, "stages")
        return module, inputs, outcome

    def _pixels(self) -> dict[str, Inputs]:
        recipe = self.recipe
        return {
            part: Pixels(
                self.prepared.images,
                division.positions,
                self.preprocess,
                recipe.augment if part == "train" else (),
                recipe.seed,
            )
            for part, division in self.prepared.parts.items()
        }

    def _loader(self, inputs: Mapping[str, Inputs], part: str, recipe: Recipe) -> Loader:
        samples = Part(inputs[part], self.targets[part], recipe.seed)
        return Loader(samples, recipe.batch, recipe.workers, self.job.fabric.global_rank, self.job.fabric.world_size)

    # Judging

    def _judge(self, module: nn.Module, inputs: Mapping[str, Inputs], part: str) -> Evaluation:
        module.cpu().float().to(memory_format=torch.contiguous_format).eval()
        batches = self._loader(inputs, part, self.recipe).in_order()
        return evaluate(module, self.task, batches, processes=self.job.fabric.world_size)

    def _calibrate(self, module: nn.Module, inputs: Mapping[str, Inputs]) -> float:
        """Scale the logits so that the scores of validation images are right as often as they say."""
        part = Part(inputs["val"], self.targets["val"])
        with torch.inference_mode():
            logits = torch.cat([module(batch.images) for batch in Loader(part, self.recipe.batch).in_order()])
        found = temperature(logits.double().numpy(), self.targets["val"])
        scale_logits(self.net, 1 / found)
        return found


def frozen_stages(trunk: Trunk, freeze: str) -> int:
    """How many stages ``all``, ``none`` or the name of a stage freezes.

    Raises:
        UserError: There is no such stage.
    """
    known = {"none": 0, "all": len(trunk.names)}
    return known[freeze] if freeze in known else trunk.depth(freeze)


class _Frozen(nn.Module):
    """Images ``(N, C, H, W)`` to the means of the stages ``taps``, each ``(N, C')``, and the maps of one stage."""

    def __init__(self, trunk: Trunk, taps: Sequence[str], maps: str | None) -> None:
        super().__init__()
        self.trunk, self.taps, self.maps = trunk, tuple(taps), maps

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        outputs = self.trunk.pyramid(x)
        means = [TransferHead.features([outputs[tap]]) for tap in self.taps]
        return (*means, outputs[self.maps]) if self.maps else tuple(means)


def behind(net: Classifier, boundary: str) -> Classifier:
    """What follows the stage ``boundary`` of ``net``, sharing its layers: takes the maps of that stage.

    Its trunk has a stage of the boundary's name that does nothing, so that a head may read it.
    """
    names = net.trunk.names
    later = names[names.index(boundary) + 1 :]
    stages: dict[str, nn.Module] = {boundary: nn.Identity()}
    stages |= {name: getattr(net.trunk, name) for name in later}
    trunk = Trunk(stages, in_channels=0)
    return Classifier(trunk, net.head, classes=net.classes)


def _remembered(inputs: Inputs) -> Remembered:
    assert isinstance(inputs, Remembered)
    return inputs

"""The doctor: looks on while a network learns, keeps a record, and says what is surely wrong while it can be mended."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from svertka.tasks.task import Evaluation, Task
from svertka.training.contracts import Observer
from svertka.training.diagnoses.diagnosing import SURE, check_kinds, diagnose
from svertka.training.gauges import Gauges
from svertka.training.signals import (
    PENALTIES,
    Background,
    Signals,
    facts_of,
    of_json,
    rounded,
    to_json,
    write_signals,
)
from svertka.training.updates import OwnedUpdate

_SHARE = 0.015  # of the time of training that looking on may take
_ALLOWED = 0.02  # seconds that it may take beside, so that a short run is looked at too
_SAMPLES = 64  # of a run
_LEAST_EVERY = 4  # steps between two samples
_FIRST = 3  # steps that are all sampled
_SUSPECTS = 24  # validation images that are named


class _Looking:
    """Looks on at one update, and keeps `Signals` of it.

    Args:
        signals: Its record.
        gauges: Read its steps; None as long as nobody learns.
        every: It runs at every so-many-th step.
    """

    def __init__(self, signals: Signals, gauges: Gauges | None = None, every: int = 1) -> None:
        self.signals, self._gauges, self.every = signals, gauges, every
        self._step = 0
        self._began = 0.0
        self._loss: Mapping[str, float] | None = None
        self._stretch = [0.0, 0.0]  # batches, and the sum of their losses

    @property
    def reading(self) -> bool:
        """Whether this step is read."""
        return self._gauges is not None and self._gauges.reading

    @property
    def affordable(self) -> bool:
        """Whether more may be looked at by now."""
        seconds = self.signals.seconds
        # What is allowed beside is handed out over the run, so that its end is looked at too.
        return self._watching <= _SHARE * seconds["training"] + _ALLOWED * (0.3 + self.signals.progress)

    @property
    def _watching(self) -> float:
        read = self._gauges.spent if self._gauges is not None else 0.0
        return self.signals.seconds["watching"] + read

    def before(self, step: int) -> None:
        """See `Observer.before`."""
        self._step, self._loss = step // self.every, None
        self._began = time.perf_counter()
        if self._gauges is not None and self._wanted(self._step):
            self._gauges.begin()

    def _wanted(self, step: int) -> bool:
        return (step < _FIRST or step % self.signals.every == 0) and self.affordable

    def batch(self, inputs: Tensor, targets: Tensor, losses: Mapping[str, float], loading: float) -> None:
        """See `Observer.batch`."""
        self.signals.seconds["loading"] += loading
        self._stretch = [self._stretch[0] + 1, self._stretch[1] + _task_loss(losses)]
        if self._gauges is not None and self._gauges.reading and self._loss is None:
            self._loss = losses
            self._gauges.batch(inputs, targets, exclusive=bool(self.signals.facts["exclusive"]))

    def gradients(self) -> None:
        """See `Observer.gradients`."""
        if self._gauges is not None and self._gauges.reading:
            self._gauges.gradients()

    def after(self, lr: float) -> None:
        """See `Observer.after`."""
        signals = self.signals
        if self._gauges is not None and self._gauges.reading:
            read = self._gauges.end()
            signals.add_step({"step": self._step, "lr": lr, "loss": _task_loss(self._loss or {}), **read})
        signals.done = self._step + 1
        if signals.done % -(-signals.planned // _SAMPLES) == 0:
            signals.losses.append(rounded([signals.done, self._stretch[1] / max(1.0, self._stretch[0])]))
            self._stretch = [0.0, 0.0]
        signals.seconds["training"] += time.perf_counter() - self._began

    def told(self) -> Signals:
        """The record. What was read of the network is counted where it goes on being counted after a restart."""
        if self._gauges is not None:
            self.signals.seconds["watching"] += self._gauges.spent
            self._gauges.spent = 0.0
        return self.signals

    def restore(self, signals: Signals) -> None:
        """Go on from an earlier record. The same run, but what was found in its data may be told anew."""
        signals.facts = {**signals.facts, **self.signals.facts}
        signals.ended = False
        self.signals = signals


class Doctor(Observer):
    """Keeps `Signals` of every update of a training.

    Steps are sampled, evenly and so seldom that looking on takes about a fiftieth of the time. Whatever it does
    happens between the steps or reads what a step has computed: no random number is drawn and no bit is changed.

    Args:
        background: What the training cannot see of itself.
        path: File for the record, written when training ends; None writes none.
        warn: Is told a diagnosis that is sure, once.
    """

    def __init__(self, background: Background, path: Path | None, warn: Callable[[str], None]) -> None:
        self.background, self.path, self.warn = background, path, warn
        self._looking = {"": _Looking(Signals())}
        self._now = self._looking[""]
        self._judged = [0.0, 0.0, 0.0]  # values, their sum, the sum of their squares

    @property
    def by_update(self) -> dict[str, Signals]:
        """The records by update; that of one alone has no name."""
        return {name: looking.signals for name, looking in self._looking.items()}

    @property
    def signals(self) -> Signals:
        """The record of the first update."""
        return next(iter(self._looking.values())).signals

    def attach(
        self, net: nn.Module, task: Task, updates: Sequence[OwnedUpdate], *, samples: int, steps_an_epoch: int
    ) -> None:
        """See `Observer.attach`.

        Raises:
            UserError: The task asks for a diagnosis that there is not.
        """
        check_kinds(task.diagnostics or (), task.name)
        net.train()
        self._looking = {}
        for owned in updates:
            several = len(updates) > 1
            gauges = Gauges(net, owned.parameters.values() if several else None)
            every = owned.update.every
            facts = facts_of(
                owned.recipe,
                self.background,
                task=task.name,
                exclusive=task.exclusive and task.net_kind == "classifier",
                classes=task.classes,
                samples=samples,
                steps_an_epoch=-(-steps_an_epoch // every),
                stages=gauges.stages,
                norms=gauges.norms,
                update=owned.name if several else "",
                diagnostics=task.diagnostics,
            )
            signals = Signals(facts, every=max(_LEAST_EVERY, -(-facts["steps"] // _SAMPLES)))
            self._looking[owned.name if several else ""] = _Looking(signals, gauges, every)
        self._now = next(iter(self._looking.values()))

    def shortened(self, epochs: int, steps: int) -> None:
        """See `Observer.shortened`."""
        for looking in self._looking.values():
            facts = looking.signals.facts
            facts["recipe"]["epochs"], facts["steps"] = epochs, -(-steps // looking.every)

    def before(self, step: int, update: str = "") -> None:
        """See `Observer.before`."""
        self._now = self._looking[update if len(self._looking) > 1 else ""]
        self._now.before(step)

    def batch(self, inputs: Tensor, targets: Tensor, losses: Mapping[str, float], loading: float) -> None:
        """See `Observer.batch`."""
        self._now.batch(inputs, targets, losses, loading)

    def gradients(self) -> None:
        """See `Observer.gradients`."""
        self._now.gradients()

    def after(self, lr: float) -> None:
        """See `Observer.after`."""
        self._now.after(lr)

    def judging(self, inputs: Tensor) -> None:
        """See `Observer.judging`: of the first epoch's inputs, mean and deviation."""
        if not self.signals.epochs:
            started = time.perf_counter()
            sums = (float(inputs.numel()), float(inputs.sum()), float(inputs.square().sum()))
            self._judged = [before + value for before, value in zip(self._judged, sums, strict=True)]
            self.signals.seconds["watching"] += time.perf_counter() - started

    def epoch(self, row: Mapping[str, float], evaluation: Evaluation | None) -> None:
        """See `Observer.epoch`."""
        shared: dict[str, Any] = {}
        for name, looking in self._looking.items():
            started = time.perf_counter()
            signals = looking.signals
            loss = _of_epoch(row, name)
            if loss is None:
                continue
            told = {**row, "task_loss": loss}
            if evaluation is not None:
                count, total, squares = self._judged
                if count and "judged" not in signals.facts:
                    mean = total / count
                    signals.facts["judged"] = [mean, max(squares / count - mean * mean, 0.0) ** 0.5]
                if signals.exclusive and {"target", "predicted", "rank"} <= evaluation.arrays.keys():
                    shared = shared or _told_by(evaluation, signals.classes)
                    told |= shared
                    signals.suspects = self._suspects(evaluation)
            signals.add_epoch(told)
            if looking.affordable:
                self._say(signals)
            signals.seconds["watching"] += time.perf_counter() - started

    def _say(self, signals: Signals) -> None:
        for found in diagnose(signals, live=True):
            if found.confidence >= SURE and found.name not in signals.said:
                signals.said.append(found.name)
                self.warn(found.line())

    def _suspects(self, evaluation: Evaluation) -> list[dict[str, Any]]:
        """Validation images whose label the network finds least likely, though it is sure of another."""
        arrays, names = evaluation.arrays, self.signals.facts["names"]
        wrong = np.flatnonzero(arrays["predicted"] != arrays["target"])
        chosen = wrong[np.argsort(-arrays["loss"][wrong], kind="stable")][:_SUSPECTS]
        return [
            {
                "file": self.background.names(int(arrays["indices"][row])),
                "label": names[arrays["target"][row]],
                "guess": names[arrays["predicted"][row]],
                "rank": int(arrays["rank"][row]),
            }
            for row in chosen.tolist()
            if names
        ]

    def ended(self, trouble: str = "") -> None:
        """See `Observer.ended`."""
        for signals in self.by_update.values():
            signals.ended, signals.trouble = True, trouble
        if self.path is not None:
            write_signals(self.path, self._told())

    def state(self) -> dict[str, Any]:
        """See `Observer.state`."""
        return to_json(self._told())

    def _told(self) -> dict[str, Signals]:
        return {name: looking.told() for name, looking in self._looking.items()}

    def restore(self, state: dict[str, Any]) -> None:
        """See `Observer.restore`. Of a run that was begun without a doctor, only what follows is known."""
        if state:
            for name, signals in of_json(state).items():
                self._looking[name].restore(signals)


def _task_loss(losses: Mapping[str, float]) -> float:
    return sum(value for name, value in losses.items() if name not in PENALTIES)


def _of_epoch(row: Mapping[str, float], update: str) -> float | None:
    """The loss of an epoch without penalties; None of an update that did not run in it."""
    if not update:
        return row["train_loss"] - sum(row.get(f"train_{name}", 0.0) for name in PENALTIES)
    beginning = f"train_{update}_"
    terms = {name.removeprefix(beginning): value for name, value in row.items() if name.startswith(beginning)}
    return _task_loss(terms) if terms else None


def _told_by(evaluation: Evaluation, classes: int) -> dict[str, Any]:
    """What validation says beside its metrics.

    ``chance``: the accuracy that the same guesses would have, were the labels shuffled among the images. ``top``:
    share of the class that was guessed most. ``unseen``: share of images of classes that were never guessed.
    ``mistaken``: share of images taken for another class, and of these, ``depth``: how far down the label stood among
    the classes that were not guessed, 0 for first and 1 for last, in the mean. ``recalls``: by class, None without
    images.
    """
    target, guess, rank = (evaluation.arrays[name] for name in ("target", "predicted", "rank"))
    count = len(target)
    guesses = np.bincount(guess, minlength=classes)
    labels = np.bincount(target, minlength=classes)
    wrong = target != guess
    hits = np.bincount(target[~wrong], minlength=classes)
    below = (rank[wrong] - 1) / max(1, classes - 2)
    told: dict[str, Any] = {
        "chance": float(guesses @ labels) / count**2,
        "top": float(guesses.max()) / count,
        "unseen": float(labels[guesses == 0].sum()) / count,
        "mistaken": float(wrong.mean()),
        "depth": float(below.mean()) if len(below) else 0.0,
    }
    if classes <= 100:
        told["recalls"] = [
            float(hit) / float(label) if label else None for hit, label in zip(hits, labels, strict=True)
        ]
    return told

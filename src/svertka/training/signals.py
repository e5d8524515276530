"""What the doctor knows of a training: a bounded record of what was measured while it ran. Knows no torch."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from svertka.errors import UserError
from svertka.runtime.files import write_text
from svertka.runtime.safetensors import read_header
from svertka.training.recipe import Recipe

MOST = 128
"""Samples, and epochs, that are kept; beyond it every second one is forgotten."""

PENALTIES = ("l1", "weight_elimination")
"""Loss terms that say nothing about how well the labels are told."""

STATE = "svertka.state"
"""Where in the metadata of a checkpoint it stands where a run is."""

_CLASSES = 1000  # whose numbers of images are kept
_UPDATES = "updates"
_LARGEST = 1e30  # stands for what is not finite
_NEEDED = {"recipe", "steps", "classes", "exclusive", "counts", "stages", "findings", "samples", "steps_an_epoch"}


@dataclass(frozen=True)
class Background:
    """What a training cannot see of itself.

    Attributes:
        counts: Number of images by part and class, in the order of the classes; none where an image has not one class.
        mean, std: Of the preprocessing that the inputs should have had, by channel; empty where inputs are no images.
        findings: What was found in the data, as `svertka.check` has it in JSON.
        names: Says the file of a validation image by its number.
        before: The score on validation that was had before this training, such as that of a head on frozen stages.
        frozen: Whether there are stages that are kept as they are, and are no part of what learns.
        images: Number of images to learn from, where inputs may be pieces of them.
    """

    counts: Mapping[str, Sequence[int]] = field(default_factory=dict)
    mean: Sequence[float] = ()
    std: Sequence[float] = ()
    findings: Sequence[Mapping[str, Any]] = ()
    names: Callable[[int], str] = str
    before: float | None = None
    frozen: bool = False
    images: int = 0


@dataclass
class Signals:
    """The record of one training, or of one of its updates where it has several, as JSON values.

    Attributes:
        facts: What was known before the first step; see `facts_of`.
        steps: What was read at sampled steps; see `svertka.training.gauges.Gauges`.
        epochs: Lines of the history, with what validation said of each.
        seconds: ``training``, of which ``loading`` was waited for batches, and ``watching`` went into this record.
        losses: Training loss over the whole run, in at most so many stretches as samples: last step, and mean.
        done: Steps taken.
        every: Every so many steps one is sampled.
        trouble: What was not finite, if that ended it.
        ended: Whether it is over.
        said: Names of diagnoses that were said while it ran.
        suspects: Validation images whose label is least likely, by the last epoch's network: file, label, guess, rank.
    """

    facts: dict[str, Any] = field(default_factory=dict)
    steps: list[dict[str, Any]] = field(default_factory=list)
    epochs: list[dict[str, Any]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=lambda: {"training": 0.0, "loading": 0.0, "watching": 0.0})
    losses: list[list[float]] = field(default_factory=list)
    done: int = 0
    every: int = 4
    trouble: str = ""
    ended: bool = False
    said: list[str] = field(default_factory=list)
    suspects: list[dict[str, Any]] = field(default_factory=list)

    @property
    def recipe(self) -> Mapping[str, Any]:
        """The recipe's fields by name."""
        return dict(self.facts["recipe"])

    @property
    def update(self) -> str:
        """Which update it is of, where there are several."""
        return str(self.facts.get("update", ""))

    @property
    def planned(self) -> int:
        """Steps that the recipe asks for."""
        return int(self.facts["steps"])

    @property
    def progress(self) -> float:
        """How much of what was planned is done; 1 at the end."""
        return self.done / max(1, self.planned)

    @property
    def complete(self) -> bool:
        """Whether the training went to an end, early or not, and nothing broke."""
        return self.ended and not self.trouble

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(self.facts["classes"])

    @property
    def exclusive(self) -> bool:
        """Whether an image has exactly one class, and the network learns that."""
        return bool(self.facts["exclusive"])

    def place(self, step: Mapping[str, Any]) -> float:
        """When a sampled step was, in epochs."""
        return int(step["step"]) / max(1, int(self.facts["steps_an_epoch"]))

    @property
    def chance(self) -> float:
        """The loss of a network that knows nothing but how frequent each class is; else the loss at the start."""
        if not self.exclusive:
            return float(self.steps[0]["loss"]) if self.steps else math.nan
        counts = self.facts["counts"].get("train") or [1] * self.classes
        total = sum(counts)
        return -math.fsum(float(count / total * math.log(count / total)) for count in counts if count)

    @property
    def floor(self) -> float:
        """The least that the loss can be, where labels are smoothed."""
        share = float(self.recipe["label_smoothing"])
        if not share or not self.exclusive:
            return 0.0
        rest = share / self.classes
        return -(1 - share + rest) * math.log(1 - share + rest) - (self.classes - 1) * rest * math.log(rest)

    def add_step(self, step: dict[str, Any]) -> None:
        """Take in a sampled step; where there are too many, every second one is forgotten, but never the first."""
        self.steps.append(rounded(step))
        if len(self.steps) > MOST:
            self.steps = self.steps[::2]
            self.every *= 2

    def add_epoch(self, row: dict[str, Any]) -> None:
        """Take in an epoch; where there are too many, every second one is forgotten, but never the last."""
        self.epochs.append(rounded(row))
        if len(self.epochs) > MOST:
            self.epochs = self.epochs[-1::-2][::-1]

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return dict(vars(self))

    @classmethod
    def of(cls, values: Mapping[str, Any], *, where: object = None) -> Signals:
        """From what `to_json` gave.

        Raises:
            UserError: It is something else.
        """
        try:
            found = cls(**values)
            known = found.facts.keys() >= _NEEDED
        except (TypeError, AttributeError) as error:
            raise UserError("not what the doctor of this release writes", where=where) from error
        if not known:
            raise UserError("not what the doctor of this release writes", where=where)
        return found


def facts_of(
    recipe: Recipe,
    background: Background,
    *,
    task: str,
    exclusive: bool,
    classes: Sequence[str],
    samples: int,
    steps_an_epoch: int,
    stages: Mapping[str, tuple[int, int]],
    norms: int,
    update: str = "",
    diagnostics: Collection[str] | None = None,
) -> dict[str, Any]:
    """What is known before the first step.

    Args:
        recipe: Of the training.
        background: What it cannot see of itself.
        task: Its name.
        exclusive: Whether an image has exactly one class.
        classes: Their names.
        samples: Images to learn from.
        steps_an_epoch: Movements of the weights.
        stages: Number of weights by stage, and how many of them learn.
        norms: Number of normalisations that go by the batch.
        update: Which of several this is about.
        diagnostics: Diagnoses that make sense for it; None for all.
    """
    fields = ("net", "epochs", "batch", "accumulate", "optimizer", "lr", "schedule", "weight_decay", "l1", "dropout")
    more = ("label_smoothing", "clip", "early_stop", "augment", "balance", "workers", "weight_elimination", "ema")
    few = len(classes) <= _CLASSES
    return {
        "recipe": {name: getattr(recipe, name) for name in (*fields, *more)} | {"weights": recipe.weights is not None},
        "task": task,
        "exclusive": exclusive,
        "classes": len(classes),
        "names": list(classes) if few else [],
        "counts": {part: list(counts) for part, counts in background.counts.items()} if few else {},
        "samples": samples,
        "images": background.images,
        "steps": recipe.epochs * steps_an_epoch,
        "steps_an_epoch": steps_an_epoch,
        "stages": {name: list(counts) for name, counts in stages.items()},
        "norms": norms,
        "mean": list(background.mean),
        "std": list(background.std),
        "findings": [
            {name: finding[name] for name in ("kind", "message", "mend", "count")} for finding in background.findings
        ],
        "before": background.before,
        "frozen": background.frozen,
        "update": update,
        "diagnostics": None if diagnostics is None else sorted(diagnostics),
    }


def signals_file(folder: Path, name: str = "") -> Path:
    """Where the record of a training of a run is written when it ends."""
    return folder / f"signals{f'-{name}' if name else ''}.json"


def write_signals(path: Path, by_update: Mapping[str, Signals]) -> None:
    """Write the record of a training, by update.

    Raises:
        UserError: It cannot be written.
    """
    write_text(path, json.dumps(to_json(by_update)))


def read_signals(path: Path) -> dict[str, Signals]:
    """Read the record of a training, by update; that of one alone has no name.

    Raises:
        UserError: It cannot be read, or is something else.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot be read ({error})", where=path) from error
    if not isinstance(values, dict):
        raise UserError("not what the doctor of this release writes", where=path)
    return of_json(values, where=path)


def to_json(by_update: Mapping[str, Signals]) -> dict[str, Any]:
    """The record of a training as a JSON object: of one update alone, that itself."""
    if list(by_update) == [""]:
        return by_update[""].to_json()
    return {_UPDATES: {name: signals.to_json() for name, signals in by_update.items()}}


def of_json(values: Mapping[str, Any], *, where: object = None) -> dict[str, Signals]:
    """From what `to_json` gave.

    Raises:
        UserError: It is something else.
    """
    found = values.get(_UPDATES, {"": values})
    if not isinstance(found, dict) or not all(isinstance(signals, dict) for signals in found.values()):
        raise UserError("not what the doctor of this release writes", where=where)
    return {name: Signals.of(signals, where=where) for name, signals in found.items()}


def rounded(value: Any) -> Any:
    """JSON values with five significant digits; what is not finite becomes a very large number."""
    if isinstance(value, dict):
        return {name: rounded(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.5g}") if abs(value) < _LARGEST else _LARGEST
    return value


def read_saved(checkpoint: Path) -> dict[str, Signals]:
    """The record as a checkpoint has it, by update; empty where the training is not looked at.

    Raises:
        UserError: The checkpoint is damaged.
    """
    try:
        seen = json.loads(read_header(checkpoint).metadata[STATE]).get("seen")
    except (KeyError, ValueError, AttributeError) as error:
        raise UserError("the checkpoint is damaged", where=checkpoint) from error
    return of_json(seen, where=checkpoint) if seen else {}

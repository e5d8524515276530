"""What several diagnoses read off the record of a training, and the plots that they show."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from svertka.exhibits import Curve, Curves
from svertka.training.signals import Signals

_ENOUGH = 8  # epochs, from which on their means are used and not those of sampled steps

Step = Mapping[str, Any]
Value = TypeVar("Value")


def losses(signals: Signals) -> list[tuple[float, float]]:
    """Where in what was done, from 0 to 1, the training loss was what: by epoch, or by stretch where epochs are few."""
    if len(signals.epochs) >= _ENOUGH:
        last = signals.epochs[-1]["epoch"]
        return [((row["epoch"] - 0.5) / last, row["task_loss"]) for row in signals.epochs]
    if signals.losses:
        return [(end / max(1, signals.done), loss) for end, loss in signals.losses]
    return [((step["step"] + 0.5) / max(1, signals.done), step["loss"]) for step in signals.steps]


def mean_loss(signals: Signals, begin: float, end: float) -> float:
    """Mean training loss of this stretch of what was done; NaN where nothing was read there."""
    found = [loss for place, loss in losses(signals) if begin <= place <= end]
    return statistics.fmean(found) if found else math.nan


def last_loss(signals: Signals) -> float:
    """Training loss of the last fifth of what was done, or the last that was read."""
    known = losses(signals)
    found = mean_loss(signals, 0.8, 1.0)
    return known[-1][1] if math.isnan(found) and known else found


def learnt(signals: Signals) -> float:
    """How much of the way from knowing nothing to knowing all the training loss has come: 0 to 1, or below."""
    chance, floor = signals.chance, signals.floor
    if not signals.exclusive and signals.epochs:
        chance = max(chance, signals.epochs[0]["task_loss"])
    return (chance - last_loss(signals)) / max(chance - floor, 1e-9)


def updates(signals: Signals) -> list[float]:
    """At every sampled step, how far weights moved; see `update`."""
    stages = learning(signals)
    return [update(step, stages) for step in signals.steps]


def update(step: Step, stages: Sequence[str]) -> float:
    """How far weights moved at a step, as a share of them: the median over the stages."""
    return statistics.median([float(step["update"][name]) for name in stages] or [0.0])


def learning(signals: Signals) -> list[str]:
    """Stages with weights that learn."""
    return [name for name, (_, learns) in signals.facts["stages"].items() if learns]


def gradient(step: Step) -> float:
    """Norm of the gradient of all weights."""
    return math.hypot(*step["gradient"].values())


def known(signals: Signals) -> float:
    """The probability that training labels get at the end, their geometric mean; their accuracy is mostly above it."""
    return math.exp(-max(last_loss(signals) - signals.floor, 0.0))


def score(signals: Signals) -> str:
    """Name of the metric that validation is chosen by, as epochs have it; empty where nothing was held out."""
    names = ("val_accuracy", "val_macro_f1", "val_miou", "val_map")
    return next((name for name in names if signals.epochs and name in signals.epochs[-1]), "")


def column(signals: Signals, name: str) -> list[float]:
    """A column of the epochs' lines, where they have it."""
    return [row[name] for row in signals.epochs if row.get(name) is not None]


def mean_of(step: Step, kind: str) -> float:
    """Mean over the layers of what was read of them."""
    return statistics.fmean(step[kind].values()) if step[kind] else math.nan


def late(values: Sequence[Value], share: float = 1 / 3) -> Sequence[Value]:
    """The last of some values, at least one."""
    return values[-max(1, round(share * len(values))) :]


def loss_plot(signals: Signals, title: str = "Loss") -> Curves:
    """Training and validation loss by epoch, or training loss by step where epochs are few."""
    if len(signals.epochs) < 3:
        return by_step(signals, title, "loss", {"training, by batch": lambda step: step["loss"]})
    return by_epoch(signals, title, "loss", {"training": "task_loss", "validation": "val_loss"})


def by_epoch(signals: Signals, title: str, label: str, columns: Mapping[str, str]) -> Curves:
    """Columns of the epochs' lines, by name."""
    curves = []
    for name, key in columns.items():
        rows = [row for row in signals.epochs if row.get(key) is not None]
        if rows:
            curves.append(Curve(name=name, x=[row["epoch"] for row in rows], y=[row[key] for row in rows]))
    return Curves(title=title, x_label="epoch", y_label=label, curves=curves)


def by_step(signals: Signals, title: str, label: str, read: Mapping[str, Callable[[Step], float]]) -> Curves:
    """What was read at sampled steps, over epochs."""
    x = [signals.place(step) for step in signals.steps]
    curves = [Curve(name=name, x=x, y=[value(step) for step in signals.steps]) for name, value in read.items()]
    return Curves(title=title, x_label="epoch", y_label=label, curves=curves)


def by_name(signals: Signals, title: str, label: str, kind: str, names: Sequence[str]) -> Curves:
    """What was read of stages or layers at sampled steps; only the first, the last and the middle ones of many."""
    chosen = list(names)
    if len(chosen) > 4:
        chosen = [chosen[round(place * (len(chosen) - 1) / 3)] for place in range(4)]
    curves = []
    for name in chosen:
        steps = [step for step in signals.steps if name in step[kind]]
        curves.append(
            Curve(name=name, x=[signals.place(step) for step in steps], y=[step[kind][name] for step in steps])
        )
    return Curves(title=title, x_label="epoch", y_label=label, curves=curves)

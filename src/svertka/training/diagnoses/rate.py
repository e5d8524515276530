"""How far the weights move: too far, hardly at all, or into a plateau; and what pulls at them."""

from __future__ import annotations

import itertools
import statistics

from svertka.exhibits import Curves
from svertka.training.diagnoses.diagnosis import Diagnosis
from svertka.training.diagnoses.readings import (
    by_name,
    by_step,
    gradient,
    late,
    learning,
    learnt,
    loss_plot,
    losses,
    update,
    updates,
)
from svertka.training.signals import Signals

_FAR = 0.15  # of the weights, at one step
_LOST = 0.3  # of the way to knowing all, below which little was learnt
_BURST = 4.0  # times the loss of knowing nothing
_CALM, _SURPRISED = 50.0, 10.0  # norm of the gradient at the start, and its loss as times that of knowing nothing
_PATH, _SHORT_PATH = 0.3, 0.1  # of the weights, over the whole run
_SHORT = 5e-4  # of the weights, at a step
_SHRUNK = 0.6  # of the weights' norm
_FLAT = 0.8  # of the loss of the stretch before
_ROUGH = 0.05  # of the mean: how much losses of a plateau go up and down
_MOVING = 5e-3  # of the weights at a step: on a plateau, they still go somewhere


def learning_rate_too_high(signals: Signals) -> Diagnosis | None:
    """Steps are so long that the loss bursts or stays where it was."""
    if not signals.steps:
        return None
    moved = updates(signals)
    farthest = max(moved, default=0.0)
    chance = signals.chance
    highest = max(step["loss"] for step in signals.steps[1:]) if len(signals.steps) > 1 else 0.0
    little = learnt(signals) < _LOST
    first = signals.steps[0]
    calm = gradient(first) < _CALM and first["loss"] < _SURPRISED * chance
    broke = bool(signals.trouble) and calm
    burst = highest > _BURST * chance and little and calm and farthest > _FAR / 3
    if not broke and not burst and not (farthest > _FAR and little and calm):
        return None
    if signals.trouble:
        message = (
            f"training broke at step {signals.done + 1} ({signals.trouble}), after weights moved by up to "
            f"{farthest:.2g} of their size at a step"
        )
    else:
        message = (
            f"weights move by up to {farthest:.2g} of their size at a step, and the loss is {_now(signals):.3g}, where "
            f"knowing nothing gives {chance:.3g}"
        )
    return Diagnosis(
        kind="learning_rate_too_high",
        confidence=0.9,
        message=message,
        mend=f"give --lr {signals.recipe['lr'] / 10:.1g}, or let --find-lr say which",
        evidence=_movement(signals),
    )


def learning_rate_too_low(signals: Signals) -> Diagnosis | None:
    """Steps are so short that weights hardly move in the whole run."""
    moved = updates(signals)
    if not moved or max(moved) == 0 or learnt(signals) > 0.5:
        return None
    path = statistics.fmean(moved) * (signals.done if signals.ended else signals.planned)
    if path > _PATH or statistics.fmean(moved) > _SHORT:
        return None
    return Diagnosis(
        kind="learning_rate_too_low",
        confidence=0.9 if path < _SHORT_PATH else 0.75,
        message=f"all steps together move the weights by {path:.1%}, and the loss is {_now(signals):.3g}, "
        f"where knowing nothing gives {signals.chance:.3g}",
        mend=f"give --lr {signals.recipe['lr'] * 10:.1g}, or let --find-lr say which",
        evidence=_movement(signals),
    )


def weight_decay_too_strong(signals: Signals) -> Diagnosis | None:
    """Decay or penalties pull the weights down faster than the labels push them up."""
    recipe = signals.recipe
    decays = {name: recipe[name] for name in ("weight_decay", "l1", "weight_elimination") if recipe[name]}
    if not decays or len(signals.steps) < 3 or learnt(signals) > 0.6:
        return None
    first, last = signals.steps[0]["weight"], signals.steps[-1]["weight"]
    kept = [last[name] / first[name] for name in learning(signals) if first.get(name)]
    if not kept or statistics.median(kept) > _SHRUNK:
        return None
    strongest = max(decays, key=lambda name: decays[name])
    return Diagnosis(
        kind="weight_decay_too_strong",
        confidence=0.9,
        message=f"weights shrink to {statistics.median(kept):.0%} of what they were; the loss is {_now(signals):.3g}, "
        f"where knowing nothing gives {signals.chance:.3g}",
        mend=f"give --{strongest.replace('_', '-')} {decays[strongest] / 10:.1g}",
        evidence=by_name(signals, "Norm of the weights by stage", "norm", "weight", learning(signals)),
    )


def plateau(signals: Signals) -> Diagnosis | None:
    """The loss goes up and down without falling, at a learning rate that was never lowered."""
    rates = [step["lr"] for step in signals.steps]
    if not rates or rates[-1] < 0.5 * max(rates) or len(signals.epochs) < 6:
        return None
    known = losses(signals)
    before = [loss for place, loss in known if 0.4 <= place < 0.7]
    after = [loss for place, loss in known if place >= 0.7]
    if len(before) < 2 or len(after) < 2:
        return None
    mean = statistics.fmean(after)
    jumps = [abs(one - other) for one, other in itertools.pairwise(after)]
    rough = statistics.fmean(jumps) / max(mean, 1e-9)
    moving = statistics.median(late(updates(signals)) or [0.0])
    share = learnt(signals)
    if mean < _FLAT * statistics.fmean(before) or rough < _ROUGH or moving < _MOVING or not _LOST < share < 0.98:
        return None
    return Diagnosis(
        kind="plateau",
        confidence=0.8,
        message=f"the loss goes up and down about {mean:.3g} without falling, at the full learning rate",
        mend="let the learning rate fall: --schedule one_cycle, cosine or plateau",
        evidence=loss_plot(signals),
    )


def _now(signals: Signals) -> float:
    return losses(signals)[-1][1]


def _movement(signals: Signals) -> Curves:
    stages = learning(signals)
    return by_step(
        signals,
        "How far weights move at a step",
        "share of the weights",
        {"median of the stages": lambda step: update(step, stages)},
    )

"""How well it fits: by heart, not at all, not yet, or stopped before it could."""

from __future__ import annotations

import math
import statistics

from svertka.training.diagnoses.diagnosis import Diagnosis
from svertka.training.diagnoses.readings import by_epoch, column, known, late, learnt, loss_plot, mean_loss
from svertka.training.signals import Signals
from svertka.wording import counted

_GAP = 0.08  # between accuracies, beyond chance
_RISEN = 1.15  # times the least validation loss
_APART = 6.0  # times the training loss
_POOR = 0.6  # of the way to knowing all
_GOOD = 0.65
_FLAT = 0.88  # of the loss of the stretch before, above which it hardly fell
_STILL = 0.93  # of the loss of the stretch before, above which it is flat
_FALLING = 0.9
_BEGUN, _EVENLY = 0.08, 0.2  # of the way to knowing all; and of the way that the loss has come
_MIXTURES = ("mixup", "cutmix")


def overfitting(signals: Signals) -> Diagnosis | None:
    """Training images are learnt by heart, while validation gets worse."""
    val, scores = column(signals, "val_loss"), column(signals, "val_accuracy")
    probable = known(signals)
    if len(val) < 5 or len(scores) != len(val):
        return None
    if signals.progress < 0.5 and not signals.ended:
        return None
    here, last = statistics.fmean(late(scores, 0.25)), statistics.fmean(late(val, 0.25))
    count = sum(signals.facts["counts"].get("val", [])) or 1
    gap = probable - here
    beyond = _GAP + math.sqrt(max(here * (1 - here), 0.01) / count)
    learnt_loss = signals.epochs[-1]["task_loss"]
    worse = last > _RISEN * min(val) or last > _APART * (learnt_loss + 0.02)
    if gap < beyond or not worse or learnt_loss > 0.5 * last:
        return None
    best = signals.epochs[val.index(min(val))]["epoch"] if len(val) == len(signals.epochs) else 0
    return Diagnosis(
        kind="overfitting",
        confidence=0.9 if gap > 1.5 * beyond else 0.8,
        message=f"training labels get a probability of {probable:.0%}, and {here:.0%} of validation is right; its "
        f"loss was {min(val):.3g} in epoch {best:.0f} and is {last:.3g}",
        mend="augment more (--augment affine,randaugment), or begin from --weights; more images help most",
        evidence=loss_plot(signals),
    )


def underfitting(signals: Signals) -> Diagnosis | None:
    """Even training images are not told, and it gets no better."""
    if not signals.complete or any(name in signals.recipe["augment"] for name in _MIXTURES):
        return None
    share = learnt(signals)
    before, after = mean_loss(signals, 0.3, 0.55), mean_loss(signals, 0.55, 0.8)
    val, scores = column(signals, "val_loss"), column(signals, "val_accuracy")
    if share > _POOR or math.isnan(before) or math.isnan(after) or after < _FLAT * before:
        return None
    if val and late(val)[-1] > 1.5 * signals.epochs[-1]["task_loss"]:
        return None
    told = f"training labels get a probability of {known(signals):.0%}" if scores else f"the loss is {after:.3g}"
    return Diagnosis(
        kind="underfitting",
        confidence=0.8,
        message=f"{told} at the end, and the loss hardly fell in the second half",
        mend="take a larger network, or less of --dropout, --weight-decay and --augment",
        evidence=loss_plot(signals),
    )


def needs_more_epochs(signals: Signals) -> Diagnosis | None:
    """The loss is still falling when the planned epochs are over."""
    if not signals.complete or signals.progress < 1 or learnt(signals) > _GOOD:
        return None
    before, after = mean_loss(signals, 0.5, 0.75), mean_loss(signals, 0.75, 1.0)
    val = column(signals, "val_loss")
    # What is falling evenly has come a quarter of its way in the last quarter.
    evenly = learnt(signals) > _BEGUN and before - after > _EVENLY * (signals.chance - after)
    if math.isnan(before) or math.isnan(after) or (after > _FALLING * before and not evenly):
        return None
    if val and len(val) > 1 and (val[-1] > 1.02 * min(val) or val[-1] > _STILL * val[-1 - max(1, len(val) // 4)]):
        return None
    return Diagnosis(
        kind="needs_more_epochs",
        confidence=0.85,
        message="the loss was still falling when "
        f"{counted(int(signals.recipe['epochs']), 'epoch was', 'epochs were')} over: "
        f"{before:.3g}, and {after:.3g} in the last quarter",
        mend=f"give --epochs {3 * int(signals.recipe['epochs'])}",
        evidence=loss_plot(signals),
    )


def stopped_too_early(signals: Signals) -> Diagnosis | None:
    """Early stopping ended it though training and validation were still getting better."""
    patience = int(signals.recipe["early_stop"])
    if not signals.complete or not patience or signals.progress >= 1 or len(signals.epochs) < 2:
        return None
    before, after = mean_loss(signals, 0.3, 0.65), mean_loss(signals, 0.65, 1.0)
    val = column(signals, "val_loss")
    if math.isnan(before) or math.isnan(after) or after > _FALLING * before or learnt(signals) > 0.97:
        return None
    if val and val[-1] > 1.25 * min(val):
        return None
    return Diagnosis(
        kind="stopped_too_early",
        confidence=0.85,
        message=f"early stopping ended it after {signals.epochs[-1]['epoch']:.0f} of {signals.recipe['epochs']} "
        f"epochs, though the training loss was still falling, from {before:.3g} to {after:.3g}",
        mend=f"give --early-stop {max(5, 3 * patience)}, or 0; the best epoch is kept anyway",
        evidence=by_epoch(signals, "Loss", "loss", {"training": "task_loss", "validation": "val_loss"}),
    )

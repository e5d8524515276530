"""Labels and classes: shuffled, noisy, unequal, or all guessed alike."""

from __future__ import annotations

import math
import statistics

from svertka.exhibits import Bars
from svertka.training.diagnoses.diagnosis import Diagnosis
from svertka.training.diagnoses.readings import by_epoch, column, known, late, learnt, updates
from svertka.training.signals import Signals
from svertka.wording import counted

_SIGMAS = 2.5
_MEMORISED = 0.3  # of the way from knowing nothing to knowing all training labels
_AHEAD = 0.15  # by which training accuracy is above that of validation, where labels are learnt by heart
_PATH, _FAR = 0.3, 0.3  # weights moved: in all, and at most at a step
_CLASSES = 5  # with fewer, how far down a label stands says nothing
_MISTAKES = 12
_KNOWN = 0.25  # accuracy above that of shuffled labels, from which on the network may accuse
_DEPTH = 0.27  # how far down the labels of mistaken images stand: 0 next to the guess, a half by chance
_ONE = 0.9  # of the guesses
_NOT_ONE = 0.75  # of the labels
_UNSEEN = 0.3  # of the images
_UNEQUAL = 8.0  # times as many images
_RECALL = 0.25  # by which that of rare classes is below that of frequent ones


def labels_shuffled(signals: Signals) -> Diagnosis | None:
    """What is learnt says nothing about validation: the score is what shuffled labels would have."""
    count = sum(signals.facts["counts"].get("val", []))
    scores, chances = column(signals, "val_accuracy"), column(signals, "chance")
    if not count or len(scores) != len(chances) or len(scores) < 3:
        return None
    here, chance = statistics.fmean(late(scores, 0.5)), statistics.fmean(late(chances, 0.5))
    sigma = math.sqrt(max(chance * (1 - chance), 0.01) / count)
    if here - chance > _SIGMAS * sigma + 0.01:
        return None
    probable, moved = known(signals), updates(signals)
    by_heart = signals.exclusive and learnt(signals) > _MEMORISED and probable > here + _AHEAD
    moving = statistics.fmean(moved) * signals.done > _PATH and max(moved) < _FAR if moved else False
    if not by_heart and not (moving and signals.complete and signals.recipe["epochs"] >= 5):
        return None
    told = f"the accuracy on validation is {here:.1%}, and {chance:.1%} were its labels shuffled"
    if by_heart:
        told += f", though training labels are learnt by heart (they get a probability of {probable:.0%})"
    return Diagnosis(
        kind="labels_shuffled",
        confidence=0.9 if by_heart else 0.7,
        message=told,
        mend="look whether images and labels still belong together: svertka check --labels names wrong ones",
        evidence=by_epoch(
            signals,
            "Accuracy on validation, and with its labels shuffled",
            "share of one",
            {"validation": "val_accuracy", "labels shuffled": "chance"},
        ),
    )


def noisy_labels(signals: Signals) -> Diagnosis | None:
    """Of the images that are mistaken, many have labels that the network holds for quite impossible."""
    count = sum(signals.facts["counts"].get("val", []))
    rows = [row for row in late(signals.epochs, 0.5) if "depth" in row] if signals.epochs else []
    if not rows or signals.classes < _CLASSES:
        return None
    mistaken, depth = (statistics.fmean(row[name] for row in rows) for name in ("mistaken", "depth"))
    above = statistics.fmean(row["val_accuracy"] - row["chance"] for row in rows)
    if mistaken * count < _MISTAKES or above < _KNOWN or depth < _DEPTH:
        return None
    images = [
        f"{one['file']}: {one['label']}, taken for {one['guess']}" for one in signals.suspects if one["rank"] >= 2
    ]
    return Diagnosis(
        kind="noisy_labels",
        confidence=0.9 if depth > 1.3 * _DEPTH else 0.75,
        message=f"{mistaken:.0%} of the validation images are mistaken, and their labels stand as far down as chance "
        f"would have it ({depth:.2f}; 0 is next to the guess, 0.5 chance): up to "
        f"{min(1.0, 2 * depth) * mistaken:.0%} of the labels are wrong",
        mend="look at the images that are named; svertka check --labels names those to learn from",
        evidence=by_epoch(
            signals,
            "Mistaken images, and how far down their labels stand",
            "share of one",
            {"mistaken": "mistaken", "how far down": "depth"},
        ),
        images=images,
    )


def class_collapse(signals: Signals) -> Diagnosis | None:
    """Nearly all images are taken for one class, or classes are never guessed."""
    rows = [row for row in late(signals.epochs) if "top" in row] if signals.epochs else []
    labels = signals.facts["counts"].get("val", [])
    if not rows or not sum(labels) or len(signals.epochs) < 3 or signals.progress < 0.3:
        return None
    top, unseen = (statistics.fmean(row[name] for row in rows) for name in ("top", "unseen"))
    one = top > _ONE and max(labels) / sum(labels) < _NOT_ONE
    if not one and not (unseen > _UNSEEN and signals.complete and learnt(signals) > 0.5):
        return None
    return Diagnosis(
        kind="class_collapse",
        confidence=0.9 if one else 0.75,
        message=f"{top:.0%} of the validation images are taken for one class"
        if one
        else f"{unseen:.0%} of the validation images are of classes that are never guessed",
        mend="lower --lr and begin anew; where classes are unequal, give --balance weights",
        evidence=by_epoch(
            signals,
            "Guesses on validation",
            "share of one",
            {"the class guessed most": "top", "images of classes never guessed": "unseen"},
        ),
    )


def imbalance_ignored(signals: Signals) -> Diagnosis | None:
    """Rare classes count for little in the loss, and are missed."""
    counts = signals.facts["counts"].get("train", [])
    rows = [row["recalls"] for row in late(signals.epochs) if "recalls" in row] if signals.epochs else []
    if not rows or not counts or signals.recipe["balance"] != "none" or len(signals.epochs) < 3:
        return None
    recalls = {
        number: statistics.fmean(values)
        for number in range(len(counts))
        if (values := [row[number] for row in rows if row[number] is not None])
    }
    rare = [number for number in recalls if counts[number] * _UNEQUAL <= max(counts)]
    frequent = [number for number in recalls if counts[number] * 2 >= max(counts)]
    if not rare or not frequent:
        return None
    missed, found = (statistics.fmean(recalls[number] for number in chosen) for chosen in (rare, frequent))
    if found - missed < _RECALL:
        return None
    names = signals.facts["names"]
    least = min(counts[number] for number in rare)
    shown = sorted(recalls, key=lambda number: counts[number])[:12]
    return Diagnosis(
        kind="imbalance_ignored",
        confidence=0.9 if found - missed > 1.5 * _RECALL else 0.75,
        message=f"rare classes (of {counted(least, 'image')} on, where the most frequent has {max(counts):,}) "
        "are found in "
        f"{missed:.0%} of cases, frequent ones in {found:.0%}",
        mend="give --balance weights, and judge by macro F1",
        evidence=Bars(
            title="Recall of the rarest classes on validation",
            unit="%",
            items=[
                (f"{names[number]} ({counted(counts[number], 'image')})", 100 * recalls[number]) for number in shown
            ],
        ),
    )

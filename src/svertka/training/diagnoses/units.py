"""Gradients and units: too large, too small, or at the end of what a nonlinearity passes on."""

from __future__ import annotations

import math
import statistics

from svertka.training.diagnoses.diagnosis import Diagnosis
from svertka.training.diagnoses.readings import (
    by_name,
    by_step,
    gradient,
    late,
    learning,
    learnt,
    mean_of,
)
from svertka.training.signals import Signals
from svertka.wording import counted

_HUGE, _WILD = 50.0, 1000.0  # norms of the gradient: at the start, and later
_SURPRISED = 10.0  # times the loss of knowing nothing, at the start
_VANISHED = 1e-3  # of the largest gradient of a stage, each as a share of its weights
_DEAD, _MOSTLY = 0.82, 0.92  # of the units of a layer
_ENDS = 0.6  # of the outputs of a layer, at the start
_ENDS_LATE = 0.85
_FEW, _VERY_FEW = 8, 4  # images a batch
_DRIFT = 0.35  # running deviations
_LEAST_BATCH = 8  # with fewer images, many units are silent by chance


def exploding_gradients(signals: Signals) -> Diagnosis | None:
    """Gradients are huge at the start, or burst later."""
    sizes = [gradient(step) for step in signals.steps]
    if not sizes:
        return None
    first = signals.steps[0]
    fresh = signals.exclusive and not signals.recipe["weights"]
    surprised = fresh and first["loss"] > _SURPRISED * signals.chance
    # Where the loss is a sum, as of boxes, so is its gradient.
    scale = 1.0 if signals.exclusive else max(1.0, first["loss"])
    at_start = sizes[0] > _HUGE * scale or surprised
    burst = max(sizes) > _WILD and max(sizes) > 100 * statistics.median(sizes)
    if not at_start and not burst:
        return None
    if at_start:
        message = f"the gradient's norm is {sizes[0]:.3g} at the first step, and the loss {first['loss']:.3g}"
        if signals.exclusive:
            message += f", where a network that knows nothing has {signals.chance:.2f}"
        mend = "let weights begin smaller (He's or Glorot's rule), or put normalisations between the layers"
    else:
        message = f"the gradient's norm rises from {statistics.median(sizes):.3g} to {max(sizes):.3g}"
        mend = "give --clip 1"
    return Diagnosis(
        kind="exploding_gradients",
        confidence=0.9 if at_start else 0.85,
        message=message,
        mend=mend,
        evidence=by_name(signals, "Norm of the gradient by stage", "norm", "gradient", learning(signals)),
    )


def vanishing_gradients(signals: Signals) -> Diagnosis | None:
    """Of the gradient, next to nothing comes through to the first stages."""
    stages = learning(signals)
    if len(stages) < 3 or not signals.steps or learnt(signals) > 0.6:
        return None
    ratios = []
    for step in signals.steps[: max(3, len(signals.steps) // 2)]:
        shares = [step["gradient"][name] / max(step["weight"][name], 1e-30) for name in stages]
        if max(shares) > 0:
            ratios.append(shares[0] / max(shares))
    if not ratios or statistics.median(ratios) > _VANISHED:
        return None
    ratio = statistics.median(ratios)
    return Diagnosis(
        kind="vanishing_gradients",
        confidence=0.9,
        message=f"the gradient of {stages[0]} is {ratio:.1g} of the largest of a stage (as shares of the weights), "
        f"and the loss has hardly fallen",
        mend="use ReLUs, normalisations or shortcuts, or fewer layers",
        evidence=by_name(signals, "Norm of the gradient by stage", "norm", "gradient", stages),
    )


def dead_relus(signals: Signals) -> Diagnosis | None:
    """Most units of a layer give nothing, whatever the image: they pass on no gradient and cannot come back."""
    if int(signals.recipe["batch"]) < _LEAST_BATCH:
        return None
    worst = _worst(signals, "dead")
    if worst is None or worst[1] < _DEAD:
        return None
    name, share = worst
    return Diagnosis(
        kind="dead_relus",
        confidence=0.95 if share > _MOSTLY else 0.8,
        message=f"{share:.0%} of the ReLUs of {name} give nothing for any image of a batch",
        mend="begin anew with a lower --lr, or with --net-options.activation leaky_relu where the network has it",
        evidence=by_name(signals, "Dead ReLUs", "share of one", "dead", _names(signals, "dead", name)),
    )


def saturated_units(signals: Signals) -> Diagnosis | None:
    """Sigmoids or hyperbolic tangents are at the ends of their range, where they pass on hardly any gradient."""
    start = [step["saturated"] for step in signals.steps[:3] if step["saturated"]]
    worst = _worst(signals, "saturated")
    if worst is None or not start:
        return None
    means = {name: statistics.fmean(step[name] for step in start) for name in start[0]}
    first = max(means, key=lambda name: means[name])
    at_start = means[first] > _ENDS
    if not at_start and (worst[1] < _ENDS_LATE or learnt(signals) > 0.6):
        return None
    name, share = (first, means[first]) if at_start else worst
    return Diagnosis(
        kind="saturated_units",
        confidence=0.9,
        message=f"{share:.0%} of the outputs of {name} are at the ends of the range"
        + (" from the start" if at_start else ""),
        mend="let the weights begin smaller and normalise the inputs, or use ReLUs" if at_start else "lower --lr",
        evidence=by_name(signals, "Saturated outputs", "share of one", "saturated", _names(signals, "saturated", name)),
    )


def batch_too_small_for_norm(signals: Signals) -> Diagnosis | None:
    """BatchNorm goes by the mean and variance of so few images that they say little."""
    batch = int(signals.recipe["batch"])
    if not signals.facts["norms"] or batch > _FEW:
        return None
    drifts = [mean_of(step, "drift") for step in signals.steps[1:] if step["drift"]]
    drift = statistics.median(drifts) if drifts else 0.0
    # Of large images with a label a pixel, a few say much; of images with one class, so few never do.
    certain = batch <= _VERY_FEW and signals.exclusive
    if math.isnan(drift) or (not certain and drift < _DRIFT):
        return None
    return Diagnosis(
        kind="batch_too_small_for_norm",
        confidence=0.95 if certain else 0.75,
        message=f"BatchNorm goes by {counted(batch, 'image')} at a time; their means are {drift:.2f} "
        "deviations off their mean",
        mend="give --batch 16 or more (--accumulate does not help here)",
        evidence=by_step(
            signals,
            "How far the means of a batch are from the running ones",
            "deviations",
            {"mean of all normalisations": lambda step: mean_of(step, "drift")},
        ),
    )


def _worst(signals: Signals, kind: str) -> tuple[str, float] | None:
    """The layer with the largest share, by its median over the last third of the samples, and that share."""
    steps = [step[kind] for step in late(signals.steps) if step[kind]] if signals.steps else []
    if not steps:
        return None
    medians = {name: statistics.median(step[name] for step in steps if name in step) for name in steps[-1]}
    name = max(medians, key=lambda layer: medians[layer])
    return name, medians[name]


def _names(signals: Signals, kind: str, first: str) -> list[str]:
    """The layer to be shown first, and up to three others."""
    return [first, *(name for name in signals.steps[-1][kind] if name != first)][:4]

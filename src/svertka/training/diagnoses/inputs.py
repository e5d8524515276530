"""What goes in and what the loss is made of: inputs against the preprocessing, the loss against the labels."""

from __future__ import annotations

import statistics

from svertka.training.diagnoses.diagnosis import Diagnosis
from svertka.training.diagnoses.readings import by_step
from svertka.training.signals import Signals

_WIDE, _NARROW = 1.5, 0.1  # times as wide as the preprocessing makes the range of inputs
_OFF = 0.2  # of the cross-entropy
_MIXTURES = ("mixup", "cutmix")


def unnormalised_input(signals: Signals) -> Diagnosis | None:
    """Inputs are as they lie in the files: never below nought, though the preprocessing would have made them so."""
    ranges = _ranges(signals)
    if ranges is None:
        return None
    low, high, expected_low, expected_high = ranges
    wanted = expected_low < -1e-3
    if low < 0 or (signals.recipe["weights"] and not wanted):
        return None
    told = f"preprocessing would make them {expected_low:.2f} to {expected_high:.2f}" if wanted else "mean 0 is best"
    return Diagnosis(
        kind="unnormalised_input",
        confidence=0.95,
        message=f"inputs lie between {low:.3g} and {high:.3g}, none below nought; {told}",
        mend="subtract the mean and divide by the deviation of the training images, as the model's card says",
        evidence=by_step(signals, "Inputs", "value", _INPUTS),
    )


def doubly_normalised_input(signals: Signals) -> Diagnosis | None:
    """Inputs are spread much wider, or much narrower, than normalising once could make them."""
    ranges = _ranges(signals)
    if ranges is None or ranges[0] >= 0:
        return None
    low, high, expected_low, expected_high = ranges
    ratio = (high - low) / max(expected_high - expected_low, 1e-9)
    if _NARROW < ratio < _WIDE:
        return None
    return Diagnosis(
        kind="doubly_normalised_input",
        confidence=0.95 if ratio >= _WIDE else 0.85,
        message=f"inputs lie between {low:.3g} and {high:.3g}; normalised once they would lie between "
        f"{expected_low:.2f} and {expected_high:.2f}",
        mend="normalise once: look for a second division by 255 or by the deviation",
        evidence=by_step(signals, "Inputs", "value", _INPUTS),
    )


def wrong_loss(signals: Signals) -> Diagnosis | None:
    """What is minimised is not the cross-entropy of the labels, or is made of probabilities instead of logits."""
    steps = [step for step in signals.steps if "cross_entropy" in step]
    recipe = signals.recipe
    if not steps or recipe["label_smoothing"] or any(name in recipe["augment"] for name in _MIXTURES):
        return None
    plot = by_step(
        signals,
        "Loss, and what the labels would make it",
        "loss",
        {"the loss of training": lambda step: step["loss"], "cross-entropy": lambda step: step.get("cross_entropy", 0)},
    )
    if all(step["least"] >= 0 and step["off_one"] < 1e-3 for step in steps):
        return Diagnosis(
            kind="wrong_loss",
            confidence=0.95,
            message="the network's outputs are probabilities already, and the loss takes logits: it cannot come to 0",
            mend="take the softmax out of the network",
            evidence=plot,
        )
    off = statistics.median(
        abs(step["loss"] - step["cross_entropy"]) / max(step["cross_entropy"], 0.05) for step in steps
    )
    negative = any(step["loss"] < 0 for step in steps)
    if (off < _OFF or recipe["balance"] != "none") and not negative:
        return None
    first = steps[0]
    return Diagnosis(
        kind="wrong_loss",
        confidence=0.95 if negative else 0.9,
        message=f"an image has one class, but the loss is not the cross-entropy of that: {first['loss']:.3g} at first, "
        f"where the labels make it {first['cross_entropy']:.3g}"
        + (", and it even falls below nought" if negative else ""),
        mend="learn by the cross-entropy of logits",
        evidence=plot,
    )


_INPUTS = {
    "least": lambda step: step["inputs"][2],
    "mean": lambda step: step["inputs"][0],
    "deviation": lambda step: step["inputs"][1],
    "largest": lambda step: step["inputs"][3],
}


def _ranges(signals: Signals) -> tuple[float, float, float, float] | None:
    """Least and largest input, and what black and white should have become; None where inputs are no images."""
    means, deviations = signals.facts["mean"], signals.facts["std"]
    read = [step["inputs"] for step in signals.steps if "inputs" in step]
    if not means or not read:
        return None
    low, high = min(inputs[2] for inputs in read), max(inputs[3] for inputs in read)
    pairs = list(zip(means, deviations, strict=True))
    return low, high, min(-mean / std for mean, std in pairs), max((1 - mean) / std for mean, std in pairs)

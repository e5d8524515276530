"""Data: what comes too slowly, twice, in two parts, or from elsewhere than what is judged."""

from __future__ import annotations

import math
import statistics

from svertka.exhibits import Bars
from svertka.training.diagnoses.diagnosis import Diagnosis
from svertka.training.signals import Signals
from svertka.wording import counted

_BOUND, _SURELY_BOUND = 0.5, 0.65  # of the time of a step that is waited for its batch
_STEPS, _SECONDS = 20, 1.0  # before which a share of time means little
_COPIES = 0.05  # of the images to learn from
_LEAKED = 0.01  # of the validation images
_OTHER_CLASSES = 0.2  # total variation between the parts, beyond what chance would have
_OTHER_LIGHT, _OTHER_CONTRAST = 0.5, 1.7  # in deviations of the training inputs


def loader_bound(signals: Signals) -> Diagnosis | None:
    """Steps wait for their batches most of the time."""
    training, loading = signals.seconds["training"], signals.seconds["loading"]
    if signals.done < _STEPS or training < _SECONDS or loading < _BOUND * training:
        return None
    share, workers = loading / training, int(signals.recipe["workers"])
    return Diagnosis(
        kind="loader_bound",
        confidence=0.9 if share > _SURELY_BOUND else 0.75,
        message=f"{share:.0%} of the time of training was spent waiting for batches",
        mend=f"give --workers {2 * workers or 2}, or fewer augmentations",
        evidence=Bars(
            title="Where the time of a step goes",
            unit="ms",
            items=[
                ("waiting for its batch", 1e3 * loading / signals.done),
                ("computing", 1e3 * (training - loading) / signals.done),
            ],
        ),
    )


def duplicated_data(signals: Signals) -> Diagnosis | None:
    """Many images are there more than once."""
    copies = {"exact": 0, "near": 0}
    for finding in signals.facts["findings"]:
        if finding["kind"] in ("exact_duplicates", "near_duplicates"):
            copies[finding["kind"].removesuffix("_duplicates")] += int(finding["count"])
    total, images = sum(copies.values()), int(signals.facts.get("images") or signals.facts["samples"])
    if total < _COPIES * images:
        return None
    return Diagnosis(
        kind="duplicated_data",
        confidence=0.95 if copies["exact"] >= _COPIES * images else 0.85,
        message=f"{counted(total, 'image is a copy of another', 'images are copies of others')}, for "
        f"{images:,} to learn from: an epoch repeats itself",
        mend="let svertka check --fix write a data set without them",
        evidence=Bars(
            title="Copies, in images",
            unit="",
            items=[("to learn from", images), ("exact copies", copies["exact"]), ("near copies", copies["near"])],
        ),
    )


def validation_leak(signals: Signals) -> Diagnosis | None:
    """What is judged was learnt from: copies or groups lie in several parts."""
    across = [finding for finding in signals.facts["findings"] if finding["kind"].endswith("_across_splits")]
    judged = sum(signals.facts["counts"].get("val", [])) or 1
    count = sum(int(finding["count"]) for finding in across)
    near = [finding for finding in signals.facts["findings"] if finding["kind"] == "neighbours_by_name"]
    near = [finding for finding in near if str(finding["message"]).startswith("across the split")]
    if not across and not near:
        return None
    first = (across or near)[0]
    return Diagnosis(
        kind="validation_leak",
        confidence=0.65 if not across else 0.95 if count >= _LEAKED * judged else 0.7,
        message=f"the figures on validation are too good: {first['message']}",
        mend=str(first["mend"]),
        evidence=Bars(
            title="What lies in several parts",
            unit="",
            items=[(finding["kind"].replace("_", " "), float(finding["count"])) for finding in (*across, *near)],
        ),
    )


def wrong_split(signals: Signals) -> Diagnosis | None:
    """Validation images are of other classes, or of another kind, than those to learn from."""
    counts = signals.facts["counts"]
    learnt, judged = counts.get("train", []), counts.get("val", [])
    if judged and sum(judged) and sum(learnt):
        here, there = ([count / sum(part) for count in part] for part in (learnt, judged))
        apart = sum(abs(one - other) for one, other in zip(here, there, strict=True)) / 2
        by_chance = 0.55 * math.sqrt(len(judged) / sum(judged))
        if apart > _OTHER_CLASSES + by_chance:
            names = signals.facts["names"] or [str(number) for number in range(len(judged))]
            widest = sorted(range(len(judged)), key=lambda number: -abs(here[number] - there[number]))[:6]
            items = [
                (f"{names[number]}, {part}", 100 * shares[number])
                for number in widest
                for part, shares in (("training", here), ("validation", there))
            ]
            return Diagnosis(
                kind="wrong_split",
                confidence=0.9,
                message=f"{apart:.0%} of the validation images would have to be of other classes to be like training",
                mend="divide anew, class by class: leave the parts out and give --val-fraction",
                evidence=Bars(title="Share of the classes that differ most", unit="%", items=items),
            )
    return _other_inputs(signals)


def _other_inputs(signals: Signals) -> Diagnosis | None:
    judged, read = signals.facts.get("judged"), [step["inputs"] for step in signals.steps if "inputs" in step]
    if not judged or not read or not signals.facts["mean"]:
        return None
    mean, deviation = (statistics.fmean(inputs[place] for inputs in read) for place in (0, 1))
    light = abs(judged[0] - mean) / max(deviation, 1e-9)
    contrast = max(judged[1], deviation) / max(min(judged[1], deviation), 1e-9)
    if light < _OTHER_LIGHT and contrast < _OTHER_CONTRAST:
        return None
    return Diagnosis(
        kind="wrong_split",
        confidence=0.85,
        message=f"validation images are of another kind: inputs of mean {judged[0]:.2f} and deviation {judged[1]:.2f}, "
        f"where training has {mean:.2f} and {deviation:.2f}",
        mend="take both parts from the same source: leave the parts out and give --val-fraction",
        evidence=Bars(
            title="Inputs of the network",
            unit="",
            items=[
                ("mean, training", mean),
                ("mean, validation", judged[0]),
                ("deviation, training", deviation),
                ("deviation, validation", judged[1]),
            ],
        ),
    )

"""The doctor of a run: what it is told before it looks on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from svertka.data.batching.parts import are_images
from svertka.training.contracts import Observer
from svertka.training.doctor import Doctor
from svertka.training.signals import Background

if TYPE_CHECKING:
    from svertka.data.batching.batches import Inputs
    from svertka.workflows.progress import Display
    from svertka.workflows.training.stages import Data


def doctor_for(
    data: Data,
    inputs: Mapping[str, Inputs],
    file: Path,
    display: Display,
    *,
    before: float | None = None,
    frozen: bool = False,
) -> Observer:
    """Who looks on at a training: the doctor, where the data were looked at, as the first process of a run does.

    Args:
        data: What is learnt from.
        inputs: What the network gets, by part.
        file: Where to write down what was seen.
        display: Is told what is found.
        before: The score on validation that was had before what learns now.
        frozen: Whether there are stages that are kept as they are, and are no part of what learns.
    """
    if data.findings is None:
        return Observer()
    task, prepared = data.task, data.prepared
    counts = {}
    if task.exclusive and task.net_kind == "classifier":
        classes = len(task.classes)
        counts = {part: np.bincount(targets, minlength=classes).tolist() for part, targets in data.targets.items()}
    images = are_images(inputs["train"])
    mean, std = (data.preprocess.mean, data.preprocess.std) if images else ((), ())
    positions = prepared.parts["val"].positions if "val" in prepared.parts else np.zeros(0, np.int64)
    background = Background(
        counts=counts,
        mean=mean,
        std=std,
        findings=[finding.to_json() for finding in data.findings if finding.severity != "note"],
        names=lambda number: prepared.samples[positions[number]].name,
        before=before,
        frozen=frozen,
        images=len(prepared.parts["train"].positions),
    )
    return Doctor(background, file, lambda text: display.say(f"diagnosis: {text}"))

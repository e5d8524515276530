"""The doctor of a run: what it is told before it looks on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from svertka.data.batching.parts import are_images
from svertka.training.contracts import Observer
from svertka.training.doctor import Doctor
from svertka.training.signals import Background, signals_file

if TYPE_CHECKING:
    from svertka.data.batching.batches import Inputs
    from svertka.workflows.training.job import Job


def doctor_for(job: Job, inputs: Mapping[str, Inputs], name: str = "", *, frozen: bool = False) -> Observer:
    """Who looks on at a training: the doctor, in the first process of a run.

    Args:
        job: All that is decided.
        inputs: What the network gets, by part.
        name: Of the training, where a run has several.
        frozen: Whether there are stages that are kept as they are, and are no part of what learns.
    """
    if job.findings is None or not job.machine.first:
        return Observer()
    task, prepared = job.task, job.prepared
    counts = {}
    if task.exclusive and task.net_kind == "classifier":
        classes = len(task.classes)
        counts = {part: np.bincount(targets, minlength=classes).tolist() for part, targets in job.targets.items()}
    images = are_images(inputs["train"])
    positions = prepared.parts["val"].positions if "val" in prepared.parts else np.zeros(0, np.int64)
    background = Background(
        counts=counts,
        mean=job.preprocess.mean if images else (),
        std=job.preprocess.std if images else (),
        findings=[finding.to_json() for finding in job.findings if finding.severity != "note"],
        names=lambda number: prepared.samples[positions[number]].name,
        before=job.before,
        frozen=frozen,
        images=len(prepared.parts["train"].positions),
    )
    return Doctor(background, signals_file(job.run.folder, name), lambda text: job.display.say(f"diagnosis: {text}"))

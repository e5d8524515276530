"""The card of a network that was trained here."""

from __future__ import annotations

import dataclasses
import importlib.metadata
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from svertka.data.batching.handling import handling_for
from svertka.plugins import distributions
from svertka.runtime.card import Card, Golden
from svertka.runtime.predictor import raw_outputs
from svertka.zoo import registry

if TYPE_CHECKING:
    from svertka.data.batching.handling import Handling
    from svertka.data.preparing import Prepared
    from svertka.runtime.inputs import InputTransform
    from svertka.tasks.task import Task
    from svertka.workflows.training.stages import Learnt
    from svertka.zoo.engine import TorchEngine


def card_of(
    learnt: Learnt,
    task: Task,
    transform: InputTransform,
    prepared: Prepared,
    metrics: Mapping[str, Mapping[str, float]],
    engine: TorchEngine,
    part: str,
) -> Card:
    """The card of a trained network.

    Args:
        learnt: What came of training.
        task: What was learnt.
        transform: What the network learnt by.
        prepared: What it learnt from.
        metrics: What was measured, by part.
        engine: Runs the network.
        part: The part that golden inputs are taken from.
    """
    recipe, handling = learnt.recipe, handling_for(prepared)
    plugins = distributions(("task", task.name), *registry.origins_of(recipe.net, learnt.arguments))
    # No clock times and no folder names of this machine: the same run gives the same file.
    provenance = {
        "packages": _versions(),
        "data": {
            "name": prepared.dataset.root.resolve().name.encode(errors="replace").decode(),
            "format": prepared.dataset.format,
            "fingerprint": prepared.fingerprint,
            "images": prepared.counts,
            "skipped": len(prepared.skipped),
            "val_fraction": recipe.val_fraction,
            "seed": recipe.seed,
            "group": recipe.group,
            "fold": [recipe.fold, recipe.folds] if recipe.fold else None,
            "split": prepared.division,
            "split_given": recipe.split is not None,
        },
        "recipe": dataclasses.asdict(recipe) | ({"split": Path(recipe.split).name} if recipe.split else {}),
        "epoch": learnt.outcome.best_epoch,
        **({"plugins": plugins} if plugins else {}),
        **learnt.record,
    }
    return Card(
        net=recipe.net,
        arguments=learnt.arguments,
        task=task.name,
        input=handling.deployed_input(transform),
        output=task.output,
        licence=learnt.licence,
        provenance=provenance,
        metrics=metrics,
        golden=_golden(handling, prepared, part, transform, engine),
        weights="",
        thresholds=task.thresholds,
        reject_limit=learnt.rejection.limit if learnt.rejection else None,
    )


def _golden(
    handling: Handling, prepared: Prepared, part: str, transform: InputTransform, engine: TorchEngine
) -> tuple[Golden, ...]:
    deployed = handling.deployed_input(transform)
    return tuple(
        Golden(value, {name: output[0] for name, output in raw_outputs(engine, deployed, [value]).items()})
        for value in handling.golden(prepared, part, transform)
    )


def _versions() -> dict[str, str]:
    import platform

    import PIL
    import torch

    return {
        "svertka": importlib.metadata.version("svertka"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "pillow": PIL.__version__,
    }

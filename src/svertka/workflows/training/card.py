"""The card of a network that was trained here."""

from __future__ import annotations

import dataclasses
import importlib.metadata
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from svertka.data.batching.handling import handling_for
from svertka.plugins import distributions
from svertka.runtime.card import Card, Golden
from svertka.runtime.inputs import input_json
from svertka.runtime.predictor import raw_outputs
from svertka.zoo import registry

if TYPE_CHECKING:
    from svertka.runtime.inputs import InputTransform
    from svertka.workflows.training.stages import Data, Learnt
    from svertka.zoo.engine import TorchEngine


def card_of(
    learnt: Learnt,
    data: Data,
    metrics: Mapping[str, Mapping[str, float]],
    engine: TorchEngine,
    part: str,
) -> Card:
    """The card of a trained network.

    Args:
        learnt: What came of training.
        data: What it was learnt from.
        metrics: What was measured, by part.
        engine: Runs the network.
        part: The part that golden inputs are taken from.
    """
    recipe, task, prepared = learnt.recipe, data.task, data.prepared
    transform = handling_for(prepared).deployed_input(data.transform)
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
            **({} if transform == data.transform else {"input": input_json(data.transform)}),
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
        input=transform,
        output=task.output,
        licence=learnt.licence,
        provenance=provenance,
        metrics=metrics,
        golden=_golden(data, part, transform, engine),
        weights="",
        thresholds=task.thresholds,
        reject_limit=learnt.rejection.limit if learnt.rejection else None,
    )


def _golden(data: Data, part: str, transform: InputTransform, engine: TorchEngine) -> tuple[Golden, ...]:
    values = handling_for(data.prepared).golden(data.prepared, part, data.transform)
    return tuple(
        Golden(value, {name: output[0] for name, output in raw_outputs(engine, transform, [value]).items()})
        for value in values
    )


def _versions() -> dict[str, str]:
    import platform

    import numpy
    import PIL
    import torch

    return {
        "svertka": importlib.metadata.version("svertka"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "pillow": PIL.__version__,
    }

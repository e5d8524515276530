"""The card of a network that was trained here."""

from __future__ import annotations

import dataclasses
import importlib.metadata
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from svertka.plugins import distributions
from svertka.runtime.card import Card, Golden
from svertka.runtime.predictor import raw_outputs
from svertka.runtime.tiling import mirrored
from svertka.zoo import registry

if TYPE_CHECKING:
    from svertka.data.preparing import Prepared
    from svertka.runtime.preprocess import Preprocess
    from svertka.tasks.task import Task
    from svertka.workflows.training.stages import Learnt
    from svertka.zoo.engine import TorchEngine

_GOLDEN = 4  # inputs that prove a model file
_GOLDEN_SIDE = 64  # pixels of their longer side, at most


def card_of(
    learnt: Learnt,
    task: Task,
    preprocess: Preprocess,
    prepared: Prepared,
    metrics: Mapping[str, Mapping[str, float]],
    engine: TorchEngine,
    part: str,
) -> Card:
    """The card of a trained network.

    Args:
        learnt: What came of training.
        task: What was learnt.
        preprocess: Of the images.
        prepared: The images.
        metrics: What was measured, by part.
        engine: Runs the network.
        part: The part that golden inputs are taken from.
    """
    recipe = learnt.recipe
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
        input=preprocess,
        output=task.output,
        licence=learnt.licence,
        provenance=provenance,
        metrics=metrics,
        golden=_golden(prepared, part, preprocess, engine),
        weights="",
        thresholds=task.thresholds,
        reject_limit=learnt.rejection.limit if learnt.rejection else None,
    )


def _golden(prepared: Prepared, part: str, preprocess: Preprocess, engine: TorchEngine) -> tuple[Golden, ...]:
    positions = prepared.parts[part].positions
    chosen = positions[np.linspace(0, len(positions) - 1, min(_GOLDEN, len(positions))).astype(int)]
    small = _middle if preprocess.fit == "whole" else _small
    images = [small(prepared.samples[position].source.load()[0]) for position in chosen]
    return tuple(
        Golden(image, {name: value[0] for name, value in raw_outputs(engine, preprocess, [image]).items()})
        for image in images
    )


def _small(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    picture = Image.fromarray(image)
    picture.thumbnail((_GOLDEN_SIDE, _GOLDEN_SIDE))
    return np.asarray(picture)


def _middle(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    # What is taken whole is not made smaller. All of one size, so that they can be run together.
    places = [mirrored((length - _GOLDEN_SIDE) // 2, _GOLDEN_SIDE, length) for length in image.shape[:2]]
    return image[np.ix_(*places)]


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

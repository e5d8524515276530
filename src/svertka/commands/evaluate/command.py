"""Evaluate: how good a model is on a data set."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from svertka.commands.evaluate.result import Evaluated
from svertka.data.batching.handling import inputs_of
from svertka.errors import UserError
from svertka.wording import counted, inflected
from svertka.workflows.evaluation_data import choose_part, divided_as_trained
from svertka.workflows.image_files import image_files
from svertka.workflows.models import open_predictor
from svertka.workflows.progress import Display
from svertka.workflows.threads import using_threads

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from svertka.data.preparing import Prepared
    from svertka.data.samples import Dataset
    from svertka.runtime.card import Card

_BATCH = 64


def evaluate(
    model: str | PathLike[str],
    data: str | PathLike[str] | Dataset | torch.utils.data.Dataset[Any],
    *,
    part: str = "auto",
    unknown: str | PathLike[str] | None = None,
    format: str | None = None,  # noqa: A002 (the user's word)
    threads: int | None = None,
    progress: bool = True,
) -> Evaluated:
    """Evaluate a model on a data set. Classes are matched by name, never by the order of folders.

    Args:
        model: Model file (.safetensors or .onnx) or a run's folder.
        data: A data set as `train` takes it, in memory too.
        part: ``train``, ``val``, ``test`` or ``all``; ``auto`` takes test, else val, else all. Of the very data
            that the model was trained on, only what was held out then counts as val.
        unknown: Image file, or folder of images, that show none of the classes: how many of them does the model refuse?
        format: Format of the data set to insist on; by default, it is looked at.
        threads: How many to use; all that the process may if not given.
        progress: Show progress on standard error.

    Raises:
        UserError: The model or the data cannot be used, or the data has a class that the model does not know; or
            there are unknown images, and the model refuses none.
    """
    from svertka.workflows.given import source_of

    source = source_of(data)
    with using_threads(threads):
        return _evaluate(Path(model), source, part, None if unknown is None else Path(unknown), format, progress)


def _evaluate(
    model: Path, data: Path | Dataset, part: str, unknown: Path | None, format_: str | None, progress: bool
) -> Evaluated:
    predictor = open_predictor(model)
    if predictor.takes_pixels:
        raise UserError(
            "its graph prepares images itself, and here they are prepared once for all",
            where=model,
            mend="evaluate the model that it was exported from",
        )
    limit = predictor.card.reject_limit
    others = None if unknown is None else _unknown_files(unknown, limit)
    from svertka.data.batching.batches import Loader, Part
    from svertka.runtime.decoding import distances
    from svertka.tasks.making import task_of
    from svertka.training.evaluation import evaluate as judge
    from svertka.workflows.rejection import FALSE_REJECTS, judge_rejection

    card = predictor.card
    display = Display(show=progress, media=card.media)
    prepared = divided_as_trained(data, model, card, display, format=format_)
    chosen = choose_part(prepared, part)
    division = prepared.parts[chosen]
    display.say(f"{counted(len(division.positions), prepared.dataset.media)}: {_described(prepared, chosen, card)}")
    for item in prepared.skipped[:5]:
        display.warn(f"skipped {item.file}: {item.error}")
    task = task_of(card)
    samples = Part(inputs_of(prepared, chosen, prepared.contents.transform), task.targets(division.labels))

    measured: list[NDArray[np.float32]] = []

    def forward(images: Any, *beside: Any) -> Any:
        outputs = predictor.engine.run(images.numpy(), *(given.numpy() for given in beside))
        if limit is not None:
            measured.append(distances(outputs, len(images)))
        return task.output_of(outputs)

    evaluation = judge(forward, task, display.judging(Loader(samples, _BATCH)))
    metrics, rejection = dict(evaluation.metrics), None
    if limit is not None:
        rejection = judge_rejection(limit, np.concatenate(measured), predictor, others, display)
        metrics[FALSE_REJECTS] = rejection["known"]["rate"]
    return Evaluated(
        metrics,
        evaluation.details.get("per_class", []),
        evaluation.details.get("confusion"),
        evaluation.details.get("calibration"),
        card.classes,
        chosen,
        len(division.positions),
        tuple(item.to_json() for item in prepared.skipped),
        rejection,
        prepared.dataset.media,
    )


def _unknown_files(place: Path, limit: float | None) -> list[Path]:
    if limit is None:
        raise UserError(
            "the model gives every image a class, so there is nothing to try unknown images for",
            mend="train it with --reject",
        )
    files = image_files(place)
    if not files or not place.exists():
        raise UserError("no image is there", where=place, mend="name an image file, or a folder of them")
    return files


def _described(prepared: Prepared, part: str, card: Card) -> str:
    same = prepared.fingerprint == card.provenance.get("data", {}).get("fingerprint")
    if part == "val" and same:
        return "held out from this model's training"
    if part == "train":
        return (
            f"the training part; these scores say nothing of new {inflected(2, card.media)}"
            if same
            else "the training part"
        )
    return {"test": "the test part", "val": "the validation part", "all": "all of the data set"}[part]

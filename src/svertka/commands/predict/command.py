"""Predict: what a model says of images or series."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections.abc import Iterable
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from svertka.commands.predict.result import Prediction
from svertka.commands.predict.tables import table_for
from svertka.errors import UserError
from svertka.results import Result
from svertka.runtime.decoding import has_thresholds
from svertka.runtime.files import make_folder, replacing, write_text
from svertka.runtime.predictor import Predictor
from svertka.spelling import paths_of, seconds_of
from svertka.workflows.image_files import matching_files, read_batches, read_with_videos
from svertka.workflows.models import model_file, open_predictor
from svertka.workflows.threads import using_threads


def predict(
    model: str | PathLike[str],
    images: str | PathLike[str] | Iterable[str | PathLike[str]],
    *,
    out: str | PathLike[str] | None = None,
    every: float | str = 1.0,
    top: int | None = None,
    threshold: float | None = None,
    threads: int | None = None,
) -> list[Prediction]:
    """Predict image files, the images in folders, and frames of videos; or series in files and folders.

    An exported ``.onnx`` is run without torch, by the engine that its card names if it is installed.

    Args:
        model: Model file or a run's folder.
        images: One or several files, folders, patterns such as ``photos/**/*.jpg``, and videos, where PyAV is
            installed. For a model that takes series, ``.csv`` and ``.npy`` files.
        out: A ``.csv`` or ``.json`` for all predictions, a ``.coco.json`` for boxes as COCO has them, or a folder for
            what is predicted of each image: ``NAME.json``, ``NAME-drawn.png``, and of masks ``NAME-mask.png`` with the
            numbers of the classes.
        every: Seconds from one frame of a video to the next, or text such as ``10s``.
        top: How many classes, labels or boxes each image has at most, the likeliest first; masks have no such order.
        threshold: Least score of a label or a box, between 0 and 1, in place of those that the model has; for models
            of labels and boxes.
        threads: How many to predict with; all that the process may use if not given.

    Returns:
        A prediction a file, in order; a file that cannot be read has its error in place of a result.

    Raises:
        UserError: The model is missing or damaged, no image was given, or ``out`` cannot be written.
    """
    seconds = seconds_of(every)
    if not 0 < seconds < math.inf:
        raise UserError(f"a frame every {seconds} seconds", mend="--every is above 0")
    if top is not None and (not isinstance(top, int) or top < 1):
        raise UserError(f"top is {top}", mend="--top is 1 or more")
    given = list(paths_of(images))
    if not given:
        raise UserError("no image was given", mend="name image files, or a folder of them")
    with using_threads(threads, torch_too=model_file(Path(model)).suffix.lower() == ".safetensors"):
        return _predict(given, Path(model), None if out is None else Path(out), seconds, top, threshold)


def _predict(
    given: list[Path], model: Path, out: Path | None, every: float, top: int | None, threshold: float | None
) -> list[Prediction]:
    predictor = _with_threshold(open_predictor(model), threshold)
    transform = predictor.card.input
    files = [file for one in given for file in matching_files(one, transform.suffixes)]
    if not files:
        noun = transform.media
        raise UserError(f"no {noun} was given", mend=f"name {noun} files, or a folder of them")
    table = None if out is None else table_for(out, predictor.card)
    folder = None if out is None or table is not None else make_folder(out)
    taken: set[str] = set()
    predictions: list[Prediction] = []
    batches = read_with_videos(files, every) if transform.media == "image" else read_batches(files, transform.given)
    for batch in batches:
        found = predictor.predict(list(batch.values.values()))
        results = dict(
            zip(batch.values, found if top is None else [_first(result, top) for result in found], strict=True)
        )
        for position, file in enumerate(batch.files):
            value = batch.values.get(position)
            size = None if value is None else transform.size(value)
            prediction = Prediction(str(file), results.get(position), batch.errors.get(position), size)
            predictions.append(prediction)
            if folder is not None and prediction.result is not None:
                _write(prediction, transform.picture(batch.values[position]), folder / _unlike(file, taken))
    if out is not None and table is not None:
        write_text(out, table(predictions))
    return predictions


def _with_threshold(predictor: Predictor, threshold: float | None) -> Predictor:
    if threshold is None:
        return predictor
    if not 0 <= threshold <= 1:
        raise UserError(f"threshold is {threshold:g}", mend="--threshold is between 0 and 1")
    card = predictor.card
    if not has_thresholds(card):
        raise UserError(
            f"--threshold is about labels and boxes, and the model predicts {card.task}",
            mend="leave it out; --reject at training lets a classifier refuse images",
        )
    return Predictor(predictor.engine, dataclasses.replace(card, thresholds=(threshold,) * len(card.classes)))


def _first(result: Result, count: int) -> Result:
    try:
        return result.first(count)
    except ValueError as error:
        raise UserError(str(error), mend="leave --top out") from error


def _unlike(file: Path, taken: set[str]) -> str:
    # Two folders may have files of one name.
    names = itertools.chain([file.stem], (f"{file.stem}-{number}" for number in itertools.count(2)))
    name = next(name for name in names if name not in taken)
    taken.add(name)
    return name


def _write(prediction: Prediction, shown: NDArray[np.uint8], stem: Path) -> None:
    assert prediction.result is not None
    write_text(stem.with_name(f"{stem.name}.json"), json.dumps(prediction.to_json(), ensure_ascii=True))
    for name, picture in prediction.result.pictures(shown).items():
        with replacing(stem.with_name(f"{stem.name}-{name}.png")) as file:
            picture.save(file, "PNG")

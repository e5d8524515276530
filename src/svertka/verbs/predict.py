"""Predict: what a model says of images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from svertka.annotations import natural
from svertka.errors import UserError
from svertka.results import Result
from svertka.runtime.image import IMAGE_SUFFIXES, ImageError, read_image
from svertka.runtime.predictor import Predictor
from svertka.verbs._models import open_predictor

_BATCH = 16


@dataclass(frozen=True)
class Prediction:
    """What came of one file: a result, or the reason why there is none."""

    file: str
    result: Result | None = None
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        if self.result is None:
            return {"file": self.file, "error": self.error}
        return {"file": self.file, **self.result.to_json()}

    def line(self) -> str:
        """In one line of text."""
        return f"{self.file}: {self.result.line() if self.result else self.error}"


def predict(model: str | PathLike[str], images: Iterable[str | PathLike[str]]) -> list[Prediction]:
    """Predict image files, and the images in folders.

    An exported ``.onnx`` is run without torch.

    Args:
        model: Model file or a run's folder.
        images: Files and folders.

    Returns:
        A prediction a file, in order; a file that cannot be read has its error in place of a result.

    Raises:
        UserError: The model is missing or damaged, or no image was given.
    """
    files = [file for given in images for file in _files(Path(given))]
    if not files:
        raise UserError("no image was given", mend="name image files, or a folder of them")
    predictor = open_predictor(Path(model))
    predictions: list[Prediction] = []
    for start in range(0, len(files), _BATCH):
        predictions += _predict_batch(predictor, files[start : start + _BATCH])
    return predictions


def _predict_batch(predictor: Predictor, files: Sequence[Path]) -> list[Prediction]:
    images, errors = {}, {}
    for position, file in enumerate(files):
        try:
            images[position] = read_image(file)
        except ImageError as error:
            errors[position] = error.what
    results = dict(zip(images, predictor.predict(list(images.values())), strict=True))
    return [Prediction(str(file), results.get(position), errors.get(position)) for position, file in enumerate(files)]


def _files(given: Path) -> list[Path]:
    if not given.is_dir():
        return [given]
    found = [path for path in given.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()]
    return sorted(found, key=lambda path: natural(path.as_posix()))

"""Predict: what a model says of images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from svertka.errors import UserError
from svertka.results import Result
from svertka.verbs._image_files import image_files, read_batches
from svertka.verbs._models import open_predictor


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
    files = [file for given in images for file in image_files(Path(given))]
    if not files:
        raise UserError("no image was given", mend="name image files, or a folder of them")
    predictor = open_predictor(Path(model))
    predictions: list[Prediction] = []
    for batch in read_batches(files):
        results = dict(zip(batch.images, predictor.predict(list(batch.images.values())), strict=True))
        predictions += [
            Prediction(str(file), results.get(position), batch.errors.get(position))
            for position, file in enumerate(batch.files)
        ]
    return predictions

"""Predicted boxes as a file of COCO."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from svertka.commands.predict.result import Prediction
from svertka.results import Detections
from svertka.results.coco import coco_of
from svertka.runtime.card import Card


def as_coco(predictions: Sequence[Prediction], card: Card, folder: Path) -> str:
    """The text of the file; images stand in it by their paths from ``folder``."""
    found = [
        (_beside(Path(prediction.file), folder), (prediction.size[0], prediction.size[1]), prediction.result)
        for prediction in predictions
        if isinstance(prediction.result, Detections) and prediction.size  # what could not be read is no image to COCO
    ]
    return json.dumps(coco_of(found, card.classes), ensure_ascii=True) + "\n"


def _beside(file: Path, folder: Path) -> str:
    whole = file.resolve()
    return whole.relative_to(folder).as_posix() if whole.is_relative_to(folder) else str(file)

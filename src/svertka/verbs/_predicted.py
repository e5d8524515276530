"""Files that all predictions go into: a table, JSON, and boxes as COCO has them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from svertka.errors import UserError
from svertka.results import Detections, Result
from svertka.runtime.card import Card

if TYPE_CHECKING:
    from svertka.verbs.predict import Prediction

Write = Callable[[Sequence["Prediction"]], str]

_COCO = ".coco.json"


def table_for(path: Path, card: Card) -> Write | None:
    """What makes the text of such a file of predictions; None if it is to be a folder.

    Raises:
        UserError: It is to hold boxes, and the model finds none.
    """
    if path.name.lower().endswith(_COCO):
        if card.task != "detection":
            raise UserError(f"{_COCO} holds boxes, and {card.task} has none", where=path, mend="name a .json or a .csv")
        return lambda predictions: _as_coco(predictions, card.classes, path.parent.resolve())
    return {".csv": _as_csv, ".json": _as_json}.get(path.suffix.lower())


def _as_csv(predictions: Sequence[Prediction]) -> str:
    columns = next((prediction.result.columns for prediction in predictions if prediction.result), Result.columns)
    nothing = [("",) * len(columns)]  # else nobody would know that the image was looked at
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("file", *columns, "error"))
    for prediction in predictions:
        found = (prediction.result.rows() if prediction.result else []) or nothing
        writer.writerows((prediction.file, *cells, prediction.error or "") for cells in found)
    return text.getvalue()


def _as_json(predictions: Sequence[Prediction]) -> str:
    return json.dumps([prediction.to_json() for prediction in predictions], ensure_ascii=True, indent=2) + "\n"


def _as_coco(predictions: Sequence[Prediction], classes: Sequence[str], folder: Path) -> str:
    numbers = {name: number for number, name in enumerate(classes, 1)}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image, prediction in enumerate(predictions, 1):
        if not isinstance(prediction.result, Detections) or prediction.size is None:
            continue  # what could not be read is no image to COCO
        height, width = prediction.size
        file = Path(prediction.file).resolve()
        name = file.relative_to(folder).as_posix() if file.is_relative_to(folder) else prediction.file
        images.append({"id": image, "file_name": name, "height": height, "width": width})
        for box in prediction.result.objects:
            across, down = box.right - box.left, box.bottom - box.top
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": numbers[box.name],
                    "bbox": [box.left, box.top, across, down],
                    "area": across * down,
                    "iscrowd": 0,
                    "score": box.score,
                }
            )
    categories = [{"id": number, "name": name} for name, number in numbers.items()]
    values = {"images": images, "annotations": annotations, "categories": categories}
    return json.dumps(values, ensure_ascii=True) + "\n"

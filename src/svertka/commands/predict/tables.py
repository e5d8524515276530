"""Files that all predictions go into, by what their names end with."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from svertka.errors import UserError
from svertka.results import Detections, Result
from svertka.results.coco import coco_of
from svertka.runtime.card import Card

if TYPE_CHECKING:
    from svertka.commands.predict.result import Prediction

Write = Callable[[Sequence["Prediction"]], str]


def table_for(path: Path, card: Card) -> Write | None:
    """What makes the text of such a file of predictions; None if it is to be a folder.

    Raises:
        UserError: Such a file holds what the model does not say.
    """
    ending = next((ending for ending in _TABLES if path.name.lower().endswith(ending)), None)
    if ending is None:
        return None
    table = _TABLES[ending]
    if table.task not in (None, card.task):
        mend = "name a .json or a .csv"
        raise UserError(f"{ending} holds {table.holds}, and {card.task} has none", where=path, mend=mend)
    return lambda predictions: table.write(predictions, card, path.parent.resolve())


def _as_csv(predictions: Sequence[Prediction], card: Card, folder: Path) -> str:
    del card, folder
    columns = next((prediction.result.columns for prediction in predictions if prediction.result), Result.columns)
    nothing = [("",) * len(columns)]  # else nobody would know that the image was looked at
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("file", *columns, "error"))
    for prediction in predictions:
        found = (prediction.result.rows() if prediction.result else []) or nothing
        writer.writerows((prediction.file, *cells, prediction.error or "") for cells in found)
    return text.getvalue()


def _as_json(predictions: Sequence[Prediction], card: Card, folder: Path) -> str:
    del card, folder
    return json.dumps([prediction.to_json() for prediction in predictions], ensure_ascii=True, indent=2) + "\n"


def _as_coco(predictions: Sequence[Prediction], card: Card, folder: Path) -> str:
    found = [
        (_beside(Path(prediction.file), folder), prediction.size, prediction.result)
        for prediction in predictions
        if isinstance(prediction.result, Detections) and prediction.size  # what could not be read is no image to COCO
    ]
    return json.dumps(coco_of(found, card.classes), ensure_ascii=True) + "\n"


def _beside(file: Path, folder: Path) -> str:
    whole = file.resolve()
    return whole.relative_to(folder).as_posix() if whole.is_relative_to(folder) else str(file)


@dataclass(frozen=True)
class _Table:
    # Makes a text of predictions, of the model's card and of the folder that it goes into.
    write: Callable[[Sequence[Prediction], Card, Path], str]
    # The only task whose predictions it can hold, and what that is about.
    task: str | None = None
    holds: str = ""


_TABLES: Mapping[str, _Table] = {
    ".coco.json": _Table(_as_coco, "detection", "boxes"),
    ".csv": _Table(_as_csv),
    ".json": _Table(_as_json),
}

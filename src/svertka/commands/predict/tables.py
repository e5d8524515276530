"""Files that all predictions go into, by what their names end with."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from svertka.errors import UserError
from svertka.results import Result
from svertka.runtime.card import Card
from svertka.task_records.record import record, records, resolve

if TYPE_CHECKING:
    from svertka.commands.predict.result import Prediction

Write = Callable[[Sequence["Prediction"]], str]


def table_for(path: Path, card: Card) -> Write | None:
    """What makes the text of such a file of predictions; None if it is to be a folder.

    Raises:
        UserError: Such a file holds what the model does not say.
    """
    name = path.name.lower()
    own = record(card.task, card.provenance).files
    for task in records():
        for ending, writer in task.files.items():
            if name.endswith(ending) and ending not in own:
                what, mend = f"{ending} holds {task.gives}, and {card.task} has none", "name a .json or a .csv"
                raise UserError(what, where=path, mend=mend)
            if name.endswith(ending):
                return _writing(resolve(writer), card, path)
    found = next((writer for ending, writer in _ALWAYS.items() if name.endswith(ending)), None)
    return None if found is None else _writing(found, card, path)


def _writing(writer: Writer, card: Card, path: Path) -> Write:
    return lambda predictions: writer(predictions, card, path.parent.resolve())


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


Writer = Callable[[Sequence["Prediction"], Card, Path], str]
"""Makes a text of predictions, of the model's card and of the folder that it goes into."""
_ALWAYS: Mapping[str, Writer] = {".csv": _as_csv, ".json": _as_json}

"""``svertka evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from svertka.cli._output import Json, metrics_line, print_json, print_table
from svertka.verbs.evaluate import evaluate as run_evaluate


def evaluate(
    model: Path,
    data: Path,
    /,
    *,
    part: Literal["auto", "train", "val", "test", "all"] = "auto",
    json: Json = False,
) -> None:
    """Measure how good a model is on a data set.

    Parameters
    ----------
    model
        Model file (.safetensors or .onnx) or a run's folder.
    data
        A data set as svertka train takes it.
    part
        Part of the data set. auto takes test, else val, else all; of the very data that the model was trained on,
        only what was held out is val.
    """
    evaluated = run_evaluate(model, data, part=part, progress=not json)
    if json:
        print_json(evaluated.to_json())
        return
    print(f"on {evaluated.judged_on}, {evaluated.images:,} images: {metrics_line(evaluated.metrics)}\n")
    first = ("class", "support", "recall", "precision", "f1", "missed", "false_alarms")
    columns = (*first, *(name for name in evaluated.per_class[0] if name not in first))
    rows = [[row[column] for column in columns] for row in evaluated.per_class]
    print_table([column.replace("_", " ").replace("support", "images") for column in columns], rows)
    if evaluated.calibration:
        print(f"\nexpected calibration error: {evaluated.calibration['ece']:.4f}")
    if evaluated.skipped:
        print(f"\nleft out: {len(evaluated.skipped)} files")

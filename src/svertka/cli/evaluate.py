"""``svertka evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from svertka.cli._output import Json, Whole, metrics_line, print_json, print_table, say
from svertka.commands.evaluate.command import evaluate as run_evaluate
from svertka.commands.evaluate.result import Evaluated
from svertka.wording import counted, inflected


def evaluate(
    model: Path,
    data: Path,
    /,
    *,
    part: Literal["auto", "train", "val", "test", "all"] = "auto",
    unknown: Path | None = None,
    format: str | None = None,  # noqa: A002 (the user's word)
    threads: Whole | None = None,
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
    unknown
        Folder of images that show none of the classes, for a model that was trained with --reject: how many of them
        does it accept?
    format
        Format of the data set to insist on, such as voc. By default, it is looked at.
    threads
        How many to use; by default, all that this process may.
    """
    evaluated = run_evaluate(model, data, part=part, unknown=unknown, format=format, threads=threads, progress=not json)
    if json:
        print_json(evaluated.to_json())
        return
    say(f"on {evaluated.judged_on}, {counted(evaluated.images, evaluated.media)}: {metrics_line(evaluated.metrics)}")
    if evaluated.per_class:
        _print_classes(evaluated)
    if evaluated.calibration:
        say(f"\nexpected calibration error: {evaluated.calibration['ece']:.4f}")
    if evaluated.rejection:
        _print_rejection(evaluated.rejection)
    if evaluated.skipped:
        say(f"\nleft out: {counted(len(evaluated.skipped), 'file')}")


def _print_classes(evaluated: Evaluated) -> None:
    known = ("class", "support", "pixels", "recall", "precision", "f1", "missed", "false_alarms")
    first = [name for name in known if name in evaluated.per_class[0]]
    columns = (*first, *(name for name in evaluated.per_class[0] if name not in first))
    rows = [[row[column] for column in columns] for row in evaluated.per_class]
    images = inflected(2, evaluated.media)
    say("")
    print_table([column.replace("_", " ").replace("support", images) for column in columns], rows)


def _print_rejection(rejection: dict[str, Any]) -> None:
    say(f"\nnone of these beyond a distance of {rejection['limit']:.2f}:")
    for name, what in (("known", "wrongly refused"), ("unknown", "wrongly accepted")):
        if name in rejection:
            found = rejection[name]
            interval = f"{100 * found['low']:.1f}–{100 * found['high']:.1f}"
            say(f"  {name} images {what}: {found['hits']:,} of {found['images']:,}, {found['rate']:.1%} ({interval})")
    if "unknown" in rejection:
        say(f"  AUROC of the distance: {rejection['unknown']['auroc']:.4f}")

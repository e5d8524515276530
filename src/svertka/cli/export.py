"""``svertka export``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from svertka.cli._output import Flag, Json, Whole, print_json, print_table, say
from svertka.commands.export.command import Format, Wanted
from svertka.commands.export.command import export as run_export
from svertka.commands.export.result import Exported
from svertka.wording import counted


def export(
    model: Path,
    /,
    *,
    data: Path | None = None,
    precision: Wanted | None = None,
    max_drop: float | None = None,
    threads: Whole | None = None,
    any_size: Flag = False,
    pixels: Flag = False,
    format: Format = "onnx",  # noqa: A002
    out: Path | None = None,
    json: Json = False,
) -> None:
    """Write a model in a format that other programs run. What does not reproduce the golden outputs is not written.

    With --data, every engine and precision that is here is compared with the network on those images, scored and timed;
    the fastest that scores as well is kept, and the file says how it is run.

    Parameters
    ----------
    model
        Model file (.safetensors) or a run's folder.
    data
        Data set to calibrate and measure with. Of the data that the model was trained on, the held-out part is scored.
    precision
        fp32, bf16 or int8; auto, the default with --data, keeps the fastest.
    max_drop
        How many points (of 100) of the score a lower precision may lose; by default, half a point.
    threads
        How many each engine is timed with; by default, all that this process may use.
    any_size
        Leave height and width of the input open, for networks that take any.
    pixels
        Put preprocessing into the graph, which then takes decoded images, uint8 RGB, of any size.
    format
        Format to write.
    out
        File to write; beside the model by default.
    """
    exported = run_export(
        model,
        format=format,
        out=out,
        data=data,
        precision=precision,
        max_drop=max_drop,
        threads=threads,
        any_size=any_size,
        pixels=pixels,
    )
    if json:
        print_json(exported.to_json())
        return
    if exported.measured is not None:
        _print_measured(exported, exported.measured)
    say(
        f"wrote {exported.model} ({exported.bytes / 1000:,.0f} kB); "
        f"largest difference to the golden outputs: {exported.max_abs_diff:.2g}"
    )


def _print_measured(exported: Exported, measured: dict[str, Any]) -> None:
    say(
        f"on {counted(measured['images'], 'image')} ({measured['judged_on']}), "
        f"{counted(measured['threads'], 'thread')}; "
        f"{measured['metric'].replace('_', ' ')} in single precision: {measured['score']:.4f}\n"
    )
    batches = [timing["batch"] for trial in measured["trials"] if not trial["refused"] for timing in trial["timings"]]
    columns = ["engine", "precision", measured["metric"].replace("_", " "), *(f"batch {size}" for size in batches), ""]
    rows = [_row(trial, batches) for trial in measured["trials"]]
    print_table(columns, rows, right=columns[2:-1])
    say()
    deployment = exported.deployment
    if deployment is not None and deployment.piece:
        say(f"larger batches are run in pieces of {deployment.piece}, one a thread")
    left = measured["left_in_single_precision"]
    if left:
        say(f"left in single precision: {', '.join(left)}")


def _row(trial: dict[str, Any], batches: list[int]) -> list[str]:
    times = {timing["batch"]: f"{1000 * timing['p50']:.1f} ms" for timing in trial["timings"]}
    score = "" if trial["score"] is None else f"{trial['score']:.4f}"
    return [
        trial["engine"],
        trial["precision"],
        score,
        *(times.get(size, "") for size in batches),
        trial["refused"] or "taken",
    ]

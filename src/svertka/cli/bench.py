"""``svertka bench``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from svertka.cli._output import Json, Whole, duration, print_json, print_table, say
from svertka.commands.bench.command import BATCHES, ENGINES, PRECISIONS
from svertka.commands.bench.command import bench as run_bench
from svertka.commands.bench.result import Benched

Names = Annotated[tuple[str, ...], Parameter(negative=(), consume_multiple=True)]
Counts = Annotated[tuple[Whole, ...], Parameter(negative=(), consume_multiple=True)]


def bench(
    *models: str,
    engine: Names = ENGINES,
    precision: Names = PRECISIONS[:1],
    batch: Counts = BATCHES,
    threads: Counts = (),
    image_size: Whole | None = None,
    seconds: Annotated[float, Parameter(converter=duration)] = 1.0,
    save: Path | None = None,
    out: Path | None = None,
    json: Json = False,
) -> None:
    """Measure how fast models run here, beside what the machine can do at best.

    Engines answer the same batch in turns, on equal threads. What this machine can do is measured in the same run: a
    large product of matrices, and a copy that no cache holds.

    Parameters
    ----------
    models
        Model files (.safetensors or .onnx), runs' folders, or networks, which are measured with random weights. By
        default efficientnet_lite0 and resnet50, so that machines can be compared.
    engine
        Engines to measure with, one or several.
    precision
        fp32, bf16, int8, one or several. int8 is calibrated on noise: its time is right, and no more. A graph that was
        exported keeps its own.
    batch
        Images a batch, one number or several.
    threads
        Numbers of threads. By default one, and all that may be used.
    image_size
        Side of the images for networks; the paper's by default.
    seconds
        For which each engine is timed, at least.
    save
        Table of machines, JSON, to which this one is added. By default one in the user's cache.
    out
        Folder for a page with all of it; it must not exist. By default nothing is written.
    """
    benched = run_bench(
        models,
        engine=engine,
        precision=precision,
        batch=batch,
        threads=threads or None,
        image_size=image_size,
        seconds=seconds,
        save=save,
        out=out,
        progress=not json,
    )
    if json:
        print_json(benched.to_json())
    else:
        _print(benched)


def _print(benched: Benched) -> None:
    print_table(benched.columns, benched.rows, right=benched.columns[3:])
    for name, reason in benched.absent.items():
        say(f"absent: {name}: {reason}")
    say()
    print_table(benched.machine_columns, benched.machine_rows, right=benched.machine_columns[1:])
    say(f"\nmachines: {benched.table}" + (f"\npage:     {benched.report}" if benched.report else ""))

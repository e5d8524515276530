"""Bench: how fast models run on this machine, by engine, batch and threads, beside what it can do at best."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from svertka.commands.bench.figure import Figure
from svertka.commands.bench.machines import known_machines, machines_file, save_machines, this_machine, with_machine
from svertka.commands.bench.result import Benched
from svertka.errors import UserError, nearest
from svertka.runtime.cores import available_cores
from svertka.runtime.deployment import Precision
from svertka.runtime.files import make_folder
from svertka.spelling import names_of, numbers_of, seconds_of, texts_of
from svertka.workflows.progress import Display

if TYPE_CHECKING:
    from svertka.commands.bench.subject import Subject

NETS = ("efficientnet_lite0", "resnet50")
"""What is measured where nothing is named, so that machines can be compared."""
ENGINES = ("pytorch", "onnxruntime", "openvino")
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
BATCHES = (1, 8)
REPORT_NAME = "bench.html"


def bench(
    models: str | PathLike[str] | Sequence[str | PathLike[str]] = (),
    *,
    engine: str | Sequence[str] = ENGINES,
    precision: str | Sequence[str] = PRECISIONS[:1],
    batch: int | str | Sequence[int] = BATCHES,
    threads: int | str | Sequence[int] | None = None,
    image_size: int | None = None,
    seconds: float | str = 1.0,
    save: str | PathLike[str] | None = None,
    out: str | PathLike[str] | None = None,
    progress: bool = True,
) -> Benched:
    """Measure latency, throughput and memory of models, and how near they come to what this machine can do.

    Engines answer the same batch in turns, on equal threads, and each is warmed. What the machine can do at best is
    measured in the same run: a large product of matrices, and a copy that no cache holds.

    Args:
        models: Model files (.safetensors or .onnx), runs' folders, or networks of the registry, which are measured with
            random weights; by default two networks, so that machines can be compared.
        engine: Some of ``pytorch``, ``onnxruntime`` and ``openvino``.
        precision: Some of ``fp32``, ``bf16`` and ``int8``, which is calibrated on noise: its time is right, and no
            more. A graph that was exported keeps its own.
        batch: Numbers of images in a batch.
        threads: Numbers of threads; by default one, and all that may be used.
        image_size: Side of the images for networks of the registry; the paper's by default.
        seconds: For which each engine is timed, at least.
        save: Table of machines, JSON, to which this one is added; by default one in the user's cache.
        out: Folder for a page with all of it; it must not exist. Nothing is written by default.
        progress: Show progress on standard error.

    Raises:
        UserError: A model, an engine or a number makes no sense here, or something cannot be written.
    """
    engines, precisions, batches = names_of(engine), names_of(precision), numbers_of(batch)
    for what, names, known_names in (("engine", engines, ENGINES), ("precision", precisions, PRECISIONS)):
        for name in names:
            if name not in known_names:
                raise UserError(f"unknown {what} {name!r}", mend=nearest(name, known_names))
    cores = available_cores()
    counts = sorted({1, cores} if threads is None else set(numbers_of(threads)))
    for what, numbers, most in (("batch", batches, 4096), ("threads", counts, cores)):
        if not numbers or not all(1 <= number <= most for number in numbers):
            given = ", ".join(map(str, numbers))
            raise UserError(f"{what} is {given or 'not given'}", mend=f"it must be between 1 and {most:,}")
    seconds = seconds_of(seconds)
    if not seconds > 0:
        raise UserError(f"seconds is {seconds:g}", mend="it must be above 0")
    target = None if out is None else Path(out)
    if target is not None and target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise UserError("the folder exists", where=target, mend="choose another --out")
    table = machines_file(None if save is None else Path(save))
    known = known_machines(table)  # what is wrong with it is said before anything takes time
    from svertka.commands.bench.measuring import Bench
    from svertka.commands.bench.subject import Subject
    from svertka.deploy.peaks import measure_peaks

    display = Display(show=progress)
    with tempfile.TemporaryDirectory(prefix="svertka-") as place:
        chosen = texts_of(models) or list(NETS)
        folders = [Path(place, f"model{number}") for number in range(len(chosen))]
        subjects = [Subject.of(name, image_size, folder) for name, folder in zip(chosen, folders, strict=True)]
        peaks = {count: measure_peaks(count) for count in counts}
        for count, best in peaks.items():
            display.say(f"threads {count}: {best.gflops:,.1f} GFLOP/s, {best.bandwidth:,.1f} GB/s at best")
        wanted = [precision for precision in PRECISIONS if precision in precisions]
        running = Bench(display, engines, wanted, sorted(set(batches)), peaks, seconds)
        figures = [
            figure
            for subject, folder in zip(subjects, folders, strict=True)
            for figure in running.figures(subject, folder)
        ]
    line = this_machine(peaks[counts[-1]], _nets(subjects, figures))
    machines = with_machine(known, line)
    save_machines(table, machines)
    result = Benched(
        tuple(peaks.values()),
        tuple(subjects),
        tuple(figures),
        running.absent,
        tuple(machines),
        table,
        None if target is None else target / REPORT_NAME,
    )
    if target is not None:
        from svertka.commands.bench.page import write_page

        make_folder(target)
        write_page(result)
    return result


def _nets(subjects: Sequence[Subject], figures: Sequence[Figure]) -> dict[str, dict[str, Any]]:
    """By network of the registry, its best figures in single precision: models of one's own say little of a machine."""
    found = {}
    for subject in subjects:
        mine = [figure for figure in figures if (figure.name, figure.precision) == (subject.name, "fp32")]
        if subject.net is None or not mine:
            continue
        latency = min((figure for figure in mine if figure.batch == 1), key=lambda figure: figure.p50, default=None)
        most = max(mine, key=lambda figure: figure.throughput)
        found[subject.net] = {
            "seconds": latency.p50 if latency else None,
            "images": most.throughput,
            "engine": {"seconds": latency.engine if latency else None, "images": most.engine},
        }
    return found

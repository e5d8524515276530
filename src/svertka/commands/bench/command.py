"""Bench: how fast models run on this machine, by engine, batch and threads, beside what it can do at best."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from svertka.commands.bench.figure import Figure
from svertka.commands.bench.machines import known_machines, machines_file, save_machines, this_machine, with_machine
from svertka.commands.bench.result import Benched
from svertka.errors import UserError, nearest
from svertka.runtime.cores import available_cores
from svertka.runtime.deployment import Precision
from svertka.runtime.files import unused_folder
from svertka.spelling import names_of, numbers_of, seconds_of, texts_of
from svertka.workflows.progress import Display

if TYPE_CHECKING:
    from svertka.commands.bench.subject import Subject
    from svertka.deploy.peaks import Peaks

NETS = ("efficientnet_lite0", "resnet50")
"""What is measured where nothing is named, so that machines can be compared."""
ENGINES = ("pytorch", "onnxruntime", "openvino")
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
BATCHES = (1, 8)
REPORT_NAME = "bench.html"
_Name = TypeVar("_Name", bound=str)


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
    engines = _known("engine", names_of(engine), ENGINES)
    precisions = _known("precision", names_of(precision), PRECISIONS)
    batches = _within("batch", numbers_of(batch), 4096)
    counts = _within("threads", (1, available_cores()) if threads is None else numbers_of(threads), available_cores())
    if not (seconds := seconds_of(seconds)) > 0:
        raise UserError(f"seconds is {seconds:g}", mend="it must be above 0")
    report = None if out is None else unused_folder(out) / REPORT_NAME
    table = machines_file(None if save is None else Path(save))
    known = known_machines(table)  # what is wrong with it is said before anything takes time
    from svertka.commands.bench.measuring import Bench

    display = Display(show=progress)
    with _subjects(texts_of(models) or NETS, image_size) as subjects:
        peaks = {count: _peaks(count, display) for count in counts}
        running = Bench(display, engines, precisions, batches, peaks, seconds)
        figures = [figure for folder, subject in subjects.items() for figure in running.figures(subject, folder)]
    measured = tuple(subjects.values())
    machines = with_machine(known, this_machine(peaks[counts[-1]], _nets(measured, figures)))
    save_machines(table, machines)
    result = Benched(tuple(peaks.values()), measured, tuple(figures), running.absent, tuple(machines), table, report)
    if report is not None:
        from svertka.commands.bench.page import write_page

        write_page(result)
    return result


def _known(what: str, given: Sequence[str], known: Sequence[_Name]) -> list[_Name]:
    # In the order of those that are known.
    for name in given:
        if name not in known:
            raise UserError(f"unknown {what} {name!r}", mend=nearest(name, known))
    return [name for name in known if name in given]


def _within(what: str, numbers: Sequence[int], most: int) -> list[int]:
    # Each once, the least first.
    if not numbers or not all(1 <= number <= most for number in numbers):
        given = ", ".join(map(str, numbers))
        raise UserError(f"{what} is {given or 'not given'}", mend=f"it must be between 1 and {most:,}")
    return sorted(set(numbers))


def _peaks(threads: int, display: Display) -> Peaks:
    from svertka.deploy.peaks import measure_peaks

    best = measure_peaks(threads)
    display.say(f"threads {threads}: {best.gflops:,.1f} GFLOP/s, {best.bandwidth:,.1f} GB/s at best")
    return best


@contextlib.contextmanager
def _subjects(models: Sequence[str], image_size: int | None) -> Iterator[dict[Path, Subject]]:
    # By a folder of its own for what is made of it, until they are measured.
    from svertka.commands.bench.subject import Subject

    with tempfile.TemporaryDirectory(prefix="svertka-") as place:
        folders = {Path(place, f"model{number}"): name for number, name in enumerate(models)}
        yield {folder: Subject.of(name, image_size, folder) for folder, name in folders.items()}


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

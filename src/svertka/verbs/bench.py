"""Bench: how fast models run on this machine, by engine, batch and threads, beside what it can do at best."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from svertka.errors import UserError, nearest
from svertka.runtime.cores import available_cores
from svertka.runtime.deployment import Precision
from svertka.runtime.files import make_folder
from svertka.spelling import names_of, numbers_of, seconds_of, texts_of
from svertka.verbs._machines import (
    MachineLine,
    known_machines,
    machines_file,
    save_machines,
    this_machine,
    with_machine,
)
from svertka.verbs._progress import Display

if TYPE_CHECKING:
    from svertka.deploy.peaks import Peaks
    from svertka.verbs._benched import Subject

NETS = ("efficientnet_lite0", "resnet50")
"""What is measured where nothing is named, so that machines can be compared."""
ENGINES = ("pytorch", "onnxruntime", "openvino")
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
BATCHES = (1, 8)
REPORT_NAME = "bench.html"


@dataclass(frozen=True)
class Figure:
    """What was measured of one model with one engine.

    Attributes:
        name: The model.
        engine: What ran it.
        precision: What was calculated in.
        batch: Images a batch.
        threads: That the engine used.
        calls: Batches that were timed.
        p50, p99: Seconds that half, and 99 in 100, of them did not exceed.
        throughput: Images a second.
        gflops: Billions of operations a second, a multiplication and an addition being two.
        of_peak: Share of what this machine reaches in a product of matrices on as many threads.
        attainable: Share of that peak that could be had at most, by the numbers that have to be moved.
        memory: The most bytes that a process needs to load it and answer the largest of the batches, on the most of the
            threads; None where it is not known.
    """

    name: str
    engine: str
    precision: str
    batch: int
    threads: int
    calls: int
    p50: float
    p99: float
    throughput: float
    gflops: float
    of_peak: float
    attainable: float
    memory: int | None

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return dict(vars(self))


@dataclass(frozen=True)
class Benched:
    """What came of it.

    Attributes:
        peaks: What this machine can do at best, by number of threads.
        subjects: The models: size, operations, parameters, score.
        figures: A line for each model, engine, precision, batch and number of threads.
        absent: Engines and precisions that could not be run here, and why.
        machines: The table of machines, this one included.
        table: Where that table is kept.
        report: The page, where a folder was given.
    """

    peaks: tuple[Peaks, ...]
    subjects: tuple[Subject, ...]
    figures: tuple[Figure, ...]
    absent: Mapping[str, str]
    machines: tuple[MachineLine, ...]
    table: Path
    report: Path | None

    @property
    def columns(self) -> tuple[str, ...]:
        """What `rows` have."""
        times = ("engine", "precision", "batch", "threads", "p50 ms", "p99 ms", "images/s")
        return ("model", *times, "GFLOP/s", "of peak", "at most", "memory MB")

    @property
    def rows(self) -> list[list[str]]:
        """A line for each figure, in text."""
        return [
            [
                figure.name,
                figure.engine,
                figure.precision,
                str(figure.batch),
                str(figure.threads),
                f"{1000 * figure.p50:.2f}",
                f"{1000 * figure.p99:.2f}",
                f"{figure.throughput:,.1f}",
                f"{figure.gflops:,.1f}",
                f"{figure.of_peak:.0%}",
                f"{figure.attainable:.0%}",
                "–" if figure.memory is None else f"{figure.memory / 1e6:,.0f}",
            ]
            for figure in self.figures
        ]

    @property
    def machine_columns(self) -> tuple[str, ...]:
        """What `machine_rows` have."""
        nets = dict.fromkeys(net for line in self.machines for net in line.nets)
        return ("machine", "cores", "GFLOP/s", "in double", "GB/s", *(f"{net}: ms, images/s" for net in nets))

    @property
    def machine_rows(self) -> list[list[str]]:
        """A line for each machine, in text."""
        nets = dict.fromkeys(net for line in self.machines for net in line.nets)
        return [
            [
                line.name,
                str(line.cores),
                *(f"{line.peaks[name]:,.1f}" for name in ("gflops", "gflops64", "bandwidth")),
                *(_net_cell(line.nets.get(net)) for net in nets),
            ]
            for line in self.machines
        ]

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "peaks": [peaks.to_json() for peaks in self.peaks],
            "models": [subject.to_json() for subject in self.subjects],
            "figures": [figure.to_json() for figure in self.figures],
            "absent": dict(self.absent),
            "machines": [dict(vars(line)) for line in self.machines],
            "table": str(self.table),
            "report": None if self.report is None else str(self.report),
        }


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
    from svertka.deploy.peaks import measure_peaks
    from svertka.verbs._benched import Bench, Subject

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
        from svertka.verbs._bench_page import write_page

        make_folder(target)
        write_page(result)
    return result


def _net_cell(figures: Mapping[str, Any] | None) -> str:
    if figures is None:
        return "–"
    latency = "–" if figures["seconds"] is None else f"{1000 * figures['seconds']:.1f}"
    return f"{latency}, {figures['images']:,.1f}"


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

"""Measuring models: time, operations and memory, by engine, batch and threads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from svertka.commands.bench.figure import Figure
from svertka.commands.bench.subject import Subject
from svertka.deploy.footprint import footprint
from svertka.deploy.peaks import Peaks, threads_of_torch
from svertka.deploy.timing import measure as timed
from svertka.errors import UserError
from svertka.runtime.deployment import Precision
from svertka.runtime.engines import Engine, OnnxRuntimeEngine, OpenVinoEngine
from svertka.runtime.openvino_core import openvino_has_bf16, openvino_is_installed
from svertka.zoo.engine import TorchEngine
from svertka.zoo.modelfile import load_model

if TYPE_CHECKING:
    from svertka.workflows.progress import Display

Way = tuple[str, Precision]
"""An engine, and what it calculates in."""


class Bench:
    """Measures models.

    Args:
        display: Is told how it goes.
        engines: To measure with.
        precisions: To measure in; a graph that was exported keeps its own.
        batches: Images a batch.
        peaks: What the machine can do, by number of threads.
        seconds: For which each engine is timed.

    Attributes:
        absent: Engines and precisions that could not be run, and why.
    """

    def __init__(
        self,
        display: Display,
        engines: Sequence[str],
        precisions: Sequence[Precision],
        batches: Sequence[int],
        peaks: Mapping[int, Peaks],
        seconds: float,
    ) -> None:
        self.display, self.engines, self.precisions = display, engines, precisions
        self.batches, self.peaks, self.seconds = batches, peaks, seconds
        self.absent: dict[str, str] = {}
        self._memories: dict[tuple[str, Way], int | None] = {}

    def figures(self, subject: Subject, folder: Path) -> Iterator[Figure]:
        """What is measured of a model, by threads, then by batch, then by engine and precision.

        Args:
            subject: The model.
            folder: For what has to be written.
        """
        precisions = self.precisions if subject.file else list(subject.graphs)
        if subject.file and "int8" in precisions:
            self.display.say(f"{subject.name}: quantising")
            try:
                subject.quantise(folder)
            except UserError as error:
                self.absent["int8"] = str(error)
        images = subject.images(max(self.batches))
        for threads, best in self.peaks.items():
            with threads_of_torch(threads):
                running = dict(self._running(subject, precisions, threads))
                for batch in self.batches:
                    self.display.say(f"{subject.name}: batch {batch}, threads {threads}")
                    runs = {" ".join(way): engine.run for way, engine in running.items()}
                    timings = timed(runs, images, batch=batch, seconds=self.seconds)
                    for way, timing in zip(running, timings.values(), strict=True):
                        gflops = 2 * subject.macs * timing.throughput / 1e9
                        yield Figure(
                            subject.name,
                            *way,
                            batch,
                            threads,
                            timing.calls,
                            timing.p50,
                            timing.p99,
                            timing.throughput,
                            gflops,
                            gflops / best.gflops,
                            best.attainable(subject.intensity(batch)) / best.gflops,
                            self._memory(subject, way, images.shape),
                        )

    def _memory(self, subject: Subject, way: Way, shape: tuple[int, ...]) -> int | None:
        # With the largest batch on the most threads, which is what is needed; to start a process takes seconds.
        key = subject.name, way
        if key not in self._memories:
            self._memories[key] = footprint(way[0], _file(subject, way), shape, threads=max(self.peaks))
        return self._memories[key]

    def _running(self, subject: Subject, precisions: Sequence[Precision], threads: int) -> Iterator[tuple[Way, Engine]]:
        for precision in precisions:
            for name in self.engines:
                try:
                    yield (name, precision), _opened(subject, (name, precision), threads)
                except UserError as error:
                    self.absent[name if precision == "fp32" else f"{name} in {precision}"] = str(error)


def _opened(subject: Subject, way: Way, threads: int) -> Engine:
    name, precision = way
    file = _file(subject, way)
    if name == "pytorch":
        return TorchEngine(load_model(file)[0])
    if name == "onnxruntime":
        return OnnxRuntimeEngine(file, threads=threads)
    if precision == "bf16" and openvino_is_installed() and not openvino_has_bf16():
        raise UserError("this processor has no bf16")
    piece = subject.card.deployment.piece if subject.card.deployment else 0
    return OpenVinoEngine(file, threads=threads, piece=piece, bf16=precision == "bf16")


def _file(subject: Subject, way: Way) -> Path:
    """What an engine reads.

    Raises:
        UserError: There is no such file.
    """
    name, precision = way
    if name == "pytorch":
        found = subject.file if precision == "fp32" else None
    elif precision == "bf16" and subject.file:  # of the engine, not of the graph
        found = subject.graphs.get("fp32") if name == "openvino" else None
    else:
        found = subject.graphs.get(precision)
    if found is None:
        raise UserError(f"{subject.name} is not there in {precision} for {name}")
    return found

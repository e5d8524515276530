"""Measuring models: time, operations and memory, by engine, batch and threads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from svertka.commands.bench.figure import Figure
from svertka.deploy.footprint import footprint
from svertka.deploy.peaks import Peaks, threads_of_torch
from svertka.deploy.timing import measure as timed
from svertka.errors import UserError
from svertka.runtime.deployment import Precision
from svertka.runtime.engines import Engine

if TYPE_CHECKING:
    from svertka.workflows.progress import Display
from svertka.commands.bench.subject import Subject, Way, _file, _opened


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

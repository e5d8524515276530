"""What a benchmark measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from svertka.commands.bench.figure import Figure
from svertka.commands.bench.machines import MachineLine

if TYPE_CHECKING:
    from svertka.commands.bench.subject import Subject
    from svertka.deploy.peaks import Peaks


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


def _net_cell(figures: Mapping[str, Any] | None) -> str:
    if figures is None:
        return "–"
    latency = "–" if figures["seconds"] is None else f"{1000 * figures['seconds']:.1f}"
    return f"{latency}, {figures['images']:,.1f}"

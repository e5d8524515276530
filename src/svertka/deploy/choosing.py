"""Which engine and precision ship: every one that is here is timed, at equal threads, on the same images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svertka.deploy.timing import Timing, measure
from svertka.runtime.deployment import EngineName, Precision
from svertka.runtime.engines import Engine, OnnxRuntimeEngine, OpenVinoEngine

BATCHES = (1, 8)
"""Sizes of batches that count, alike: an answer while somebody waits, and many images."""

_PIECES = (0, 1, 4)
_SECONDS = 1.0
_CALLS = 5


@dataclass(frozen=True)
class Trial:
    """One engine and precision, and what came of it.

    Attributes:
        engine, precision: What was tried.
        graph: The file that it runs.
        piece: See `svertka.runtime.deployment.Deployment`.
        difference: The largest absolute difference to what it should compute; as JSON, None where it is infinite.
        score: What it scores on validation images, a fraction of one.
        drop: By how many points that is less than in single precision.
        timings: By size of batch.
        refused: Why it is not the one that ships; None if it is.
    """

    engine: EngineName
    precision: Precision
    graph: Path = field(default=Path(), repr=False)
    piece: int = 0
    difference: float | None = None
    score: float | None = None
    drop: float | None = None
    timings: Mapping[int, Timing] = field(default_factory=dict)
    refused: str | None = None

    def open(self, *, threads: int) -> Engine:
        """The engine, ready to run.

        Raises:
            UserError: It is not installed, or cannot run the graph.
        """
        if self.engine == "onnxruntime":
            return OnnxRuntimeEngine(self.graph, threads=threads)
        return OpenVinoEngine(self.graph, threads=threads, piece=self.piece, bf16=self.precision == "bf16")

    @property
    def seconds(self) -> float:
        """The geometric mean, over the sizes of batches, of the median time."""
        return math.exp(sum(math.log(timing.p50) for timing in self.timings.values()) / len(self.timings))

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "engine": self.engine,
            "precision": self.precision,
            "piece": self.piece,
            "difference": self.difference if self.difference is None or math.isfinite(self.difference) else None,
            "score": self.score,
            "drop": self.drop,
            "timings": [timing.to_json() for timing in self.timings.values()],
            "refused": self.refused,
        }


def choose(
    trials: Sequence[Trial], examples: NDArray[np.float32], *, threads: int, batches: Sequence[int] = BATCHES
) -> list[Trial]:
    """Time all trials that are not refused; all but the fastest of them come back refused as slower.

    Args:
        trials: At least one is not refused.
        examples: Images ``(N, C, H, W)`` to time with.
        threads: How many each may use.
        batches: Sizes of batches that count.
    """
    running = [number for number, trial in enumerate(trials) if trial.refused is None]
    found = list(trials)
    for number in running:
        found[number] = _in_pieces(found[number], examples, threads, max(batches))
    timed = _timed([found[number] for number in running], examples, threads, batches)
    for number, trial in zip(running, timed, strict=True):
        found[number] = trial
    best = min(timed, key=lambda trial: trial.seconds)
    return [
        trial
        if trial is best or trial.refused
        else replace(trial, refused=f"takes {trial.seconds / best.seconds:.2f} × as long")
        for trial in found
    ]


def _in_pieces(trial: Trial, examples: NDArray[np.float32], threads: int, batch: int) -> Trial:
    # Only what is fastest for large batches is timed with the others, so that few engines are in memory at once.
    if trial.engine != "openvino" or batch == 1:
        return trial
    ways = {str(piece): replace(trial, piece=piece) for piece in _PIECES}
    engines = {name: way.open(threads=threads) for name, way in ways.items()}
    timings = measure(
        {name: engine.run for name, engine in engines.items()},
        examples,
        batch=batch,
        seconds=_SECONDS / 2,
        calls=_CALLS,
    )
    return ways[min(timings, key=lambda name: timings[name].p50)]


def _timed(trials: Sequence[Trial], examples: NDArray[np.float32], threads: int, batches: Sequence[int]) -> list[Trial]:
    engines = {str(number): trial.open(threads=threads) for number, trial in enumerate(trials)}
    runs = {name: engine.run for name, engine in engines.items()}
    timings = {batch: measure(runs, examples, batch=batch, seconds=_SECONDS, calls=_CALLS) for batch in batches}
    return [
        replace(trial, timings={batch: timings[batch][str(number)] for batch in batches})
        for number, trial in enumerate(trials)
    ]

"""One measurement of a benchmark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


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

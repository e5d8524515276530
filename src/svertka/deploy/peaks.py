"""What a machine can do at best, measured: how fast it multiplies, and how fast it moves numbers.

S. Williams, A. Waterman, D. Patterson, "Roofline: An Insightful Visual Performance Model for Multicore Architectures",
2009.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch

_SIDE = 1536  # of the matrices: 28 MB for the three, of which each number is used 1,536 times
_COPIED = 1 << 25  # numbers, 134 MB: no cache holds them
_SECONDS, _CALLS = 0.6, 3


@dataclass(frozen=True)
class Peaks:
    """The best that was measured on so many threads.

    Attributes:
        threads: How many.
        gflops: Billions of operations a second of a product of matrices in single precision; a multiplication and an
            addition are two.
        gflops64: The same in double precision.
        bandwidth: Billions of bytes a second that a copy reads and writes.
    """

    threads: int
    gflops: float
    gflops64: float
    bandwidth: float

    def attainable(self, intensity: float) -> float:
        """Billions of operations a second that can be had at most, at so many operations for a byte that is moved."""
        return min(self.gflops, intensity * self.bandwidth)

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)


def measure_peaks(threads: int) -> Peaks:
    """Measure what this machine can do on so many threads; it takes about two seconds."""
    with threads_of_torch(threads):
        source, target = torch.ones(_COPIED), torch.empty(_COPIED)
        bandwidth = 2 * source.nbytes / _least(lambda: target.copy_(source))
        return Peaks(threads, _gflops(torch.float32), _gflops(torch.float64), bandwidth / 1e9)


@contextmanager
def threads_of_torch(threads: int) -> Iterator[None]:
    """Within, PyTorch uses so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _gflops(kind: torch.dtype) -> float:
    one, other = (torch.rand(_SIDE, _SIDE, dtype=kind) for _ in range(2))
    product = torch.empty_like(one)
    return 2 * _SIDE**3 / _least(lambda: torch.mm(one, other, out=product)) / 1e9


def _least(run: Callable[[], object]) -> float:
    """The least seconds that a call took: whatever else the machine does can only make it slower."""
    run()
    found: list[float] = []
    while sum(found) < _SECONDS or len(found) < _CALLS:
        started = time.perf_counter()
        run()
        found.append(time.perf_counter() - started)
    return min(found)

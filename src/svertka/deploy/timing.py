"""How long engines take for a batch: warmed, in turns, for a stated least time and number of calls."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ROUNDS = 5

Run = Callable[[NDArray[np.float32]], object]
"""Answers a batch ``(N, C, H, W)``; whatever it returns is complete when it returns."""


@dataclass(frozen=True)
class Timing:
    """What one engine took for batches of one size.

    Attributes:
        batch: Images in a batch.
        calls: How many batches were timed.
        p50, p99: Seconds a batch that half, and 99 in 100, of the calls did not exceed.
        throughput: Images a second, over all calls.
    """

    batch: int
    calls: int
    p50: float
    p99: float
    throughput: float

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)


def measure(
    runs: Mapping[str, Run],
    examples: NDArray[np.float32],
    *,
    batch: int,
    seconds: float = 1.0,
    calls: int = 10,
) -> dict[str, Timing]:
    """Time engines on the same batch, in turns, so that what else the machine does falls on all alike.

    Threads are whatever each engine was made with. Each is called once before anything counts, and once more at the
    beginning of every turn, since another's weights fill the caches by then.

    Args:
        runs: Engines by name.
        examples: Images ``(K, C, H, W)`` to make the batch of, repeated as needed.
        batch: Images a batch.
        seconds: Each engine is timed for this long, at least.
        calls: And called so often, at least.

    Returns:
        A timing an engine, by name.
    """
    images = np.ascontiguousarray(np.resize(examples, (batch, *examples.shape[1:])))
    taken = in_turns({name: partial(run, images) for name, run in runs.items()}, seconds=seconds, calls=calls)
    return {name: _timing(batch, durations) for name, durations in taken.items()}


def in_turns(runs: Mapping[str, Callable[[], object]], *, seconds: float, calls: int) -> dict[str, list[float]]:
    """Seconds that every call of each took, called in turns as `measure` describes.

    Args:
        runs: What is timed, by name.
        seconds: Each is timed for this long, at least.
        calls: And called so often, at least.
    """
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    for turn in range(1, _ROUNDS + 1):
        for name, run in runs.items():
            run()
            durations = taken[name]
            while sum(durations) < seconds * turn / _ROUNDS or len(durations) < calls * turn / _ROUNDS:
                started = time.perf_counter()
                run()
                durations.append(time.perf_counter() - started)
    return taken


def _timing(batch: int, durations: list[float]) -> Timing:
    p50, p99 = np.percentile(durations, [50, 99])
    return Timing(batch, len(durations), float(p50), float(p99), batch * len(durations) / sum(durations))

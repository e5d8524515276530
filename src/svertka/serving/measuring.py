"""How many images to run at a time: measured, when a model is opened."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

SIZES = (1, 2, 4, 8, 16)
_LONGEST = 0.25  # seconds that a batch may take: whoever comes next waits for it
_TIMES = 3
_WORTH = 0.05  # by how much a larger batch must be faster


def batch_seconds(
    run: Callable[[int], object],
    *,
    sizes: Sequence[int] = SIZES,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[int, float]:
    """Seconds that a batch takes, the least of three times, by its size; of the first size, and as far as it is quick.

    Args:
        run: Runs so many images at once.
        sizes: To try, from 1 on.
        clock: Seconds, of any beginning.
    """

    def timed(size: int) -> float:
        started = clock()
        run(size)
        return clock() - started

    found: dict[int, float] = {}
    for size in sizes:
        first = timed(size)  # memory and kernels are made for this size
        if size > 1 and first > 2 * _LONGEST:
            break
        seconds = min(timed(size) for _ in range(_TIMES))
        if size > 1 and seconds > _LONGEST:
            break
        found[size] = seconds
    return found


def best_batch(seconds: Mapping[int, float]) -> int:
    """The smallest size with nearly the most images a second."""
    rates = {size: size / max(taken, 1e-9) for size, taken in seconds.items()}
    return min(size for size, rate in rates.items() if rate * (1 + _WORTH) >= max(rates.values()))

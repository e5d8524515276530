"""Random numbers as a pure function of what they are for, so that nothing has to remember a generator's state.

The mixing function is SplitMix64's (Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", 2014).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def uniform(*keys: ArrayLike) -> NDArray[np.float64]:
    """One number in [0, 1) for each combination of the keys, which are broadcast against one another.

    ``uniform(seed, epoch, indices, 3)`` is the third number of each of those samples in that epoch.
    """
    # The upper 53 bits fill a double.
    return np.asarray(bits(*keys) >> np.uint64(11)) * 2.0**-53


def bits(*keys: ArrayLike) -> NDArray[np.uint64]:
    """64 random bits for each combination of the keys, which are broadcast against one another."""
    # Arrays, since numpy warns of the intended overflow in scalars only.
    state = np.zeros(1, np.uint64)
    for key in keys:
        state = _mix(state + np.atleast_1d(np.asarray(key, np.int64)).astype(np.uint64) + _GOLDEN)
    return state


def permutation(count: int, *keys: int) -> NDArray[np.int64]:
    """The numbers below ``count`` in an order that depends on the keys alone."""
    return np.argsort(bits(*keys, np.arange(count)), kind="stable")


def _mix(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(state ^ (state >> np.uint64(31)))

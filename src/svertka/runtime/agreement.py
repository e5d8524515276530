"""How far what two engines say of the same images is apart."""

from __future__ import annotations

import numpy as np

from svertka.runtime.decoders import Outputs


def difference(found: Outputs, expected: Outputs) -> float:
    """The largest absolute difference between outputs by name.

    Infinite where an output that is expected is missing, has another shape, or holds what is no number.
    """
    largest = 0.0
    for name, wanted in expected.items():
        if name not in found or found[name].shape != wanted.shape:
            return float("inf")
        apart = np.abs(found[name].astype(np.float64) - wanted)
        # A nan anywhere is a difference, not the absence of one.
        largest = max(largest, float(np.nan_to_num(apart, nan=np.inf).max(initial=0.0)))
    return largest

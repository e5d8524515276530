"""How far a share that was counted on a sample may be from the truth."""

from __future__ import annotations

import math
from statistics import NormalDist


def wilson(hits: int, count: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a share: ``hits`` of ``count`` trials.

    Unlike the usual ± it stays within 0 and 1, and holds for few trials and shares near 1.

    E. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", 1927.

    Raises:
        ValueError: There is no trial, or there are more hits than trials.
    """
    if not 0 <= hits <= count or not count:
        raise ValueError(f"{hits} hits of {count} trials")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = hits / count
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * math.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    # Where all or none are hits, rounding alone keeps an end from being 1 or 0.
    return (0.0 if hits == 0 else middle - half), (1.0 if hits == count else middle + half)

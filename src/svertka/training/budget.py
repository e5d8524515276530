"""What to train within a given time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_FEWEST, _MOST = 4, 30  # epochs
_RESERVE = 0.1  # of the time, for what comes after


@dataclass(frozen=True)
class Option:
    """One boundary between what is frozen and what learns.

    Attributes:
        depth: How many stages are frozen.
        prepare: Seconds to run them over all images, at most.
        epoch: Seconds for an epoch of what learns, validation included.
    """

    depth: int
    prepare: float
    epoch: float

    def fits(self, seconds: float) -> bool:
        """Whether enough epochs to be worth it can be done in this time."""
        return self.epochs(seconds) >= _FEWEST

    def epochs(self, seconds: float) -> int:
        """How many epochs can be done in this time; no more than are worth it."""
        return min(_MOST, int(((1 - _RESERVE) * seconds - self.prepare) / self.epoch))


def choose_phases(options: Sequence[Option], seconds: float) -> list[tuple[int, int]]:
    """Which boundary to learn behind, and for how many epochs, of those in ``options``: the earliest that fits.

    The more stages learn, the more can be gained, as long as they get a few epochs.

    Args:
        options: From the last boundary to the first.
        seconds: What is left.

    Returns:
        ``(depth, epochs)`` for each phase, one after another; empty where there is no time.
    """
    fitting = [option for option in options if option.fits(seconds)]
    return [(fitting[-1].depth, fitting[-1].epochs(seconds))] if fitting else []

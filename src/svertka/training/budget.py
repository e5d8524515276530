"""What to train within a given time, and how to stay within it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

_FEWEST, _MOST = 4, 30  # epochs
_RESERVE = 0.1  # of the time, for what comes after
_SLACK = 1.05  # so much longer than planned is borne, out of the reserve


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

    def epochs(self, seconds: float, most: int = _MOST) -> int:
        """How many epochs can be done in this time; no more than are worth it."""
        return min(most, int(self.learning(seconds) / self.epoch))

    def learning(self, seconds: float) -> float:
        """What is left of this time for the epochs."""
        return (1 - _RESERVE) * seconds - self.prepare


@dataclass(frozen=True)
class Phase:
    """What learns, and for how long.

    Attributes:
        depth: How many stages are frozen.
        epochs: How many are planned.
        seconds: Within which they are to be done, if a budget was given.
    """

    depth: int
    epochs: int
    seconds: float = 0.0


def choose_phase(options: Sequence[Option], seconds: float) -> Phase | None:
    """Which boundary to learn behind, and for how many epochs, of those in ``options``: the earliest that fits.

    The more stages learn, the more can be gained, as long as they get a few epochs.

    Args:
        options: From the last boundary to the first.
        seconds: What is left.

    Returns:
        None where there is no time.
    """
    fitting = [option for option in options if option.fits(seconds)]
    if not fitting:
        return None
    earliest = fitting[-1]
    return Phase(earliest.depth, earliest.epochs(seconds), earliest.learning(seconds))


@dataclass
class Pace:
    """How many epochs there are, which become fewer where they take longer than was planned: other programs wake up.

    What is decided is kept, so that a run that is cut and resumed ends with the same bits.

    Attributes:
        seconds: For all epochs.
        decided: How many epochs there are in all, by how many of them were done when that was decided; has 0.
        keep: Is called when another decision was made.
    """

    seconds: float
    decided: dict[int, int]
    keep: Callable[[Pace], None]

    def epochs(self, done: int, spent: float) -> int:
        """How many epochs there are in all.

        One at least is left for the learning rate to fall, if any was to come.

        Args:
            done: So many are over.
            spent: Seconds that they took.
        """
        planned = self.decided[max(at for at in self.decided if at <= done)]
        ahead = any(at > done for at in self.decided)  # a run that goes through its epochs again decides nothing anew
        if ahead or not 0 < done < planned:
            return planned
        fewer = max(done + 1, int(_SLACK * self.seconds * done / spent))
        if fewer < planned:
            self.decided[done] = planned = fewer
            self.keep(self)
        return planned

    def over(self, done: int) -> None:
        """Training has ended after so many epochs: whoever goes through them again decides nothing anew."""
        if done not in self.decided:
            self.decided[done] = self.decided[max(self.decided)]
            self.keep(self)

"""What to train within a given time, and how to stay within it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

_FEWEST, _MOST = 4, 30  # epochs
_RESERVE = 0.1  # of the time, for what comes after
_SLACK = 1.05  # so much longer than planned is borne, out of the reserve
_TELLING = 3  # steps of an epoch, from which on their time says how long it will take


@dataclass(frozen=True)
class Option:
    """One boundary between what is frozen and what learns.

    Attributes:
        depth: How many stages are frozen.
        prepare: Seconds to run them over all images, at most.
        epoch: Seconds for an epoch of what learns, validation included.
        judging: Seconds of these that validation takes.
        after: Seconds for what comes after the epochs.
    """

    depth: int
    prepare: float
    epoch: float
    judging: float = 0.0
    after: float = 0.0

    def fits(self, seconds: float) -> bool:
        """Whether enough epochs to be worth it can be done in this time."""
        return self.epochs(seconds) >= _FEWEST

    def epochs(self, seconds: float, most: int = _MOST) -> int:
        """How many epochs can be done in this time; no more than are worth it."""
        return min(most, int(self.learning(seconds) / self.epoch))

    def learning(self, seconds: float) -> float:
        """What is left of this time for the epochs."""
        return (1 - _RESERVE) * seconds - self.prepare

    def anew(self, seconds: float) -> Phase:
        """What learns behind the same boundary where frozen stages are run anew in every epoch, within this time."""
        times = replace(self, prepare=0.0, epoch=self.epoch + self.prepare)
        epochs = min(self.epochs(seconds), int(seconds / times.epoch)) if times.epoch else 1
        return Phase(self.depth, max(1, epochs), max(0.0, seconds), times, pixels=True)


@dataclass(frozen=True)
class Phase:
    """What learns, and for how long.

    Attributes:
        depth: How many stages are frozen.
        epochs: How many are planned.
        seconds: Within which they are to be done, if a budget was given.
        times: What was expected of it.
        pixels: Whether the frozen stages are run anew in every epoch, for want of room or time to remember them.
    """

    depth: int
    epochs: int
    seconds: float = 0.0
    times: Option = field(default=Option(0, 0.0, 0.0), compare=False)
    pixels: bool = False


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
    return Phase(earliest.depth, earliest.epochs(seconds), earliest.learning(seconds), earliest)


@dataclass
class Pace:
    """How many epochs there are, which become fewer where they take longer than was planned: other programs wake up.

    What is decided is kept, so that a run that is cut and resumed ends with the same bits.

    Attributes:
        seconds: For all epochs.
        decided: How many epochs there are in all, by how many of them were done when that was decided; has 0. Both
            are fractions where an epoch is to end before all batches were learnt from.
        keep: Is called when another decision was made.
        times: What was expected.
    """

    seconds: float
    decided: dict[float, float]
    keep: Callable[[Pace], None]
    times: Option = Option(0, 0.0, 0.0)

    def epochs(self, done: int, spent: float) -> float:
        """How many epochs there are in all.

        One at least is begun for the learning rate to fall, if any was to come.

        Args:
            done: So many are over.
            spent: Seconds that they took.
        """
        planned, settled = self._planned(done)
        if settled or not 0 < done < planned:
            return planned
        each = spent / done
        return self._decide(done, max(done + 1, int(_SLACK * self._seconds(each) / each)))

    def within(self, done: int, steps: int, of: int, *, spent: float, learning: float, judging: float | None) -> float:
        """How many epochs there are in all, asked between two steps of one.

        Args:
            done: So many are over.
            steps: So many steps of this one are over.
            of: So many it has.
            spent: Seconds of all that is over.
            learning: Seconds that the steps of this epoch took.
            judging: Seconds that validation took after an earlier one, if there was any.
        """
        at = done + steps / of
        planned, settled = self._planned(at)
        if settled or steps < _TELLING:
            return planned
        a_step = learning / steps
        expected = self.times.epoch - self.times.judging
        if judging is None:
            judging = self.times.judging * max(1.0, a_step * of / expected if expected > 0 else 1.0)
        rest = round((min(done + 1, planned) - at) * of)
        seconds = self._seconds(a_step * of + judging)
        left = seconds - spent - judging
        if rest * a_step <= left + (_SLACK - 1) * self.seconds:
            return planned
        return self._decide(at, done + (steps + max(1, int(left / a_step))) / of)

    def prepared(self, seconds: float) -> None:
        """What was to be prepared is there, after so many seconds; what it took longer is taken from the epochs."""
        self.seconds = max(0.0, min(self.seconds, self.seconds + self.times.prepare - seconds))
        self.times = replace(self.times, prepare=0.0)
        self.keep(self)

    def _planned(self, at: float) -> tuple[float, bool]:
        """What was decided last, and whether a run goes through its epochs again, which decides nothing anew."""
        return self.decided[max(done for done in self.decided if done <= at)], any(done > at for done in self.decided)

    def _seconds(self, epoch: float) -> float:
        """Seconds for the epochs where one takes so long: what comes after them will be as much slower."""
        slower = max(0.0, epoch / self.times.epoch - 1) if self.times.epoch else 0.0
        return self.seconds - slower * self.times.after

    def _decide(self, at: float, epochs: float) -> float:
        planned, _ = self._planned(at)
        if epochs < planned:
            self.decided[at] = planned = epochs
            self.keep(self)
        return planned

    def over(self, done: int) -> None:
        """Training has ended after so many epochs: whoever goes through them again decides nothing anew."""
        if done not in self.decided:
            self.decided[done] = self.decided[max(self.decided)]
            self.keep(self)


class TooSlowError(Exception):
    """What is prepared before the epochs would take too much of the time; says how much."""


class Deadline:
    """Looks on while something is prepared, and ends it where too little time would be left for the epochs.

    Args:
        pace: What was expected, and for how long the epochs are to last.
    """

    def __init__(self, pace: Pace) -> None:
        self._expected = pace.times
        self._seconds = pace.seconds + pace.times.prepare
        self._started = time.perf_counter()
        self._first: tuple[int, float] | None = None

    def look(self, done: int, total: int) -> None:
        """So much of so much is prepared.

        Raises:
            TooSlowError: At this rate, not even one epoch could follow.
        """
        now = time.perf_counter()
        if self._first is None:  # until then, an engine was started
            self._first = done, now
        elif done < total:
            at, then = self._first
            preparing = now - self._started + (now - then) / (done - at) * (total - done)
            slower = max(1.0, preparing / self._expected.prepare if self._expected.prepare else 1.0)
            if preparing + slower * self._expected.epoch > _SLACK * self._seconds:
                raise TooSlowError(
                    f"to run them once would take {preparing:,.0f} s of the {self._seconds:,.0f} s that are left"
                )

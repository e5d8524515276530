"""Which of several ways of learning to take, by what was measured of them and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svertka.tasks.mcnemar import mcnemar

COLUMNS = ("way", "accuracy, 95 % interval", "macro F1", "training", "model", "one image")
"""What `row` has."""

_LATENCY, _SECONDS = 0.01, 10.0
"""Below these nobody gains by less: of an image, and of training."""
_NOISE = 1.2
"""So much longer one training may have taken than another by chance: each is measured once."""
_SURE = 0.05
"""A p-value below which a difference is not taken for chance."""


@dataclass(frozen=True)
class Latency:
    """Seconds from one decoded image to its class, on one thread.

    Attributes:
        median: Of all calls.
        low, high: Between them lies the middle half of all calls.
    """

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Latency:
        """What calls of so many seconds come to."""
        low, median, high = np.percentile(seconds, [25, 50, 75]).tolist()
        return cls(median, low, high)


@dataclass(frozen=True, kw_only=True)
class Way:
    """A way of learning, and what was measured of it.

    Attributes:
        name: What it is called.
        accuracy, low, high: Accuracy with its 95 % interval, as fractions of one.
        macro_f1: Mean of the classes' F1.
        seconds: From decoded images to the model.
        bytes: Size of the model.
        latency: What one image takes.
        right: Which images it has right, ``(N,)``; all ways are judged by the same, in the same order.
    """

    name: str
    accuracy: float
    low: float
    high: float
    macro_f1: float
    seconds: float
    bytes: int
    latency: Latency
    right: NDArray[np.bool_] = field(repr=False, compare=False)

    @property
    def share(self) -> str:
        """Accuracy and its interval, in words."""
        return f"{self.accuracy:.1%} ({100 * self.low:.1f}–{100 * self.high:.1f})"

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        values = {name: value for name, value in vars(self).items() if name != "right"}
        latency = self.latency
        return {
            **values,
            "seconds": round(self.seconds, 3),
            "latency": round(latency.median, 6),
            "latency_low": round(latency.low, 6),
            "latency_high": round(latency.high, 6),
        }


@dataclass(frozen=True)
class Advice:
    """Which way to take.

    Attributes:
        way: It.
        text: It and why, in a line.
    """

    way: Way
    text: str


def advise(ways: Sequence[Way]) -> Advice:
    """Advice on these ways, at least one.

    A way that McNemar's test cannot tell from the most accurate one is not surely worse. Of these the one is taken that
    costs least, by latency times training time: twice the one is as bad as twice the other. A difference within the
    spread of what was measured is none, and what costs alike is taken by its accuracy.
    """
    best = max(ways, key=lambda way: way.accuracy)
    near = [way for way in ways if mcnemar(best.right, way.right) >= _SURE]
    taken = min(near, key=lambda way: (_cost(way, near), -way.accuracy))
    text = (
        f"Take {taken.name}: {taken.share}, {duration(taken.seconds)} to train, {size(taken.bytes)}, "
        f"{duration(taken.latency.median)} an image"
    )
    others = [way for way in near if way is not taken]
    if taken.accuracy < best.accuracy:
        text += f"; {best.name} has {best.share}, which is not surely more."
    elif len(near) == len(ways) > 1:
        text += f"; but none of the {len(ways)} is surely better or worse than it on so few images."
    elif others:
        no_less = "costs no less" if len(others) == 1 else "cost no less"
        text += f"; {_listed([way.name for way in others])} may be as good, but {no_less}."
    elif len(ways) > 1:
        second = max((way for way in ways if way is not taken), key=lambda way: way.accuracy)
        text += f"; it is surely better than all others, of which {second.name} comes next with {second.share}."
    else:
        text += "; there is nothing to hold it against."
    return Advice(taken, text)


def _cost(way: Way, others: Sequence[Way]) -> float:
    # Each counts as the least of those that it cannot be told from.
    latency = min(other.latency.median for other in others if other.latency.high >= way.latency.low)
    seconds = min(other.seconds for other in others if _NOISE * other.seconds >= way.seconds)
    return max(latency, _LATENCY) * max(seconds, _SECONDS)


def row(way: Way) -> list[str]:
    """A way's line of the table, by `COLUMNS`."""
    return [
        way.name,
        way.share,
        f"{way.macro_f1:.3f}",
        duration(way.seconds),
        size(way.bytes),
        duration(way.latency.median),
    ]


def duration(seconds: float) -> str:
    """Seconds in two or three digits and a unit that suits them."""
    if seconds < 1:
        return f"{1000 * seconds:.1f} ms" if seconds < 0.01 else f"{1000 * seconds:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def size(count: int) -> str:
    """Bytes in a unit that suits them."""
    unit, name = next(((unit, name) for unit, name in ((1e9, "GB"), (1e6, "MB")) if count >= unit), (1e3, "kB"))
    return f"{count / unit:.1f} {name}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"

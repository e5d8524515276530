"""Samplers: which samples a batch has, as pure functions of (seed, epoch, targets), and which process takes which."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from svertka.data.chance import permutation
from svertka.errors import UserError
from svertka.wording import counted

Indices = NDArray[np.int64]

_CLASSES, _SAMPLES, _WAYS, _SHOTS = range(4)  # what chance is asked for
_MOST_WINDOWS = 1 << 27


class Sampler(Protocol):
    """Says which samples are in which batch of an epoch; a subclass need not say who takes which."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of batches an epoch."""

    @abstractmethod
    def size(self, number: int) -> int:
        """Samples of this batch of an epoch, over all processes."""

    @abstractmethod
    def batches(self, epoch: int) -> Sequence[Indices]:
        """The batches of an epoch, each for all processes together."""

    def shares(self, epoch: int, rank: int, world: int) -> Sequence[tuple[Indices, float]]:
        """What a process takes of the batches of an epoch: every ``world``-th sample from the ``rank``-th on.

        All processes must take the same number of steps: one left without a sample takes any, at no weight.

        Returns:
            Of each batch, the samples, and what their mean loss counts for in the mean over all processes: 1 with equal
            shares.
        """
        found = []
        for whole in self.batches(epoch):
            mine = whole[rank::world]
            found.append((mine if len(mine) else whole[:1], len(mine) * world / len(whole)))
        return found


@dataclass(frozen=True)
class Shuffled(Sampler):
    """Every sample once, in an order that depends on (seed, epoch) alone.

    Attributes:
        count: Number of samples.
        batch: Samples a batch; the last one may have fewer.
        seed: Of the run.
        least: A last batch with fewer samples than this joins the one before it.
    """

    count: int
    batch: int
    seed: int = 0
    least: int = 1

    def __len__(self) -> int:
        """See `Sampler`."""
        whole, rest = divmod(self.count, self.batch)
        return whole + (rest > 0 and not (rest < self.least and whole > 0))

    def size(self, number: int) -> int:
        """See `Sampler.size`."""
        return self.count - number * self.batch if number + 1 == len(self) else self.batch

    def batches(self, epoch: int) -> Sequence[Indices]:
        """See `Sampler.batches`."""
        order = permutation(self.count, self.seed, epoch)
        return np.split(order, range(self.batch, self.batch * len(self), self.batch))


@dataclass(frozen=True, eq=False)
class PerClass(Sampler):
    """Batches of P classes with K samples of each, class by class, for losses over pairs and triplets.

    An epoch has as many batches as samples would fill once. Classes come in rounds, each at most once a round. A class
    takes turns among its samples; one with fewer than K samples repeats them within a batch. Samples with a negative
    target have no class, and are left out.

    A. Hermans, L. Beyer, B. Leibe, "In Defense of the Triplet Loss for Person Re-Identification", 2017, section 2.

    Attributes:
        targets: The class of each sample, ``(N,)`` whole numbers.
        classes: P.
        samples: K.
        seed: Of the run.

    Raises:
        UserError: There are fewer than P classes, or targets are no classes.
    """

    targets: NDArray[np.generic]
    classes: int
    samples: int
    seed: int = 0

    def __post_init__(self) -> None:
        """Check that there are enough classes."""
        _check_positive("classes and samples of a batch", self.classes, self.samples)
        if len(self._members) < self.classes:
            raise UserError(
                f"a batch is to have {counted(self.classes, 'class', 'classes')}, and there are "
                f"{len(self._members)} to learn from",
                mend="give a smaller --batch, or more classes",
            )

    @cached_property
    def _members(self) -> list[Indices]:
        return _by_class(self.targets)

    def __len__(self) -> int:
        """See `Sampler`."""
        return max(1, sum(map(len, self._members)) // self.size(0))

    def size(self, number: int) -> int:
        """See `Sampler.size`."""
        del number
        return self.classes * self.samples

    def batches(self, epoch: int) -> Sequence[Indices]:
        """See `Sampler.batches`."""
        members = self._members
        orders = [members[c][permutation(len(members[c]), self.seed, epoch, _SAMPLES, c)] for c in range(len(members))]
        visits = [0] * len(members)
        a_round = len(members) // self.classes
        found = []
        for number in range(len(self)):
            if number % a_round == 0:
                order = permutation(len(members), self.seed, epoch, _CLASSES, number // a_round)
            begin = number % a_round * self.classes
            chosen = []
            for c in order[begin : begin + self.classes].tolist():
                places = (visits[c] * self.samples + np.arange(self.samples)) % len(orders[c])
                chosen.append(orders[c][places])
                visits[c] += 1
            found.append(np.concatenate(chosen))
        return found


@dataclass(frozen=True, eq=False)
class Episodes(Sampler):
    """Batches that are N-way K-shot episodes: N classes, of each K samples that are shown, and some that are asked for.

    In a batch come the N × K samples that are shown, class by class, then the N × Q that are asked for, in the same
    order of classes. None is there twice, so classes with fewer than K + Q samples are in no episode.

    O. Vinyals, C. Blundell, T. Lillicrap, K. Kavukcuoglu, D. Wierstra, "Matching Networks for One Shot Learning", 2016.

    Attributes:
        targets: The class of each sample, ``(N,)`` whole numbers; negative for none.
        ways: N.
        shots: K.
        queries: Q.
        count: Episodes an epoch.
        seed: Of the run.

    Raises:
        UserError: There are fewer than N classes with so many samples, or targets are no classes.
    """

    targets: NDArray[np.generic]
    ways: int
    shots: int
    queries: int
    count: int
    seed: int = 0

    def __post_init__(self) -> None:
        """Check that there are enough classes."""
        _check_positive("ways, shots, queries and number of episodes", self.ways, self.shots, self.queries, self.count)
        if len(self._members) < self.ways:
            raise UserError(
                f"an episode is of {counted(self.ways, 'class', 'classes')} with {self.shots + self.queries} samples "
                f"each, and there are {len(self._members)} with so many",
                mend="give fewer ways, shots or queries, or more samples",
            )

    @cached_property
    def _members(self) -> list[Indices]:
        return [members for members in _by_class(self.targets) if len(members) >= self.shots + self.queries]

    def __len__(self) -> int:
        """See `Sampler`."""
        return self.count

    def size(self, number: int) -> int:
        """See `Sampler.size`."""
        del number
        return self.ways * (self.shots + self.queries)

    def batches(self, epoch: int) -> Sequence[Indices]:
        """See `Sampler.batches`."""
        members, found = self._members, []
        for number in range(self.count):
            chosen = permutation(len(members), self.seed, epoch, _WAYS, number)[: self.ways].tolist()
            rows = np.stack(
                [
                    members[c][permutation(len(members[c]), self.seed, epoch, _SHOTS, number, c)][
                        : self.shots + self.queries
                    ]
                    for c in chosen
                ]
            )
            found.append(np.concatenate([rows[:, : self.shots].ravel(), rows[:, self.shots :].ravel()]))
        return found


@dataclass(frozen=True, eq=False)
class Windows(Sampler):
    """Windows of long series, each once an epoch, shuffled: a sample of a batch is a window, by its number.

    Inputs that hold this sampler find in ``pairs`` which series a number is of, and where it begins there.

    Attributes:
        lengths: Of the series.
        window: Length of a window; a shorter series has one window that begins at 0.
        stride: From the beginning of a window to the next; the last one ends with its series.
        batch: Windows a batch.
        seed: Of the run.

    Raises:
        UserError: There would be too many windows.
    """

    lengths: Sequence[int]
    window: int
    stride: int
    batch: int
    seed: int = 0

    def __post_init__(self) -> None:
        """Check that the windows can be counted."""
        _check_positive("window, stride and batch", self.window, self.stride, self.batch)
        if (count := sum(map(self._count, self.lengths))) > _MOST_WINDOWS:
            most = f"of {_MOST_WINDOWS:,} at most"
            raise UserError(f"the series have {count:,} windows, {most}", mend="give a larger stride")

    def _count(self, length: int) -> int:
        return 1 + -(-max(0, length - self.window) // self.stride)

    @cached_property
    def pairs(self) -> NDArray[np.int64]:
        """Of every window, which series it is of and where it begins, ``(M, 2)``."""
        found = [np.zeros((0, 2), np.int64)]
        for sample, length in enumerate(self.lengths):
            starts = np.minimum(np.arange(self._count(length)) * self.stride, max(0, length - self.window))
            found.append(np.stack([np.full(len(starts), sample), starts], axis=1))
        return np.concatenate(found)

    @property
    def samples(self) -> Indices:
        """Which series each window is of."""
        return self.pairs[:, 0]

    @cached_property
    def _order(self) -> Shuffled:
        return Shuffled(len(self.pairs), self.batch, self.seed)

    def __len__(self) -> int:
        """See `Sampler`."""
        return len(self._order)

    def size(self, number: int) -> int:
        """See `Sampler.size`."""
        return self._order.size(number)

    def batches(self, epoch: int) -> Sequence[Indices]:
        """See `Sampler.batches`."""
        return self._order.batches(epoch)


def _by_class(targets: NDArray[np.generic]) -> list[Indices]:
    if targets.ndim != 1 or not np.issubdtype(targets.dtype, np.integer):
        raise UserError("batches go by classes here, and the samples do not have one class each")
    numbers = targets.astype(np.int64)
    return [np.flatnonzero(numbers == number) for number in np.unique(numbers[numbers >= 0])]


def _check_positive(what: str, *numbers: int) -> None:
    if min(numbers) < 1:
        raise UserError(f"{what} are {', '.join(map(str, numbers))}", mend="give at least 1 of each")

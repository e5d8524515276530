"""Batches: which samples, in which order, and what the network gets of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from svertka.data.augmentation.augment import augment
from svertka.data.augmentation.mixing import Mixing
from svertka.data.augmentation.mosaic import Mosaic
from svertka.data.batching.samplers import Sampler, Shuffled
from svertka.data.batching.workers import from_workers
from svertka.data.cache.images import Images
from svertka.runtime.preprocess import Preprocess


class Batch(NamedTuple):
    """What one step gets.

    Attributes:
        inputs: Of the network, float32, first axis N: ``(N, C, H, W)`` of images.
        targets: As the task made them, first axis N.
        indices: Which samples of their part these are, ``(N,)`` int64.
        weight: What this process's mean loss counts for in the mean over all processes: 1 with equal shares.
    """

    inputs: Tensor
    targets: Tensor
    indices: Tensor
    weight: float


class _Key(NamedTuple):
    epoch: int
    indices: NDArray[np.int64]
    weight: float


class Inputs(Protocol):
    """What a network gets of the samples of a part."""

    def __len__(self) -> int: ...

    def take(self, indices: NDArray[np.int64], epoch: int) -> NDArray[np.float32]:
        """The inputs of these samples in this epoch, first axis a sample."""
        ...


@runtime_checkable
class Paired(Protocol):
    """Inputs whose targets lie over them and move with them."""

    def pair(
        self, indices: NDArray[np.int64], epoch: int, targets: NDArray[np.generic]
    ) -> tuple[NDArray[np.float32], NDArray[np.generic]]:
        """The inputs of these samples in this epoch, and their targets laid over them; first axis a sample.

        Args:
            indices: Which samples.
            epoch: Of training.
            targets: What the task made of their annotations.
        """
        ...


@dataclass(frozen=True)
class Pixels:
    """Images, augmented and preprocessed: ``(N, C, H, W)``.

    Attributes:
        images: All images of the data set.
        positions: Where the samples of this part stand among them.
        preprocess: Its arithmetic is applied here; the geometry was applied when decoding.
        augmentations: Names, in order; empty for a part that is judged by.
        seed: Of the run.
    """

    images: Images
    positions: NDArray[np.int64]
    preprocess: Preprocess
    augmentations: Sequence[str] = ()
    seed: int = 0

    def __len__(self) -> int:
        return len(self.positions)

    def take(self, indices: NDArray[np.int64], epoch: int) -> NDArray[np.float32]:
        """See `Inputs.take`."""
        pixels = self.images.take(self.positions[indices])
        return self.preprocess.normalise(
            augment(pixels, self.augmentations, seed=self.seed, epoch=epoch, indices=indices)
        )


@dataclass(frozen=True)
class Part(Dataset[Batch]):
    """The samples of one part of a split.

    Attributes:
        inputs: What the network gets of each.
        targets: Target of each.
        seed: Of the run; the order of an epoch depends on it.
        mixing: How samples are mixed in training; None for as they are.
        mosaic: How samples with boxes are laid side by side in training; None for as they are.
    """

    inputs: Inputs
    targets: NDArray[np.generic]
    seed: int = 0
    mixing: Mixing | None = None
    mosaic: Mosaic | None = None

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, key: _Key) -> Batch:
        inputs, targets = self._take(key.indices, key.epoch)
        if self.mosaic:
            others = self.mosaic.partners(key.indices, key.epoch, len(self))
            pairs = [(inputs, targets), *(self._take(chosen, key.epoch) for chosen in others)]
            inputs, targets = self.mosaic.lay(pairs, key.indices, key.epoch)
        if self.mixing:
            mates = self.mixing.partners(key.indices, key.epoch, len(self))
            shares = self.mixing.mix(inputs, self.inputs.take(mates, key.epoch), key.indices, key.epoch)
            targets = self.mixing.targets(targets, self.targets[mates], shares)
        return Batch(torch.from_numpy(inputs), torch.from_numpy(targets), torch.from_numpy(key.indices), key.weight)

    def _take(self, indices: NDArray[np.int64], epoch: int) -> tuple[NDArray[np.float32], NDArray[np.generic]]:
        targets = self.targets[indices]
        if isinstance(self.inputs, Paired):
            return self.inputs.pair(indices, epoch, targets)
        return self.inputs.take(indices, epoch), targets


@dataclass(frozen=True)
class Loader:
    """Hands out the batches of a part.

    Attributes:
        part: The samples.
        batch: Samples a batch, over all processes.
        workers: Processes that prepare batches beside this one; they change nothing but the speed.
        rank, world: This process is the ``rank``-th of so many, and takes its share of each batch.
        least: Samples that every process needs for a training step; a last batch with fewer joins the one before it.
        sampler: Says which samples are in a batch to learn from; None for each once an epoch, shuffled.
    """

    part: Part
    batch: int
    workers: int = 0
    rank: int = 0
    world: int = 1
    least: int = 1
    sampler: Sampler | None = None

    @cached_property
    def _sampler(self) -> Sampler:
        # A process may go without a sample of its own, unless its step needs several.
        least = self.least * self.world if self.least > 1 else 1
        return Shuffled(len(self.part), self.batch, self.part.seed, least) if self.sampler is None else self.sampler

    @property
    def samples(self) -> int:
        """Number of samples, over all processes."""
        return len(self.part)

    @property
    def batches(self) -> int:
        """Number of batches an epoch."""
        return len(self._sampler)

    @property
    def learnt(self) -> int:
        """Number of samples that an epoch learns from, over all processes: a sampler may leave some out, or repeat."""
        return sum(map(self.size, range(self.batches)))

    def size(self, number: int) -> int:
        """Samples of this batch of an epoch, over all processes."""
        return self._sampler.size(number)

    def training(self, epoch: int, skip: int = 0) -> Iterator[Batch]:
        """One epoch, from its ``skip``-th batch on."""
        shares = self._sampler.shares(epoch, self.rank, self.world)
        return self._load([_Key(epoch, *share) for share in shares[skip:]])

    def in_order(self) -> Iterator[Batch]:
        """All samples once, in order."""
        indices = np.arange(self.rank, len(self.part), self.world)
        batch = min(self.batch, getattr(self.part.inputs, "at_once", self.batch))
        starts = range(0, len(indices), batch)
        return self._load([_Key(0, indices[start : start + batch], 1.0) for start in starts])

    def _load(self, keys: list[_Key]) -> Iterator[Batch]:
        if self.workers == 0:
            return map(self.part.__getitem__, keys)
        return from_workers(self.part, keys, self.workers)

    def bytes_a_batch(self) -> int:
        """Bytes of a whole batch, over all processes, as workers hand it over."""
        one = self.part[_Key(0, np.zeros(1, np.int64), 1.0)]
        return self.batch * sum(tensor.nbytes for tensor in one[:3])

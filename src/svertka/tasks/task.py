"""What a task is: the contract between what is learnt and the loop that learns it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from svertka.exhibits import Exhibit


@dataclass(frozen=True)
class Evaluation:
    """What came of judging a network by one part of the data.

    Attributes:
        metrics: Metric by name, fractions of one but for ``loss``.
        details: More, as JSON: per class, confusions.
        arrays: By sample, in the order of the part; for pictures of the worst.
    """

    metrics: Mapping[str, float]
    details: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]]


class Score(ABC):
    """Gathers what is needed to evaluate, batch by batch; memory a sample is a few numbers."""

    @abstractmethod
    def update(self, output: Tensor, targets: Tensor, indices: Tensor) -> None:
        """Take in one batch."""

    @abstractmethod
    def arrays(self) -> dict[str, NDArray[Any]]:
        """What was gathered, first axis a sample, with ``indices``: processes put theirs together."""

    @abstractmethod
    def evaluate(self, arrays: Mapping[str, NDArray[Any]]) -> Evaluation:
        """The evaluation of all that was gathered, by all processes, in the order of ``indices``."""


class Task(ABC):
    """What an annotation becomes, what a step computes, which metrics count."""

    name: str
    """As the card names it; `svertka.runtime.decoders` has the decoder of that name."""

    classes: tuple[str, ...]

    @abstractmethod
    def targets(self, labels: Sequence[str]) -> NDArray[np.generic]:
        """Targets from annotations, first axis a sample."""

    @abstractmethod
    def losses(self, output: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Loss terms by name, each a mean over the batch. The loop sums them."""

    def step(self, net: nn.Module, images: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """What one training step computes from a batch: one forward pass and the loss terms."""
        return self.losses(net(images), targets)

    @abstractmethod
    def score(self) -> Score:
        """A fresh score."""

    @abstractmethod
    def rank(self, metrics: Mapping[str, float]) -> tuple[float, ...]:
        """What chooses the best epoch: the larger, the better."""

    @abstractmethod
    def exhibits(self, evaluation: Evaluation) -> list[Exhibit]:
        """Tables and pictures-to-be of an evaluation for the report."""

    @abstractmethod
    def examples(self, evaluation: Evaluation, most: int) -> dict[str, list[tuple[int, str, str]]]:
        """Samples worth looking at: by heading, at most ``most`` of (index, caption, detail)."""

"""What the training loop is handed: batches, somebody to tell, and somebody who looks on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from torch import Tensor, nn

from svertka.tasks.task import Evaluation, Task
from svertka.training.updates import OwnedUpdate


class TrainingBatch(NamedTuple):
    """What the loop reads of a batch; `svertka.data.batching.batches.Batch` is one."""

    inputs: Tensor
    targets: Tensor
    indices: Tensor
    weight: float


class Batches(Protocol):
    """Where batches come from; `svertka.data.batching.batches.Loader` is one."""

    @property
    def samples(self) -> int:
        """Number of samples, over all processes."""

    @property
    def batches(self) -> int:
        """Number of batches an epoch."""

    def size(self, number: int) -> int:
        """Samples of this batch of an epoch, over all processes."""

    def training(self, epoch: int, skip: int = 0) -> Iterator[Any]:
        """One epoch, from its ``skip``-th batch on."""

    def in_order(self) -> Iterator[Any]:
        """All samples once, in order."""


class Watcher(Protocol):
    """Is told how training goes, and may ask it to stop."""

    def step(self, epoch: int, batch: int, batches: int, losses: dict[str, float]) -> None:
        """After every batch."""

    def epoch(self, row: dict[str, float]) -> None:
        """After every epoch, with its line of the history."""

    def shortened(self, epochs: float) -> None:
        """There will be only so many epochs in all; of the last one maybe a part."""

    def warn(self, text: str) -> None:
        """Something the user should know."""

    def stopping(self) -> bool:
        """Whether to save and stop now."""


class Observer:
    """Looks on while a network learns, and must not change a bit of what it learns. This one does not look.

    `svertka.training.doctor.Doctor` does.
    """

    def attach(
        self, net: nn.Module, task: Task, updates: Sequence[OwnedUpdate], *, samples: int, steps_an_epoch: int
    ) -> None:
        """Before all else: what learns, by which updates, and what is planned."""

    def shortened(self, epochs: int, steps: int) -> None:
        """There will be only so many epochs and steps in all."""

    def before(self, step: int, update: str = "") -> None:
        """Before an update of a step, counted from 0 over the whole run; what follows up to `after` is of it."""

    def batch(self, inputs: Tensor, targets: Tensor, losses: Mapping[str, float], loading: float) -> None:
        """After the backward pass of a batch: what went in, the loss terms, and how long it was waited for, in s."""

    def gradients(self) -> None:
        """When the gradients of an update are complete, before they are clipped."""

    def after(self, lr: float) -> None:
        """When the weights have moved, at this learning rate."""

    def judging(self, inputs: Tensor) -> None:
        """Before samples of validation are judged: what the network gets of them."""

    def epoch(self, row: Mapping[str, float], evaluation: Evaluation | None) -> None:
        """After an epoch: its line of the history, and what came of validation, if anything was held out."""

    def ended(self, trouble: str = "") -> None:
        """When training is over, or ``trouble`` has ended it."""

    def state(self) -> dict[str, Any]:
        """What it has seen, as JSON; a checkpoint keeps it."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave."""

"""The test of the wiring: a network that can learn at all learns one batch by heart."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from svertka.errors import UserError
from svertka.tasks.task import Task
from svertka.training.contracts import TrainingBatch
from svertka.training.diagnoses.diagnosing import diagnose
from svertka.training.doctor import Doctor
from svertka.training.loop import Training
from svertka.training.machine import Machine
from svertka.training.recipe import Recipe
from svertka.training.signals import Background
from svertka.training.updates import check_one_update
from svertka.wording import counted

_IMAGES = 32  # at most
_STEPS = 400  # at each learning rate
_RATES = (1e-3, 1e-2, 1e-4)
_NEAR_ZERO = 0.05  # of the loss at the start
_TELLING = (
    "wrong_loss",
    "everything_frozen",
    "unnormalised_input",
    "doubly_normalised_input",
    "exploding_gradients",
    "saturated_units",
    "dead_relus",
    "vanishing_gradients",
)
_PLAIN = {
    "optimizer": "adam",
    "schedule": "constant",
    "accumulate": 1,
    "weight_decay": 0.0,
    "l1": 0.0,
    "weight_elimination": 0.0,
    "clip": 0.0,
    "ema": 0.0,
    "warmup": 0.0,
    "early_stop": 0,
    "augment": (),
}


@dataclass(frozen=True)
class Wiring:
    """What came of learning one batch.

    Attributes:
        ok: Whether the loss came near zero.
        images: In the batch.
        losses: By step, at the learning rate that came farthest.
        lr: That rate.
        faults: What is wrong, the likeliest first; empty if nothing is.
    """

    ok: bool
    images: int
    losses: tuple[float, ...]
    lr: float
    faults: tuple[str, ...]


class _EnoughError(Exception):
    pass


class _Watch:
    """Notes the losses, and ends the training once they are near zero."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def step(self, epoch: int, batch: int, batches: int, losses: dict[str, float]) -> None:
        del epoch, batch, batches
        self.losses.append(sum(losses.values()))
        if abs(self.losses[-1]) < _NEAR_ZERO * abs(self.losses[0]):
            raise _EnoughError

    def epoch(self, row: dict[str, float]) -> None:
        del row

    def warn(self, text: str) -> None:
        del text

    def shortened(self, epochs: float) -> None:
        del epochs

    def stopping(self) -> bool:
        return False


class _OneBatch:
    def __init__(self, batch: Any) -> None:
        self.batch = TrainingBatch(batch.inputs[:_IMAGES], batch.targets[:_IMAGES], batch.indices[:_IMAGES], 1.0)

    @property
    def samples(self) -> int:
        return len(self.batch.inputs)

    @property
    def batches(self) -> int:
        return 1

    def size(self, number: int) -> int:
        del number
        return self.samples

    def training(self, epoch: int, skip: int = 0) -> Iterator[Any]:
        del epoch
        return iter([self.batch][skip:])

    def in_order(self) -> Iterator[Any]:
        return iter([self.batch])


def check_wiring(
    net: nn.Module,
    task: Task,
    batch: Any,
    recipe: Recipe,
    *,
    machine: Machine,
    background: Background,
    advance: Callable[[int, int], None] | None = None,
) -> Wiring:
    """Let copies of a network learn one batch without dropout, decay or augmentation; the network stays as it is.

    Args:
        net: The network.
        task: What to learn, without smoothing of labels.
        batch: What from; at most 32 samples of it.
        recipe: Says the layout; what regularises is left out.
        machine: Devices and precision.
        background: See there.
        advance: Is told how many learning rates of how many are tried.

    Raises:
        UserError: The task has several updates.
    """
    check_one_update(net, task, "--check-wiring")
    one = _OneBatch(batch)
    best: Wiring | None = None
    for number, rate in enumerate(_RATES, 1):
        plain = recipe.changed({**_PLAIN, "lr": rate, "epochs": _STEPS, "batch": one.samples, "label_smoothing": 0.0})
        copied = _undisturbed(copy.deepcopy(net))
        watch, doctor = _Watch(), Doctor(background, None, lambda _: None)
        training = Training(
            copied, task, one, None, plain, machine=machine, checkpoints=None, watcher=watch, observer=doctor
        )
        broke = ""
        try:
            training.run()
        except _EnoughError:
            best = Wiring(True, one.samples, tuple(watch.losses), rate, ())
        except UserError as error:
            broke = error.what
        if best is None or (not best.ok and min(watch.losses, default=0.0) < min(best.losses, default=0.0)):
            faults = _faults(doctor, one.batch, broke, watch.losses)
            best = Wiring(False, one.samples, tuple(watch.losses), rate, faults)
        if advance:
            advance(len(_RATES) if best.ok else number, len(_RATES))
        if best.ok:
            break
    assert best is not None
    return best


def _undisturbed(net: nn.Module) -> nn.Module:
    for layer in net.modules():
        if isinstance(layer, nn.Dropout | nn.Dropout1d | nn.Dropout2d | nn.AlphaDropout):
            layer.p = 0.0
    return net


def _faults(doctor: Doctor, batch: TrainingBatch, broke: str, losses: list[float]) -> tuple[str, ...]:
    found = [diagnosis.line() for diagnosis in diagnose(doctor.signals) if diagnosis.kind in _TELLING]
    found += _contradictions(batch.inputs, batch.targets)
    if broke:
        found.append(broke)
    if not found:
        found.append(
            f"the loss fell from {losses[0]:.3g} to {min(losses):.3g} only: the network is too small for "
            f"{counted(len(batch.inputs), 'image')}, or does not see what tells them apart"
        )
    return tuple(found)


def _contradictions(images: Tensor, targets: Tensor) -> list[str]:
    labels = defaultdict(set)
    for image, target in zip(images, targets, strict=True):
        labels[image.contiguous().numpy().tobytes()].add(target.contiguous().numpy().tobytes())
    if len(labels) == 1 and len(images) > 1:
        return ["all images of the batch are the same to the network: look at the preprocessing"]
    count = sum(len(told) > 1 for told in labels.values())
    return (
        [f"{counted(count, 'image of the batch is', 'images of the batch are')} there twice, with different labels"]
        if count
        else []
    )

"""Small things to learn without images: points about a place, and a network of two sides that imitates them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from svertka.annotations import Annotation
from svertka.data.batching.batches import Loader, Part
from svertka.exhibits import Exhibit
from svertka.runtime.card import Card
from svertka.runtime.preprocess import Preprocess
from svertka.tasks.task import Choices, Evaluation, Output, Score, Task, Update
from svertka.training.checkpoint import Checkpoints
from svertka.training.contracts import Observer
from svertka.training.loop import Training
from svertka.training.machine import Machine
from svertka.training.recipe import Recipe

PLACE = (2.0, -1.0)
_NOISE = 3


@dataclass(frozen=True)
class Held:
    """Inputs as they lie here."""

    values: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.values)

    def take(self, indices: NDArray[np.int64], epoch: int) -> NDArray[np.float32]:
        del epoch
        return self.values[indices]


def points(count: int, seed: int = 0) -> NDArray[np.float32]:
    return (np.random.default_rng(seed).normal(0, 0.3, (count, 2)) + PLACE).astype(np.float32)


class Gan(nn.Module):
    """Makes points of noise; its other side tells them from real ones."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = nn.Sequential(nn.Linear(_NOISE, 8), nn.ReLU(), nn.Linear(8, 2))
        self.critic = nn.Sequential(nn.Linear(2, 16), nn.LeakyReLU(0.2), nn.Dropout(0.1), nn.Linear(16, 1))

    def forward(self, noise: Tensor) -> Tensor:
        made: Tensor = self.generator(noise)
        return made


class Plain(Task):
    """A task of which nothing is shown."""

    name = "toy"
    classes: tuple[str, ...] = ()
    exclusive = False
    headline = ("score",)

    @classmethod
    def learnt_from(
        cls, labels: Sequence[Annotation], classes: Sequence[str], preprocess: Preprocess, choices: Choices
    ) -> Self:
        raise NotImplementedError

    @classmethod
    def of_card(cls, card: Card) -> Self:
        raise NotImplementedError

    def targets(self, labels: Sequence[Annotation]) -> NDArray[Any]:
        return np.zeros(len(labels), np.int64)

    def losses(self, output: Output, targets: Tensor) -> dict[str, Tensor]:
        return {"error": F.mse_loss(output, targets)}

    def score(self) -> Score:
        return Near()

    def rank(self, metrics: Mapping[str, float]) -> tuple[float, ...]:
        return (metrics["score"],)

    def sentence(self, evaluation: Evaluation, part: str) -> str:
        raise NotImplementedError

    def exhibits(self, evaluation: Evaluation) -> list[Exhibit]:
        raise NotImplementedError

    def examples(self, evaluation: Evaluation, most: int) -> dict[str, list[tuple[int, str, str]]]:
        raise NotImplementedError


class Near(Score):
    """How near the mean of what was made comes to the place."""

    def __init__(self) -> None:
        self.rows: list[NDArray[Any]] = []
        self.indices: list[NDArray[Any]] = []

    def update(self, output: Output, targets: Tensor, indices: Tensor) -> None:
        del targets
        self.rows.append(output.float().numpy())
        self.indices.append(indices.numpy())

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {"made": np.concatenate(self.rows), "indices": np.concatenate(self.indices)}

    def evaluate(self, arrays: Mapping[str, NDArray[Any]]) -> Evaluation:
        off = float(np.linalg.norm(arrays["made"].mean(axis=0) - PLACE))
        return Evaluation({"score": -off}, {}, arrays)


class Imitation(Plain):
    """Two updates: the critic learns to tell, then the generator learns to mislead it."""

    name = "imitation"
    net_kind = "generator"

    def __init__(self, **generator: Any) -> None:
        self.generator = generator

    def trial_targets(self, net: nn.Module, inputs: Tensor) -> Tensor:
        net.eval()
        return torch.zeros(len(inputs))

    def run(self, forward: Any, inputs: Tensor, targets: Tensor) -> Output:
        del targets
        return forward(torch.randn(len(inputs), _NOISE))

    def updates(self, net: nn.Module) -> tuple[Update, ...]:
        del net
        return (
            Update("critic", ("critic",), self._critic, lr=0.01, schedule="constant"),
            Update("generator", ("generator",), self._generator, **self.generator),
        )

    def _critic(self, net: nn.Module, inputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        del targets
        made = net.generator(torch.randn(len(inputs), _NOISE))
        real, false = net.critic(inputs), net.critic(made)
        return {"real": F.softplus(-real).mean(), "false": F.softplus(false).mean()}

    def _generator(self, net: nn.Module, inputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        del targets
        return {"misled": F.softplus(-net.critic(net(torch.randn(len(inputs), _NOISE)))).mean()}


def loader(values: NDArray[np.float32], batch: int, targets: NDArray[Any] | None = None, **options: Any) -> Loader:
    told = np.zeros(len(values), np.int64) if targets is None else targets
    return Loader(Part(Held(values), told, 0), batch, **options)


def training(
    net: nn.Module,
    task: Task,
    train: Loader,
    val: Loader | None = None,
    *,
    folder: Path | None = None,
    watch: Any,
    observer: Observer | None = None,
    **changes: Any,
) -> Training:
    fixed = {"threads": 1, "precision": "fp32", "layout": "channels_first", "device": "cpu"}
    plain = {"optimizer": "adam", "lr": 0.01, "schedule": "constant", "weight_decay": 0.0, "epochs": 3}
    recipe = Recipe().changed({**plain, **fixed, "batch": train.batch, **changes})
    return Training(
        net,
        task,
        train,
        val,
        recipe,
        machine=Machine(recipe),
        checkpoints=Checkpoints(folder) if folder else None,
        watcher=watch,
        observer=observer,
    )


def imitating(watch: Any, *, task: Task | None = None, count: int = 44, batch: int = 8, **options: Any) -> Training:
    torch.manual_seed(0)
    return training(
        Gan(), task or Imitation(), loader(points(count), batch), loader(points(16, 1), 8), watch=watch, **options
    )

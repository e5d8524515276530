"""Trainings that one process does and several share. As a script, one of several: ``shared.py CASE FILE``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent))
import toys

from svertka.tasks.task import Update
from svertka.training.loop import Training


class Quiet:
    """Is told how it goes, and says nothing."""

    def step(self, epoch: int, batch: int, batches: int, losses: dict[str, float]) -> None: ...
    def epoch(self, row: dict[str, float]) -> None: ...
    def warn(self, text: str) -> None: ...
    def shortened(self, epochs: float) -> None: ...

    def stopping(self) -> bool:
        return False


class Pairs(toys.Plain):
    """Samples of a class are to be alike, and unlike all others of their batch."""

    name = "pairs"
    whole_batch = True

    def losses(self, output: Any, targets: Tensor) -> dict[str, Tensor]:
        near = F.normalize(output) @ F.normalize(output).T
        alike = (targets[:, None] == targets).float()
        return {"pairs": -(near.log_softmax(1) * alike / alike.sum(1, keepdim=True)).sum(1).mean()}


class Sides(toys.Plain):
    """Two updates, one through what the other owns."""

    def updates(self, net: nn.Module) -> tuple[Update, ...]:
        del net
        return (
            Update("first", ("0",), lambda net, inputs, _: {"far": (net(inputs) - 1).square().mean()}),
            Update("second", ("2",), lambda net, inputs, _: {"near": net[2](net[1](net[0](inputs))).square().mean()}),
        )


def made(case: str) -> Training:
    """A training, ready to go; its last batch has one sample."""
    torch.manual_seed(0)
    targets = np.arange(17) % 3
    train = toys.loader(toys.points(17), 8, targets, rank=_rank(), world=_world())
    recipe = {"epochs": 3, "optimizer": "momentum", "l1": 1e-3, "clip": 1.0}
    if case == "pairs":
        return toys.training(nn.Linear(2, 3), Pairs(), train, watch=Quiet(), **recipe)
    net = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))
    return toys.training(net, Sides(), train, watch=Quiet(), **recipe, accumulate=2)


def _world() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))


def _rank() -> int:
    return int(os.environ.get("RANK", "0"))


if __name__ == "__main__":
    outcome = made(sys.argv[1]).run()
    if _rank() == 0:
        losses = [torch.tensor([value for name, value in row.items() if "train" in name]) for row in outcome.history]
        safetensors.torch.save_file({**outcome.weights, "losses": torch.stack(losses)}, sys.argv[2])

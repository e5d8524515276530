"""A small world to train in: blobs of light on dark images, a quiet watcher, a run in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from svertka.data.augmentation.mixing import MIXTURES, Mixing
from svertka.data.batching.batches import Loader, Part, Pixels
from svertka.data.cache.images import Images
from svertka.data.cache.mapped import HeldRows
from svertka.runtime.preprocess import Preprocess
from svertka.tasks.classification import Classification
from svertka.tasks.task import Task
from svertka.training.budget import Pace
from svertka.training.checkpoint import Checkpoints
from svertka.training.contracts import Observer
from svertka.training.loop import Training
from svertka.training.machine import Machine
from svertka.training.recipe import Recipe
from svertka.zoo import registry

CLASSES = ("left", "middle", "right")


class Watch:
    """Remembers what it is told; asks to stop the ``stop_at``-th time it is asked."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.stop_at, self.asked = stop_at, 0
        self.steps: list[dict[str, float]] = []
        self.rows: list[dict[str, float]] = []
        self.warnings: list[str] = []
        self.planned: list[float] = []

    def step(self, epoch: int, batch: int, batches: int, losses: dict[str, float]) -> None:
        del epoch, batch, batches
        self.steps.append(losses)

    def epoch(self, row: dict[str, float]) -> None:
        self.rows.append(row)

    def shortened(self, epochs: float) -> None:
        self.planned.append(epochs)

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def stopping(self) -> bool:
        self.asked += 1
        return self.asked == self.stop_at


def blobs(count: int, side: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """``count`` noisy grey images, and which third of each is bright."""
    generator = np.random.default_rng(seed)
    targets = generator.integers(0, len(CLASSES), count)
    pixels = generator.integers(0, 140, (count, side, side, 1))
    for image, target in zip(pixels, targets, strict=True):
        image[:, target * side // 3 : (target + 1) * side // 3] += 80
    return pixels.astype(np.uint8), targets


@pytest.fixture
def watch() -> type[Watch]:
    return Watch


@pytest.fixture
def training() -> Callable[..., Training]:
    """Makes a run ready to go: ``training(folder, watch, observer, samples=…, val=…, task=…, **recipe)``."""

    def make(
        folder: Path | None = None,
        watch: Watch | None = None,
        observer: Observer | None = None,
        *,
        samples: int = 36,
        val: int = 12,
        task: Task | None = None,
        masks: dict[str, torch.Tensor] | None = None,
        pace: Pace | None = None,
        least: int = 1,
        **changes: Any,
    ) -> Training:
        plain = {"net": "mlp", "optimizer": "sgd", "lr": 0.05, "schedule": "constant", "weight_decay": 0.0}
        small = {"epochs": 2, "batch": 12, "augment": (), "threads": 1}
        fixed = {"precision": "fp32", "layout": "channels_first", "device": "cpu"}
        recipe = Recipe().changed(plain | small | fixed | changes)
        side = 32 if recipe.net == "lenet5" else 8
        arguments: dict[str, Any] = {"classes": len(CLASSES), **recipe.net_options}
        if recipe.net != "lenet5":
            arguments["image_size"] = side
        if recipe.dropout is not None:
            arguments["dropout"] = recipe.dropout
        torch.manual_seed(recipe.seed)
        net = registry.build(recipe.net, arguments)
        preprocess = Preprocess(height=side, width=side, channels=1, mean=(0.4,), std=(0.2,))

        def loader(count: int, seed: int, augment: tuple[str, ...] = ()) -> Loader:
            pixels, targets = blobs(count, side, seed)
            images = Images((), preprocess, HeldRows(pixels), ("",) * count, {}, ((0, 0),) * count)
            names = [name for name in augment if name in MIXTURES]
            mixing = Mixing(names, Classification(CLASSES).mixed, recipe.seed) if names else None
            pixels_of = Pixels(images, np.arange(count), preprocess, augment, recipe.seed)
            part = Part(pixels_of, targets, recipe.seed, mixing)
            return Loader(part, recipe.batch, recipe.workers, least=least)

        return Training(
            net,
            task or Classification(CLASSES, label_smoothing=recipe.label_smoothing),
            loader(samples, 1, recipe.augment),
            loader(val, 2) if val else None,
            recipe,
            machine=Machine(recipe),
            checkpoints=Checkpoints(folder) if folder else None,
            watcher=watch or Watch(),
            observer=observer,
            masks=masks,
            pace=pace,
        )

    return make

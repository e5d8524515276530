"""The user's images for an export: some to calibrate on, some to compare engines by, and others to score them on."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from svertka.data.batching.batches import Loader, Part
from svertka.data.batching.handling import inputs_of
from svertka.data.preparing import Division, Prepared
from svertka.runtime.card import Card
from svertka.runtime.decoding import distances
from svertka.runtime.engines import Engine
from svertka.tasks.making import task_of
from svertka.training.evaluation import evaluate
from svertka.workflows.evaluation_data import divided_as_trained
from svertka.workflows.progress import Display

_BATCH = 16
_JUDGED = 1000  # images that an engine is scored on, at most
_ORDER = ("val", "test", "all", "train")


class Score(NamedTuple):
    """What an engine scores.

    Attributes:
        value: The metric that ranks, a fraction of one.
        refusals: The share of images that a model which refuses images refuses, though they are of its classes.
    """

    value: float
    refusals: float

    def drop(self, other: Score) -> float:
        """By how many points the other is worse than this."""
        # One image of two hundred is half a point, and no more than that.
        return round(100 * max(self.value - other.value, other.refusals - self.refusals), 6)


class Validation:
    """A data set, divided as it was in training.

    Args:
        data: As `svertka.train` takes it.
        model: Model file or a run's folder.
        card: Of the model.
        display: Is told how it goes.

    Attributes:
        part: The part that engines are scored on: what training chose its epoch by, if there is such.
        metric: Name of the metric that ranks.

    Raises:
        UserError: There is nothing usable.
    """

    def __init__(self, data: Path, model: Path, card: Card, display: Display) -> None:
        self.display = display
        self._card, self._task = card, task_of(card)
        self._prepared = divided_as_trained(data, model, card, display, format=None)
        for item in self._prepared.skipped[:5]:
            display.warn(f"skipped {item.file}: {item.error}")
        self.part = next(part for part in _ORDER if part in self._prepared.parts)
        self.metric = self._task.headline[0]
        self._judged = _some(self._prepared, self.part, _JUDGED)
        self._samples = self._part(self._judged)

    @property
    def images(self) -> int:
        """How many images engines are scored on."""
        return len(self._samples)

    def score(self, engine: Engine) -> Score:
        """Score an engine."""
        limit = self._card.reject_limit
        measured: list[NDArray[np.float32]] = []

        def forward(images: torch.Tensor) -> torch.Tensor:
            outputs = engine.run(images.numpy())
            if limit is not None:
                measured.append(distances(outputs, len(images)))
            return torch.from_numpy(outputs["logits"])

        found = evaluate(forward, self._task, Loader(self._samples, _BATCH).in_order())
        refusals = 0.0 if limit is None else float(np.mean(np.concatenate(measured) > limit))
        return Score(found.metrics[self.metric], refusals)

    def inputs(self, engine: Engine, count: int, *, learnt_from: bool = False) -> list[NDArray[np.float32]]:
        """What an engine is given of up to ``count`` images, evenly spread: ``(1, C, H, W)`` each, of one size.

        Args:
            engine: Runs the network; what it answers is not looked at.
            count: How many, at most.
            learnt_from: Take images that the network learnt from, where there are such.
        """
        part = "train" if learnt_from and "train" in self._prepared.parts else self.part
        given: list[NDArray[np.float32]] = []

        def forward(images: torch.Tensor) -> torch.Tensor:
            given.extend(image[None].copy() for image in images.numpy())
            return torch.from_numpy(engine.run(images.numpy())["logits"])

        for batch in Loader(self._part(_some(self._prepared, part, count)), 1).in_order():
            self._task.run(forward, batch.inputs, batch.targets)
        return [image for image in given[:count] if image.shape == given[0].shape]

    def decoded(self, count: int) -> list[NDArray[np.uint8]]:
        """Up to ``count`` images as they are, ``(H, W, 3)`` uint8 RGB, evenly spread."""
        positions = _some(self._prepared, self.part, count).parts[self.part].positions
        return [self._prepared.samples[position].source.load()[0] for position in positions.tolist()]

    def _part(self, prepared: Prepared) -> Part:
        (part,) = prepared.parts
        targets = self._task.targets(prepared.parts[part].labels)
        return Part(inputs_of(prepared, part, self._card.input), targets)


def _some(prepared: Prepared, part: str, most: int) -> Prepared:
    """The data set with some images of one part alone, evenly spread over it, so over its classes."""
    division = prepared.parts[part]
    count = len(division.positions)
    chosen = np.linspace(0, count - 1, min(most, count)).astype(int)
    some = Division(division.positions[chosen], tuple(division.labels[number] for number in chosen.tolist()))
    return dataclasses.replace(prepared, parts={part: some})

"""What learning from scratch and learning from trained weights are both given, and what both give."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from svertka.errors import UserError
from svertka.wording import counted

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from svertka.data.batching.batches import Inputs, Loader
    from svertka.data.checks.findings import Finding
    from svertka.data.preparing import Prepared
    from svertka.layers.net import Net
    from svertka.runtime.preprocess import Preprocess
    from svertka.tasks.task import Evaluation, Task
    from svertka.training.loop import Outcome
    from svertka.training.machine import Machine
    from svertka.training.recipe import Recipe
    from svertka.workflows.progress import Display
    from svertka.workflows.rejection import Rejection
    from svertka.workflows.run_folder import Run


class Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._started = time.perf_counter()

    @property
    def elapsed(self) -> float:
        """Seconds since the clock was made."""
        return time.perf_counter() - self._started

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Counts the block for this stage."""
        started = time.perf_counter()
        yield
        self.add(name, time.perf_counter() - started)

    def add(self, name: str, seconds: float) -> None:
        """Counts these seconds for this stage."""
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds


@dataclass
class Job:
    """All that is decided before anything is learnt.

    Attributes:
        run: Its folder.
        recipe: Of the run.
        prepared: The images, decoded and divided.
        task: What to learn.
        preprocess: Of the images.
        machine: Devices and processes.
        display: Is told how it goes.
        clock: Time by stage.
        memory: Folder to remember frozen stages in, where not in the cache.
        findings: What was found in the data; None where no doctor is to look on.
        before: The score on validation that was had before what learns now.
        masks: Where parameters of the network are to stay zero; see `svertka.training.loop.Training`.
        least: Images that each process needs for a training step; `check_batches` finds it.
    """

    run: Run
    recipe: Recipe
    prepared: Prepared
    task: Task
    preprocess: Preprocess
    machine: Machine
    display: Display
    clock: Clock
    memory: Path | None = None
    findings: Sequence[Finding] | None = None
    before: float | None = None
    masks: Mapping[str, Tensor] | None = None
    least: int = 1
    _warned_of_workers: bool = False

    def check_batches(self, net: Net, shape: tuple[int, ...]) -> None:
        """See that every batch has as many images as a network needs to learn; a last one with fewer is joined.

        Args:
            net: The network, frozen as it will be in training.
            shape: (C, H, W) of the images.

        Raises:
            UserError: It needs more than the recipe's batches, or the data, have.
        """
        from svertka.training.least_batch import least_images

        self.least = least_images(net, self.task, shape)
        world, batch, samples = self.machine.world, self.recipe.batch, len(self.prepared.parts["train"].positions)
        needed, why = self.least * world, "a BatchNorm would get a single value of each channel"
        if self.least == 1:
            return
        if batch < needed:
            shared = f" for {world} processes" if world > 1 else ""
            raise UserError(
                f"{self.recipe.net} cannot learn from {'one image' if batch == 1 else f'{batch} images'} at a time"
                f"{shared}: {why}",
                mend=f"give --batch {needed} or more",
            )
        if samples < needed:
            raise UserError(
                f"{self.recipe.net} needs {needed} images to learn from, and there is {samples}: {why}",
                where=self.prepared.dataset.root,
                mend="add images, or give a --net without BatchNorm",
            )
        if 0 < samples % batch < needed < samples:
            last = samples % batch
            self.display.say(
                f"the last batch of an epoch has {counted(batch + last, 'image')} instead of {last}: of so few {why}"
            )

    @cached_property
    def targets(self) -> dict[str, NDArray[np.generic]]:
        """What is to be learnt of every sample, by part."""
        return {part: self.task.targets(division.labels) for part, division in self.prepared.parts.items()}

    def pixels(self) -> dict[str, Inputs]:
        """The images themselves as inputs, by part; those of training are augmented."""
        from svertka.data.batching.handling import pixel_inputs

        recipe = self.recipe
        return {
            part: pixel_inputs(
                self.prepared,
                part,
                self.preprocess,
                learning=part == "train",
                augmentations=recipe.augment,
                seed=recipe.seed,
            )
            for part in self.prepared.parts
        }

    def loader(self, inputs: Mapping[str, Inputs], part: str, recipe: Recipe) -> Loader:
        """Batches of a part for this process."""
        from svertka.data.batching.batches import Loader
        from svertka.data.batching.parts import learnt_part, part_of

        given, targets = inputs[part], self.targets[part]
        if part == "train":
            samples = learnt_part(given, targets, recipe.seed, recipe.augment, self.task.mixed)
        else:
            samples = part_of(given, targets, recipe.seed)
        least = self.least if part == "train" else 1
        chosen = self.task.sampler(samples.targets, batch=recipe.batch, seed=recipe.seed) if part == "train" else None
        loader = Loader(samples, recipe.batch, recipe.workers, self.machine.rank, self.machine.world, least, chosen)
        return self._with_workers_that_fit(loader) if recipe.workers else loader

    def _with_workers_that_fit(self, loader: Loader) -> Loader:
        from svertka.data.batching.workers import SHARED_MEMORY, workers_that_fit

        fitting = workers_that_fit(loader.workers, loader.bytes_a_batch())
        if fitting == loader.workers:
            return loader
        if not self._warned_of_workers:
            self._warned_of_workers = True
            self.display.warn(
                f"{SHARED_MEMORY} has too little room for --workers {loader.workers}; "
                f"batches are prepared with --workers {fitting}, with the same result"
            )
        return dataclasses.replace(loader, workers=fitting)

    def begin(self, weights: str = "") -> None:
        """Write down recipe, split, and the digest of the weights that it begins from: now the run can be resumed."""
        if self.machine.first:
            prepared = self.prepared
            self.run.begin(self.recipe, images=prepared.fingerprint, weights=weights, split=prepared.division)
            self.run.write_split(prepared.split())


@dataclass(frozen=True)
class Tried:
    """One step of learning.

    Attributes:
        name: What was done.
        metrics: On validation; empty where nothing was held out.
        seconds: How long it took.
        kept: Whether the model is what this step made.
    """

    name: str
    metrics: Mapping[str, float]
    seconds: float
    kept: bool

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {"name": self.name, "metrics": dict(self.metrics), "seconds": round(self.seconds, 3), "kept": self.kept}


@dataclass(frozen=True)
class Learnt:
    """What came of learning.

    Attributes:
        net: The network, on the processor.
        arguments: Constructor arguments that build it again.
        recipe: With nothing left open.
        outcome: Weights, history, best epoch, time by stage.
        evaluations: By part.
        tried: The steps, where there were several ways.
        record: More for the card's provenance.
        licence: Of the weights.
        rejection: From where on an image is none of the classes, if that was learnt.
    """

    net: Net
    arguments: Mapping[str, Any]
    recipe: Recipe
    outcome: Outcome
    evaluations: Mapping[str, Evaluation]
    tried: tuple[Tried, ...] = ()
    record: Mapping[str, Any] = field(default_factory=dict)
    licence: str = "unspecified"
    rejection: Rejection | None = None

"""The stages of a training: its plan, its data, a network that is set up, and what was learnt; none changes once made.

`Plan` → `Data` → `Setup` → `Learnt`. Each is made of those before it, and a way to learn
(`svertka.workflows.training.learners`) goes from the first two to the last. `Context` stands beside all of them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from svertka.runtime.preprocess import Preprocess

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from svertka.data.batching.batches import Inputs, Loader
    from svertka.data.checks.findings import Finding
    from svertka.data.preparing import Prepared
    from svertka.layers.net import Net
    from svertka.runtime.inputs import InputTransform
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


@dataclass(frozen=True)
class Context:
    """What stands beside a training: whom it tells how it goes, and where it keeps what it may need again.

    Attributes:
        display: Is told how it goes.
        clock: Time by stage.
        memory: Folder to remember frozen stages in, where not in the cache.
    """

    display: Display
    clock: Clock
    memory: Path | None = None


@dataclass(frozen=True)
class Plan:
    """What was asked for, and seen to be possible before any data were read.

    Attributes:
        run: Its folder, and its recipe, of which the network is known.
        machine: Devices and processes.
    """

    run: Run
    machine: Machine

    @property
    def recipe(self) -> Recipe:
        """Of the run, as it was asked for: some may be left open, which `Setup` decides."""
        return self.run.recipe

    def begin(self, recipe: Recipe, prepared: Prepared, weights: str = "") -> None:
        """Begin the run, which can be resumed from now on; the first process does.

        Args:
            recipe: With nothing left open that can be known before learning.
            prepared: The samples.
            weights: Digest of the weights that it begins from, if any.

        Raises:
            UserError: It was begun with others, or the folder cannot be written.
        """
        if self.machine.first:
            self.run.begin(recipe, prepared, weights)


@dataclass(frozen=True)
class Data:
    """What is learnt from, and what is to be learnt of it.

    Attributes:
        prepared: The samples, read and divided.
        task: What to learn.
        transform: What makes inputs of them.
        findings: What was found in the data; None where no doctor is to look on.
    """

    prepared: Prepared
    task: Task
    transform: InputTransform
    findings: Sequence[Finding] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of what a network gets of a sample: ``(C, H, W)`` of an image, ``(C, T)`` of a series."""
        return self.transform.shape

    @property
    def preprocess(self) -> Preprocess:
        """The transform, of images."""
        assert isinstance(self.transform, Preprocess)
        return self.transform

    @cached_property
    def targets(self) -> dict[str, NDArray[np.generic]]:
        """What is to be learnt of every sample, by part."""
        return {part: self.task.targets(division.labels) for part, division in self.prepared.parts.items()}

    def inputs(self, augment: Sequence[str], seed: int) -> dict[str, Inputs]:
        """The samples themselves as inputs, by part; images of training are augmented.

        Args:
            augment: Names of augmentations, in order.
            seed: Of the run.
        """
        from svertka.data.batching.handling import inputs_of

        return {
            part: inputs_of(
                self.prepared, part, self.transform, learning=part == "train", augmentations=augment, seed=seed
            )
            for part in self.prepared.parts
        }

    def loaders(self, inputs: Mapping[str, Inputs], setup: Setup, display: Display) -> dict[str, Loader]:
        """Batches of every part; see `loader`."""
        return {part: self.loader(inputs, part, setup, display) for part in inputs}

    def loader(self, inputs: Mapping[str, Inputs], part: str, setup: Setup, display: Display) -> Loader:
        """Batches of a part for this process.

        Args:
            inputs: What the network gets, by part.
            part: Its name; only ``train`` is learnt from.
            setup: Says how large they are, and how many processes there are.
            display: Is told if there is no memory for so many workers.
        """
        from svertka.data.batching.batches import Loader
        from svertka.data.batching.parts import learnt_part, part_of
        from svertka.data.batching.workers import SHARED_MEMORY, workers_that_fit

        recipe, machine, given, targets = setup.recipe, setup.machine, inputs[part], self.targets[part]
        if part == "train":
            samples = learnt_part(given, targets, recipe.seed, recipe.augment, self.task.mixed)
        else:
            samples = part_of(given, targets, recipe.seed)
        least, sampler = 1, None
        if part == "train":
            least, sampler = setup.least, self.task.sampler(samples.targets, batch=recipe.batch, seed=recipe.seed)
        loader = Loader(samples, recipe.batch, recipe.workers, machine.rank, machine.world, least, sampler)
        if not recipe.workers:
            return loader
        fitting = workers_that_fit(recipe.workers, loader.bytes_a_batch())
        if fitting < recipe.workers:
            display.warn_once(
                f"{SHARED_MEMORY} has too little room for --workers {recipe.workers}; "
                f"batches are prepared with --workers {fitting}, with the same result"
            )
        return replace(loader, workers=fitting)


@dataclass(frozen=True)
class Setup:
    """A network that is ready to learn, and how it will.

    Attributes:
        net: The network.
        arguments: Constructor arguments that build it again.
        recipe: With nothing left open that can be known before learning.
        machine: Devices and processes, with the precision and threads of the recipe.
        least: Images that each process needs for a training step.
    """

    net: Net
    arguments: Mapping[str, Any]
    recipe: Recipe
    machine: Machine
    least: int = 1

    def changed(self, values: Mapping[str, Any]) -> Setup:
        """The same with some fields of the recipe changed, none of which the machine goes by."""
        return replace(self, recipe=self.recipe.changed(values))


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

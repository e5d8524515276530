"""What all ways of learning that are compared have in common: the images, their division, the way of judging."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from svertka.commands.compare.advice import Latency, Way
from svertka.data.chance import permutation
from svertka.data.preparing import Division, Prepared, learnable_classes, prepare
from svertka.data.splitting.split import split_by_class
from svertka.deploy.timing import in_turns
from svertka.errors import UserError
from svertka.tasks.intervals import wilson
from svertka.tasks.making import task_for
from svertka.wording import counted
from svertka.workflows.images import say_data

if TYPE_CHECKING:
    from svertka.annotations import Source
    from svertka.runtime.inputs import InputTransform
    from svertka.tasks.task import Evaluation, Task
    from svertka.workflows.progress import Display

VAL_FRACTION = 0.2
_TIMED = 24  # images that are predicted for the latency
_LIMIT = 991  # tells the choice of images from other random numbers

Image = NDArray[np.uint8]


class Course:
    """The course that every way is sent over.

    Args:
        source: The data set.
        most: Images of each part that are used, at most.
        seed: Of every choice.
        display: Is told how it goes.
        format: The format of the data set to insist on.
    """

    def __init__(
        self,
        source: Path,
        *,
        most: int,
        seed: int,
        display: Display,
        format: str | None = None,  # noqa: A002
    ) -> None:
        self.format = format
        self.source, self.most, self.seed, self.display = source, most, seed, display
        self.judged_on = "test"
        self.classes: tuple[str, ...] = ()
        self.first: Prepared | None = None
        self._entered: list[tuple[Way, str]] = []
        self._predict: dict[str, Callable[[Image], object]] = {}

    @cached_property
    def task(self) -> Task:
        """What is learnt."""
        assert self.first is not None
        return task_for(self.first.parts["train"].labels, self.classes, self.first.images.preprocess)

    def images(self, preprocess: InputTransform | Callable[[Sequence[Source], str], InputTransform]) -> Prepared:
        """The images as ``preprocess`` places them: ``train``, ``val`` to choose by, and ``test`` to judge by.

        Where the data has no test part, its validation part is what is judged by, and another one is taken from
        training: what chooses must not judge.

        Raises:
            UserError: There is nothing to compare on, or the images have changed meanwhile.
        """
        prepared = prepare(
            self.source,
            preprocess,
            val_fraction=VAL_FRACTION,
            seed=self.seed,
            format=self.format,
            advance=self.display.advance,
        )
        self.classes = self.classes or learnable_classes(prepared)
        if not all(isinstance(label, str | tuple) for label in prepared.parts["train"].labels):
            raise UserError(
                "the images have boxes, masks or pictures, and what is compared gives classes", where=self.source
            )
        if not all(isinstance(label, str) for label in prepared.parts["train"].labels):
            raise UserError(
                "an image may have several labels here, and what is compared gives one",
                where=self.source,
                mend="use `svertka train`",
            )
        if self.first is None:
            self.first = dataclasses.replace(prepared, parts=self._parts(prepared))
            say_data(self.display, self.first, self.classes)
        elif prepared.fingerprint != self.first.fingerprint:
            raise UserError("the images have changed while they were compared on", where=self.source)
        # Divided once: which images are copies of one another is looked at in the size they are placed in.
        return dataclasses.replace(prepared, parts=self.first.parts)

    def _parts(self, prepared: Prepared) -> dict[str, Division]:
        parts = dict(prepared.parts)
        if "test" not in parts:
            parts["test"] = parts.pop("val")
            parts |= self._divided(parts["train"], prepared)
            self.judged_on = "val"
        return {part: at_most(division, self.most, self.seed) for part, division in parts.items()}

    def _divided(self, division: Division, prepared: Prepared) -> dict[str, Division]:
        learn, held = split_by_class(
            [str(label) for label in division.labels],
            [prepared.images.digests[position] for position in division.positions],
            fraction=VAL_FRACTION,
            seed=self.seed,
        )
        return {part: _chosen(division, indices) for part, indices in (("train", learn), ("val", held))}

    @cached_property
    def timed(self) -> list[Image]:
        """Decoded images of the part that is judged by, to time predictions with."""
        assert self.first is not None
        positions = self.first.parts["test"].positions
        chosen = positions[permutation(len(positions), self.seed, _LIMIT)[:_TIMED]]
        return [self.first.samples[position].source.load()[0] for position in chosen]

    def enter(
        self,
        name: str,
        evaluation: Evaluation,
        predict: Callable[[Image], object],
        *,
        seconds: float,
        size: int,
        graph: str,
    ) -> None:
        """Note what was measured of a way; `ways` times it.

        Args:
            name: What it is called.
            evaluation: Of the part that is judged by.
            predict: From a decoded image to its class.
            seconds: That learning took.
            size: Of the model, in bytes.
            graph: What is computed for an image; ways that compute the same are timed as one.
        """
        count = len(evaluation.arrays["target"])
        accuracy = evaluation.metrics["accuracy"]
        low, high = wilson(round(accuracy * count), count)
        found = Way(
            name=name,
            accuracy=accuracy,
            low=low,
            high=high,
            macro_f1=evaluation.metrics["macro_f1"],
            seconds=seconds,
            bytes=size,
            latency=Latency(0.0, 0.0, 0.0),
            right=evaluation.arrays["predicted"] == evaluation.arrays["target"],
        )
        self._entered.append((found, graph))
        self._predict.setdefault(graph, predict)
        self.display.say(f"{name}: {found.share} of {counted(count, 'image')}, {seconds:.1f} s to train")

    def ways(self) -> list[Way]:
        """All ways that have entered, in that order, timed in turns: what else the machine does falls on all alike."""
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            with threadpool_limits(1):
                runs = {graph: self._run(predict) for graph, predict in self._predict.items()}
                taken = in_turns(runs, seconds=0.0, calls=_TIMED)
        finally:
            torch.set_num_threads(threads)
        return [dataclasses.replace(way, latency=Latency.of(taken[graph])) for way, graph in self._entered]

    def _run(self, predict: Callable[[Image], object]) -> Callable[[], object]:
        images = itertools.cycle(self.timed)
        return lambda: predict(next(images))


def at_most(division: Division, most: int, seed: int) -> Division:
    """About ``most`` samples of a part, of each class the same share and at least one; all where they are no more."""
    count = len(division.positions)
    if count <= most:
        return division
    totals, taken = Counter(division.labels), Counter[str]()
    kept = []
    for index in permutation(count, seed, _LIMIT).tolist():
        label = division.labels[index]
        if taken[label] < math.ceil(totals[label] * most / count):
            taken[label] += 1
            kept.append(index)
    return _chosen(division, sorted(kept))


def _chosen(division: Division, indices: list[int]) -> Division:
    return Division(division.positions[indices], tuple(division.labels[index] for index in indices))

"""Refusing images that are none of the classes: what is learnt for it, and how often it goes wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from svertka.data.batches import Inputs, Loader, Part
from svertka.errors import UserError
from svertka.tasks.intervals import wilson
from svertka.training.rejection import class_means, reject_limit

if TYPE_CHECKING:
    from svertka.data.preparing import Prepared
    from svertka.layers.transfer import ClassDistance
    from svertka.tasks.task import Task
    from svertka.training.recipe import Recipe
    from svertka.verbs._job import Job

FALSE_REJECTS = "false_reject_rate"
"""The metric: the share of images of known classes that are refused."""


@dataclass(frozen=True)
class Rate:
    """How often something happened.

    Attributes:
        hits: How often.
        images: Of how many.
    """

    hits: int
    images: int

    @property
    def share(self) -> float:
        """As a fraction of one."""
        return self.hits / self.images

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's at 95 %."""
        return wilson(self.hits, self.images)

    def to_json(self, name: str) -> dict[str, Any]:
        """As a JSON object; ``name`` says what happened."""
        low, high = self.interval
        return {"images": self.images, name: self.hits, "rate": self.share, "low": low, "high": high}

    def line(self) -> str:
        """In words."""
        low, high = self.interval
        return f"{self.hits:,} of {self.images:,} images, {self.share:.1%} ({100 * low:.1f}–{100 * high:.1f})"


@dataclass(frozen=True)
class Rejection:
    """Where the line was drawn.

    Attributes:
        limit: The largest distance at which an image is given a class.
        refused: How many images of known classes are beyond it, by part.
    """

    limit: float
    refused: Mapping[str, Rate]


def check_reject(recipe: Recipe, prepared: Prepared, task: Task) -> None:
    """See that images can be refused in this run, if that was asked for.

    Raises:
        UserError: They cannot.
    """
    if not recipe.reject:
        return
    what, mend = "", ""
    if recipe.weights is None:
        what, mend = "goes by what a trained network sees, and this one starts from scratch", "give --weights"
    elif recipe.head == "own":
        what, mend = "goes by the features of a new head, and --head own has none", "leave --head out"
    elif not task.exclusive:
        what, mend = "tells an image of one class from others, and here it may have several labels", "leave it out"
    elif "val" not in prepared.parts:
        what, mend = "goes by validation, and nothing is held out", "give --val-fraction, or a val/ folder"
    if what:
        raise UserError(f"--reject {what}", where=prepared.dataset.root, mend=mend)


def learn_to_reject(
    layer: ClassDistance, features: Callable[[Tensor], Tensor], inputs: Mapping[str, Inputs], job: Job
) -> Rejection:
    """Measure the classes on training images, and choose the limit on validation images.

    Args:
        layer: Is filled in.
        features: From a batch of inputs to what the head's rule reads, ``(N, features)``.
        inputs: By part.
        job: All that is decided.
    """

    def read(part: str) -> Iterator[tuple[Tensor, Tensor]]:
        for batch in Loader(Part(inputs[part], job.targets[part]), job.recipe.batch).in_order():
            yield features(batch.images), batch.targets

    with torch.inference_mode():
        batches = ((found.numpy(), targets.numpy()) for found, targets in read("train"))
        means = class_means(batches, len(job.task.classes))
    layer.load_state_dict({name: torch.from_numpy(value) for name, value in means.items()})
    distances: dict[str, NDArray[np.float32]] = {}
    with torch.inference_mode():
        for part in inputs:
            if part != "train":
                distances[part] = torch.cat([layer(found) for found, _ in read(part)]).numpy()
    limit = reject_limit(distances["val"], job.recipe.reject)
    count = len(distances["val"])
    if (count + 1) * job.recipe.reject < 1:
        job.display.warn(
            f"{count} validation images are too few to promise that {job.recipe.reject:.1%} of known images are refused"
            f" at most; the limit is the largest distance among them"
        )
    refused = {part: Rate(int((found > limit).sum()), len(found)) for part, found in distances.items()}
    for part, rate in refused.items():
        job.display.say(f"none of these beyond a distance of {limit:.2f}: refuses {rate.line()} of {part}")
    return Rejection(limit, refused)

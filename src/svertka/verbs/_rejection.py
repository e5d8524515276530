"""Refusing images that are none of the classes: what is learnt for it, and how often it goes wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from svertka.data.batches import Inputs, Loader, Part
from svertka.errors import UserError
from svertka.runtime.decoders import distances
from svertka.tasks.intervals import wilson
from svertka.training.rejection import class_means, reject_limit
from svertka.verbs._image_files import read_batches
from svertka.wording import counted, none_can

if TYPE_CHECKING:
    from pathlib import Path

    from svertka.data.preparing import Prepared
    from svertka.layers.transfer import ClassDistance
    from svertka.runtime.predictor import Predictor
    from svertka.tasks.task import Task
    from svertka.training.recipe import Recipe
    from svertka.verbs._job import Job
    from svertka.verbs._progress import Display

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

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        low, high = self.interval
        return {"images": self.images, "hits": self.hits, "rate": self.share, "low": low, "high": high}


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
    if not task.exclusive:
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
        batches = ((seen.numpy(), targets.numpy()) for seen, targets in read("train"))
        means = class_means(batches, len(job.task.classes))
    layer.load_state_dict({name: torch.from_numpy(value) for name, value in means.items()})
    found: dict[str, NDArray[np.float32]] = {}
    with torch.inference_mode():
        for part in inputs:
            if part != "train":
                found[part] = torch.cat([layer(seen) for seen, _ in read(part)]).numpy()
    limit = reject_limit(found["val"], job.recipe.reject)
    count = len(found["val"])
    if (count + 1) * job.recipe.reject < 1:
        job.display.warn(
            f"{counted(count, 'validation image is', 'validation images are')} too few to promise that "
            f"{job.recipe.reject:.1%} of known images are refused"
            f" at most; the limit is the largest distance among them"
        )
    refused = {part: Rate(int((away > limit).sum()), len(away)) for part, away in found.items()}
    for part, rate in refused.items():
        job.display.say(
            f"none of these beyond a distance of {limit:.2f}: refuses {rate.hits:,} of "
            f"{counted(rate.images, 'image')} of {part}"
        )
    return Rejection(limit, refused)


def judge_rejection(
    limit: float,
    known: NDArray[np.float32],
    predictor: Predictor,
    others: Sequence[Path] | None,
    display: Display,
) -> dict[str, Any]:
    """How often a model refuses images of its classes, and accepts others; see `svertka.verbs.evaluate.Evaluated`.

    Args:
        limit: Of the model.
        known: Distances of images of its classes.
        predictor: Runs the model.
        others: Files of images that show none of them, if there are any.
        display: Told how it goes.

    Raises:
        UserError: None of the other images can be read.
    """
    from sklearn.metrics import roc_auc_score

    found: dict[str, Any] = {"limit": limit, "known": Rate(int((known > limit).sum()), len(known)).to_json()}
    if others is None:
        return found
    unknown, skipped = np.empty(0, np.float32), []
    for batch in read_batches(others):
        skipped += [{"file": str(batch.files[place]), "error": error} for place, error in batch.errors.items()]
        if batch.images:
            outputs = predictor.raw(list(batch.images.values()))
            unknown = np.concatenate([unknown, distances(outputs, len(batch.images))])
    for item in skipped[:5]:
        display.warn(f"skipped {item['file']}: {item['error']}")
    if not len(unknown):
        raise UserError(
            f"{none_can(len(others), 'unknown image')} be read",
            where=others[0],
        )
    truth = np.repeat([0, 1], [len(known), len(unknown)])
    found["unknown"] = {
        **Rate(int((unknown <= limit).sum()), len(unknown)).to_json(),
        "auroc": float(roc_auc_score(truth, np.concatenate([known, unknown]))),
        "skipped": skipped,
    }
    return found

"""Learning to refuse images that are none of the classes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from svertka.data.batching.batches import Inputs, Loader, Part
from svertka.errors import UserError
from svertka.training.rejection import class_means, reject_limit
from svertka.wording import counted
from svertka.workflows.rejection import Rate, Rejection

if TYPE_CHECKING:
    from svertka.data.preparing import Prepared
    from svertka.layers.transfer import ClassDistance
    from svertka.tasks.task import Task
    from svertka.training.recipe import Recipe
    from svertka.workflows.progress import Display


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
    layer: ClassDistance,
    features: Callable[[Tensor], Tensor],
    inputs: Mapping[str, Inputs],
    targets: Mapping[str, NDArray[np.generic]],
    recipe: Recipe,
    display: Display,
) -> Rejection:
    """Measure the classes on training images, and choose the limit on validation images.

    Args:
        layer: Is filled in.
        features: From a batch of inputs to what the head's rule reads, ``(N, features)``.
        inputs, targets: By part.
        recipe: Says which share of known images may be refused.
        display: Is told how many are.
    """

    def read(part: str) -> Iterator[tuple[Tensor, Tensor]]:
        for batch in Loader(Part(inputs[part], targets[part]), recipe.batch).in_order():
            yield features(batch.inputs), batch.targets

    with torch.inference_mode():
        batches = ((seen.numpy(), labels.numpy()) for seen, labels in read("train"))
        means = class_means(batches, len(layer.centres))
    layer.load_state_dict({name: torch.from_numpy(value) for name, value in means.items()})
    found: dict[str, NDArray[np.float32]] = {}
    with torch.inference_mode():
        for part in inputs:
            if part != "train":
                found[part] = torch.cat([layer(seen) for seen, _ in read(part)]).numpy()
    limit = reject_limit(found["val"], recipe.reject)
    count = len(found["val"])
    if (count + 1) * recipe.reject < 1:
        display.warn(
            f"{counted(count, 'validation image is', 'validation images are')} too few to promise that "
            f"{recipe.reject:.1%} of known images are refused"
            f" at most; the limit is the largest distance among them"
        )
    refused = {part: Rate(int((away > limit).sum()), len(away)) for part, away in found.items()}
    for part, rate in refused.items():
        display.say(
            f"none of these beyond a distance of {limit:.2f}: refuses {rate.hits:,} of "
            f"{counted(rate.images, 'image')} of {part}"
        )
    return Rejection(limit, refused)

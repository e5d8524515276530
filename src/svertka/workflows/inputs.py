"""How a recipe's network takes its inputs, by their medium: the input transform."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from svertka.errors import UserError
from svertka.runtime.series import SeriesTransform
from svertka.wording import inflected
from svertka.workflows.images import preprocess_of
from svertka.workflows.models import model_file
from svertka.zoo import registry

if TYPE_CHECKING:
    from svertka.annotations import Source
    from svertka.runtime.inputs import InputTransform
    from svertka.training.recipe import Recipe

_LOOKED_AT = 100  # series, to know how long they are and how many channels they have


def transform_of(recipe: Recipe, sources: Sequence[Source] = (), media: str | None = None) -> InputTransform:
    """The input transform of a recipe's network; without weights, mean and deviation are still to be measured.

    Args:
        recipe: Of a run.
        sources: That it is for; without any, size and channels are the weights' or the network's own.
        media: What the sources are.

    Raises:
        UserError: The network is unknown or takes something else, or the weights cannot be had.
    """
    record = registry.record(recipe.net)
    if media not in (None, record.media):
        raise UserError(
            f"{recipe.net} takes {inflected(2, record.media)}, and the data are {inflected(2, str(media))}",
            mend=f"give a --net that takes {inflected(2, str(media))}",
        )
    return preprocess_of(recipe, sources) if record.media == "image" else series_transform_of(recipe, sources)


def series_transform_of(recipe: Recipe, series: Sequence[Source] = ()) -> SeriesTransform:
    """The input transform of a recipe's network that takes series.

    Their number of channels is the one that most of them have. Their length is the network's own, if it was built for
    that only; else the median of theirs, so that as little is cut off as is filled up.

    Args:
        recipe: Of a run.
        series: That it is for.

    Raises:
        UserError: See `transform_of`.
    """
    record = registry.record(recipe.net)
    if recipe.weights is not None:
        from svertka.zoo.modelfile import read_card

        known = read_card(model_file(Path(recipe.weights))).input
        if not isinstance(known, SeriesTransform):
            raise UserError(
                f"the weights are of a network that takes {inflected(2, known.media)}", where=recipe.weights
            )
        return known
    shapes = _shapes(series)
    channels = Counter(width for _, width in shapes).most_common(1)[0][0] if shapes else record.channels
    length = record.image_size
    if shapes and not record.one_size:
        usual = max(record.smallest, round(statistics.median(found for found, _ in shapes)))
        length = usual - (usual - record.smallest) % record.step
    return SeriesTransform(channels=channels, length=length, mean=(0.0,) * channels, std=(1.0,) * channels)


def _shapes(series: Sequence[Source]) -> list[tuple[int, int]]:
    """Length and channels of some of them, evenly spread."""
    found = []
    for position in range(0, len(series), max(1, len(series) // _LOOKED_AT)):
        try:
            value, _ = series[position].load()
        except UserError:  # it is named when all are read
            continue
        if value.ndim == 2 and value.size:
            found.append((value.shape[0], value.shape[1]))
    return found

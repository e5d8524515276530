"""How a recipe's network takes images, and what is said of a data set that is learnt from."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from svertka.runtime.card import image_input
from svertka.runtime.image import ImageError
from svertka.runtime.preprocess import Preprocess
from svertka.wording import counted, inflected
from svertka.workflows.models import model_file
from svertka.zoo import registry

if TYPE_CHECKING:
    from svertka.annotations import ImageSource
    from svertka.data.preparing import Prepared
    from svertka.runtime.card import Card
    from svertka.training.recipe import Recipe
    from svertka.workflows.progress import Display


_LOOKED_AT = 15  # images, to know how large they are
_STEP = 32  # pixels; what most trunks divide the side by


def preprocess_of(recipe: Recipe, images: Sequence[ImageSource] = ()) -> Preprocess:
    """The preprocessing of a recipe's network; without weights, mean and deviation are still to be measured.

    Trained weights take images smaller than those they were trained on, where the data has no larger ones.

    Args:
        recipe: Of a run.
        images: That it is for; without any, the size is the weights' or the network's own.

    Raises:
        UserError: The network is unknown or takes no images so small, or the weights cannot be had.
    """
    record = registry.record(recipe.net)
    card = None if recipe.weights is None else _card(Path(recipe.weights))
    known = image_input(card, where=recipe.weights) if card else None
    size = recipe.image_size or record.image_size
    if card and known and not recipe.image_size:
        if registry.record(card.net).kind == record.kind:
            size = known.height
        elif record.traits.beyond:
            size = _stepped(int(known.height * record.traits.beyond)) if images else known.height
        if images and not record.one_size:
            size = max(record.smallest, _sufficient(size, images))
    channels = recipe.channels or (known.channels if known else record.channels)
    registry.check_side(record, size)
    preprocess = Preprocess(
        height=size,
        width=size,
        channels=channels,
        fit=record.traits.fit,
        mean=(0,) * channels,
        std=(1,) * channels,
        margin=record.margin,
        regions=record.regions,
    )
    return _adapted(known, preprocess) if known else preprocess


def say_data(display: Display, prepared: Prepared, classes: tuple[str, ...]) -> None:
    """Say what is learnt from, and what was left out of it."""
    counts = ", ".join(f"{part} {count:,}" for part, count in prepared.counts.items())
    known, nouns = counted(len(classes), "class"), inflected(2, prepared.dataset.media)
    display.say(f"{prepared.dataset.root}: {prepared.dataset.format}, {known}; {nouns}: {counts}")
    for note in prepared.notes:
        display.say(f"  {note}")
    for item in prepared.skipped[:5]:
        display.warn(f"skipped {item.file}: {item.error}")
    if len(prepared.skipped) > 5:
        display.warn(f"skipped {len(prepared.skipped) - 5} more; all are in the report")


def _sufficient(side: int, images: Sequence[ImageSource]) -> int:
    """The side, at most ``side`` and at least half of it, at which these images lose nothing: median of a few."""
    found: list[int] = []
    for position in range(0, len(images), max(1, len(images) // _LOOKED_AT)):
        with suppress(ImageError):  # it is named when all are decoded
            found.append(max(images[position].load()[0].shape[:2]))
        if sum(longer >= side for longer in found) > _LOOKED_AT // 2:
            return side
    return min(side, max(_stepped(statistics.median(found or [side])), _stepped(side / 2)))


def _stepped(side: float) -> int:
    return math.ceil(side / _STEP) * _STEP


def _card(weights: Path) -> Card:
    from svertka.zoo.modelfile import read_card

    return read_card(model_file(weights))


def _adapted(known: Preprocess, wanted: Preprocess) -> Preprocess:
    # As the weights were trained, but the whole image, at the size and in the channels that are wanted.
    mean, std, order = known.mean, known.std, known.order
    if wanted.channels != known.channels:
        mean = (sum(mean) / len(mean),) * wanted.channels
        std = (sum(std) / len(std),) * wanted.channels
        order = "rgb"
    return dataclasses.replace(wanted, interpolation=known.interpolation, mean=mean, std=std, order=order)

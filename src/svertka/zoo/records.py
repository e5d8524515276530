"""What is known of a network without building it: its record, and what its kind has in common."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from svertka.task_records.record import of_contract

if TYPE_CHECKING:
    from svertka.runtime.preprocess import Fit

Kind = Literal["classifier", "segmenter", "detector"]


@dataclass(frozen=True)
class NetKind:
    """What networks of a kind have in common.

    Attributes:
        gives: What they say of an image, in a word.
        fit: How images are brought to the size they learn from; see `svertka.runtime.preprocess.Preprocess`.
        suggested: The flags that a newcomer is best served by.
        beyond: How much larger that may be than what a trunk's weights were trained at: at the borders of a piece of an
            image, less is known of a pixel. None if it is the network's own size, whatever the weights saw.
    """

    gives: str
    fit: Fit
    suggested: str
    beyond: float | None = 1.0


_FOR_CLASSES = "--net resnet20_cifar, or --weights efficientnet_lite0"
_FOR_MASKS = "--net unet, on another network's stages with --trunk"
_FOR_BOXES = "--net ssd, on another network's stages with --trunk"

KINDS: Mapping[Kind, NetKind] = {
    "classifier": NetKind("classes", "stretch", _FOR_CLASSES),
    "segmenter": NetKind("masks", "whole", _FOR_MASKS, beyond=1.25),
    "detector": NetKind("boxes", "stretch", _FOR_BOXES, beyond=None),
}


def kind_called(name: str) -> NetKind:
    """The kind of networks of that name."""
    return next(kind for known, kind in KINDS.items() if known == name)


@dataclass(frozen=True, kw_only=True)
class NetRecord:
    """What is known of a network without building it.

    Attributes:
        name: Registry name.
        kind: ``classifier``, a trunk and a head; ``segmenter`` or ``detector``, a trunk and a decoder.
        builder: Where its constructor lives, ``"module:name"``.
        arguments: Arguments that make this entry of its family. ``trunk`` among them says which classifier's trunk
            it is built on, see `trunk`.
        year: Year of the paper.
        paper: Authors and title.
        image_size: Side of the images that the paper used, in pixels.
        channels: Channels of the images that the paper used.
        classes: Number of classes at which ``parameters`` is counted.
        parameters: Number of parameters as published; recomputed in a test.
        smallest: Side of the smallest images that the network takes; found again in a test.
        step: Sides that it takes are that and multiples of so many pixels more.
        one_size: It takes images of the size it was built for only (the constructor has ``image_size``).
        margin: Pixels at each border of its input of which it says nothing.
        regions: Regions of each image that it is given beside the pixels; none of networks that propose their own.
        fitted: Machines are fitted to what its trunk makes of images, in place of training.
    """

    name: str
    kind: Kind = "classifier"
    builder: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    year: int
    paper: str
    image_size: int
    channels: int = 3
    classes: int = 1000
    parameters: int
    smallest: int
    step: int = 1
    one_size: bool = False
    margin: int = 0
    regions: int = 0
    fitted: bool = False

    @property
    def traits(self) -> NetKind:
        """What it has in common with all networks of its kind."""
        return KINDS[self.kind]

    @property
    def tasks(self) -> tuple[str, ...]:
        """What it can be trained for, as cards name it; that of its published weights first."""
        return tuple(task.name for task in of_contract(self.kind))

    def constructor(self) -> Callable[..., Any]:
        """The constructor, imported now."""
        module, _, name = self.builder.partition(":")
        constructor: Callable[..., Any] = getattr(importlib.import_module(module), name)
        return constructor

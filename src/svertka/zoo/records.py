"""What is known of a network without building it: its record, and what its kind has in common."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

from svertka.errors import UserError, nearest
from svertka.plugins import Registry, lacks
from svertka.signatures import checked_class
from svertka.task_records.record import is_reference, of_contract, resolve

if TYPE_CHECKING:
    from svertka.runtime.preprocess import Fit

Kind = str
"""Name of a `NetKind`."""


@checked_class
@dataclass(frozen=True)
class NetKind:
    """A kind of networks, which is the contract that they keep: what they have in common.

    Attributes:
        name: Its name, such as ``classifier``.
        gives: What they say of an image, in a word.
        fit: How images are brought to the size they learn from; see `svertka.runtime.preprocess.Preprocess`.
        suggested: The flags that a newcomer is best served by.
        beyond: How much larger that may be than what a trunk's weights were trained at: at the borders of a piece of an
            image, less is known of a pixel. None if it is the network's own size, whatever the weights saw.
        shape: The shape of one input, by channels and side, where it is not ``(channels, side, side)``.
    """

    registers: ClassVar[str] = "network kind"

    name: str
    gives: str
    fit: Fit
    suggested: str
    beyond: float | None = 1.0
    shape: Callable[[int, int], tuple[int, ...]] | None = None

    def check_parts(self) -> None:
        """See `svertka.plugins.Registrable.check_parts`."""
        for part in ("gives", "fit", "suggested"):
            if not isinstance(getattr(self, part), str) or not getattr(self, part):
                raise lacks("network kind", self.name, part, "text")


_FOR_CLASSES = "--net resnet20_cifar, or --weights efficientnet_lite0"
_FOR_MASKS = "--net unet, on another network's stages with --trunk"
_FOR_BOXES = "--net ssd, on another network's stages with --trunk"

KINDS: Registry[NetKind] = Registry("network kind")
"""The kinds of networks there are, by name: Svertka's own, and those of plug-ins."""


def _own() -> tuple[NetKind, ...]:
    return (
        NetKind("classifier", "classes", "stretch", _FOR_CLASSES),
        NetKind("segmenter", "masks", "whole", _FOR_MASKS, beyond=1.25),
        NetKind("detector", "boxes", "stretch", _FOR_BOXES, beyond=None),
    )


OWN = {"network kind": _own}
"""Svertka's own things for `svertka.plugins`, by kind."""


def kind_called(name: str) -> NetKind:
    """The kind of networks of that name."""
    return KINDS[name]


@checked_class
@dataclass(frozen=True, kw_only=True)
class NetRecord:
    """What is known of a network without building it.

    Attributes:
        name: Registry name.
        kind: ``classifier``, a trunk and a head; ``segmenter`` or ``detector``, a trunk and a decoder; or the name of
            another `NetKind`.
        media: What it takes: ``image``, or ``series``.
        builder: Where its constructor lives, ``"module:name"``; or the constructor itself.
        arguments: Arguments that make this entry of its family. ``trunk`` among them says which classifier's trunk
            it is built on, see `trunk`.
        year: Year of the paper; 0 where there is none.
        paper: Authors and title.
        image_size: Side of the images that the paper used, in pixels; of series, their length.
        channels: Channels of the images or series that the paper used.
        classes: Number of classes at which ``parameters`` is counted.
        parameters: Number of parameters as published, recomputed in a test; 0 where nothing is published.
        smallest: Side of the smallest images that the network takes, or length of the shortest series; found again in a
            test.
        step: Sides that it takes are that and multiples of so many pixels more.
        one_size: It takes images of the size it was built for only (the constructor has ``image_size``).
        margin: Pixels at each border of its input of which it says nothing.
        regions: Regions of each image that it is given beside the pixels; none of networks that propose their own.
        teachers: Parts that only teach the rest, such as a discriminator: what their names begin with. Nothing that the
            network gives goes through them.
        fitted: Machines are fitted to what its trunk makes of images, in place of training.
    """

    registers: ClassVar[str] = "network"

    name: str
    kind: Kind = "classifier"
    media: str = "image"
    builder: str | Callable[..., Any]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    year: int = 0
    paper: str = ""
    image_size: int
    channels: int = 3
    classes: int = 1000
    parameters: int = 0
    smallest: int
    step: int = 1
    one_size: bool = False
    margin: int = 0
    regions: int = 0
    teachers: tuple[str, ...] = ()
    fitted: bool = False

    @property
    def traits(self) -> NetKind:
        """What it has in common with all networks of its kind."""
        return KINDS[self.kind]

    @property
    def tasks(self) -> tuple[str, ...]:
        """What it can be trained for, as cards name it; that of its published weights first."""
        return tuple(task.name for task in of_contract(self.kind, self.media))

    def spatial(self, size: int) -> tuple[int, ...]:
        """The spatial axes of its inputs: ``(size, size)`` of images, ``(size,)`` of series, or as its kind says."""
        if self.traits.shape is not None:
            return self.traits.shape(self.channels, size)[1:]
        return (size, size) if self.media == "image" else (size,)

    def constructor(self) -> Callable[..., Any]:
        """The constructor, imported now.

        Raises:
            UserError: There is none: a plug-in's record names what its package does not have.
        """
        constructor: Callable[..., Any] = resolve(self.builder)
        return constructor

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the arguments that it can be built with."""
        known = tuple(inspect.signature(self.constructor()).parameters)
        return (*known, "in_channels") if "trunk" in known else known

    def takes(self, option: str) -> bool:
        """Whether it can be built with this argument."""
        return option in self.options

    def check_options(self, given: Iterable[str]) -> None:
        """See that it can be built with these arguments.

        Raises:
            UserError: It has no such option.
        """
        known = self.options
        for option in given:
            if option not in known:
                raise UserError(f"{self.name} has no option {option!r}", mend=nearest(option, known))

    def as_counted(self, **arguments: Any) -> dict[str, Any]:
        """Constructor arguments at which its figures are counted, with these beside."""
        own = {"classes": self.classes, "in_channels": self.channels}
        return {**{name: value for name, value in own.items() if self.takes(name)}, **arguments}

    def check_parts(self) -> None:
        """See `svertka.plugins.Registrable.check_parts`."""
        if not is_reference(self.builder):
            raise lacks("network", self.name, "builder", 'where its constructor lives, "module:name", or a constructor')
        if self.kind not in KINDS:
            what = f"the network {self.name!r} is of the unknown kind {self.kind!r}"
            raise UserError(what, mend=nearest(self.kind, KINDS))
        for part, least in _NUMBERS.items():
            value = getattr(self, part)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise UserError(f"the {part} of the network {self.name!r} is {value!r}", mend=f"it is at least {least}")


_NUMBERS = {
    "image_size": 1,
    "channels": 1,
    "classes": 1,
    "parameters": 0,
    "smallest": 1,
    "step": 1,
    "margin": 0,
    "regions": 0,
}
"""The parts of a `NetRecord` that are numbers, and the least that they can be."""


@checked_class
@dataclass(frozen=True, kw_only=True)
class NetFamily:
    """A family of networks that are found by what their names begin with, such as ``timm/``, and not listed one by one.

    Attributes:
        prefix: What their names begin with.
        record: Gives the record of the network of a name, prefix included; raises a `svertka.errors.UserError` if
            there is none.
        names: Gives all names, prefix included, to suggest one from.
        checkpoints: Gives, for a name, what a file of the catalogue has of other libraries' checkpoints: ``KEYS`` and
            ``WEIGHTS``; None where none are read.
        about: What they are, in a line of the list of all networks.
    """

    registers: ClassVar[str] = "network family"

    prefix: str
    record: Callable[[str], NetRecord]
    names: Callable[[], Iterable[str]]
    checkpoints: Callable[[str], ModuleType] | None = None
    about: str = ""

    @property
    def name(self) -> str:
        """See `svertka.plugins.Registrable.name`."""
        return self.prefix

    def check_parts(self) -> None:
        """See `svertka.plugins.Registrable.check_parts`."""
        for part in ("record", "names"):
            if not callable(getattr(self, part)):
                raise lacks("network family", self.prefix, part, "a function")

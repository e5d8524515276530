"""The networks there are, by name. Listing them imports no torch."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from svertka.errors import UserError, nearest

if TYPE_CHECKING:
    from svertka.layers.trunk import Classifier


@dataclass(frozen=True, kw_only=True)
class NetRecord:
    """What is known of a network without building it.

    Attributes:
        name: Registry name.
        builder: Where its constructor lives, ``"module:name"``.
        arguments: Arguments that make this entry of its family.
        year: Year of the paper.
        paper: Authors and title.
        image_size: Side of the images that the paper used, in pixels.
        channels: Channels of the images that the paper used.
        classes: Number of classes at which ``parameters`` is counted.
        parameters: Number of parameters as published; recomputed in a test.
        one_size: It takes images of the size it was built for only (the constructor has ``image_size``).
    """

    name: str
    builder: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    year: int
    paper: str
    image_size: int
    channels: int = 3
    classes: int = 1000
    parameters: int
    one_size: bool = False

    def constructor(self) -> Callable[..., Classifier]:
        """The constructor, imported now."""
        module, _, name = self.builder.partition(":")
        constructor: Callable[..., Classifier] = getattr(importlib.import_module(module), name)
        return constructor


_RECORDS: dict[str, NetRecord] = {}


def register(record: NetRecord) -> None:
    """Add a network.

    Raises:
        ValueError: The name is taken.
    """
    if record.name in _RECORDS:
        raise ValueError(f"two networks are called {record.name!r}")
    _RECORDS[record.name] = record


def records() -> tuple[NetRecord, ...]:
    """All networks, in the order of their papers."""
    return tuple(sorted(_RECORDS.values(), key=lambda record: (record.year, record.name)))


def record(name: str) -> NetRecord:
    """The network called ``name``.

    Raises:
        UserError: There is none; the nearest names are given.
    """
    if name not in _RECORDS:
        raise UserError(f"unknown network {name!r}", mend=nearest(name, _RECORDS))
    return _RECORDS[name]


def build(name: str, arguments: Mapping[str, Any]) -> Classifier:
    """Build the network ``name`` with the constructor arguments given.

    Raises:
        UserError: The network or an argument is unknown, or an argument has a value that it cannot have.
    """
    found = record(name)
    constructor = found.constructor()
    known = inspect.signature(constructor).parameters
    for argument in arguments:
        if argument not in known:
            raise UserError(f"{name} has no option {argument!r}", mend=nearest(argument, known))
    try:
        return constructor(**{**found.arguments, **arguments})
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"{name} cannot be built with {dict(arguments)}: {error}") from error


def accepts(name: str, argument: str) -> bool:
    """Whether the constructor of the network ``name`` takes ``argument``."""
    return argument in inspect.signature(record(name).constructor()).parameters


register(
    NetRecord(
        name="perceptron",
        builder="svertka.nets.mlp:perceptron",
        year=1958,
        paper="Rosenblatt, The Perceptron",
        image_size=32,
        channels=1,
        classes=10,
        parameters=10_250,
        one_size=True,
    )
)
register(
    NetRecord(
        name="mlp",
        builder="svertka.nets.mlp:MLP",
        year=1986,
        paper="Rumelhart et al., Learning Representations by Back-Propagating Errors",
        image_size=32,
        channels=1,
        classes=10,
        parameters=296_586,
        one_size=True,
    )
)
register(
    NetRecord(
        name="lenet5",
        builder="svertka.nets.lenet:LeNet5",
        year=1998,
        paper="LeCun et al., Gradient-Based Learning Applied to Document Recognition",
        image_size=32,
        channels=1,
        classes=10,
        parameters=61_706,
    )
)

"""The networks there are, by name. Listing them imports no torch."""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
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
        smallest: Side of the smallest images that the network takes; found again in a test.
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
    smallest: int
    one_size: bool = False

    def constructor(self) -> Callable[..., Classifier]:
        """The constructor, imported now."""
        module, _, name = self.builder.partition(":")
        constructor: Callable[..., Classifier] = getattr(importlib.import_module(module), name)
        return constructor


@functools.cache
def families() -> tuple[ModuleType, ...]:
    """The files of the catalogue."""
    from svertka.zoo import catalogue

    names = [module.name for module in pkgutil.iter_modules(catalogue.__path__)]
    return tuple(importlib.import_module(f"{catalogue.__name__}.{name}") for name in names)


@functools.cache
def _catalogue() -> dict[str, tuple[NetRecord, ModuleType]]:
    found: dict[str, tuple[NetRecord, ModuleType]] = {}
    for module in families():
        for record in module.NETS:
            if record.name in found:
                raise ValueError(f"two networks are called {record.name!r}")
            found[record.name] = record, module
    return found


def records() -> tuple[NetRecord, ...]:
    """All networks, in the order of their papers."""
    return tuple(sorted((record for record, _ in _catalogue().values()), key=lambda record: record.year))


def record(name: str) -> NetRecord:
    """The network called ``name``.

    Raises:
        UserError: There is none; the nearest names are given.
    """
    known = _catalogue()
    if name not in known:
        raise UserError(f"unknown network {name!r}", mend=nearest(name, known))
    return known[name][0]


def family(name: str) -> ModuleType:
    """The file of the catalogue that the network ``name`` is in.

    Raises:
        UserError: There is no such network.
    """
    record(name)
    return _catalogue()[name][1]


def build(name: str, arguments: Mapping[str, Any]) -> Classifier:
    """Build the network ``name`` with the constructor arguments given.

    Beside these there may be ``head``: the options of a head that takes the place of the network's own, see
    `svertka.layers.transfer.transfer_head`.

    Raises:
        UserError: The network or an argument is unknown, or an argument has a value that it cannot have.
    """
    from svertka.layers.initialisation import FilledOnce

    found = record(name)
    constructor = found.constructor()
    arguments = dict(arguments)
    head = arguments.pop("head", None)
    known = inspect.signature(constructor).parameters
    for argument in arguments:
        if argument not in known:
            raise UserError(f"{name} has no option {argument!r}", mend=nearest(argument, known))
    try:
        with warnings.catch_warnings(), FilledOnce():
            warnings.filterwarnings("error", "Initializing zero-element")  # a layer of nothing, such as no classes
            net = constructor(**{**found.arguments, **arguments})
            if head is not None:
                put_head(net, arguments.get("image_size", found.image_size), head)
            return net
    except (TypeError, ValueError, KeyError, RuntimeError, UserWarning) as error:
        reason = str(error).partition("\n")[0]  # torch appends where in its own code it was raised
        raise UserError(f"{name} cannot be built with {dict(arguments)}: {reason}") from error


def put_head(net: Classifier, side: int, options: Mapping[str, Any]) -> None:
    """Give ``net`` the head of these options instead of its own.

    Args:
        net: Changed in place; the head is made where its parameters are, with random weights.
        side: Of images that it takes, in pixels.
        options: See `svertka.layers.transfer.transfer_head`.

    Raises:
        UserError: A stage or a rule is unknown.
    """
    from svertka.layers.transfer import transfer_head

    with next(net.parameters()).device:
        net.head = transfer_head(net.trunk.channels(side), net.classes, options)


def accepts(name: str, argument: str) -> bool:
    """Whether the constructor of the network ``name`` takes ``argument``."""
    return argument in inspect.signature(record(name).constructor()).parameters

"""The networks there are, by name. Listing them imports no torch."""

from __future__ import annotations

import contextlib
import functools
import importlib
import math
import pkgutil
import threading
import warnings
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, cast

from svertka.errors import UserError, nearest
from svertka.plugins import Registry, missing_hint
from svertka.wording import counted
from svertka.zoo.records import NetFamily, NetRecord
from svertka.zoo.timm_family import TIMM

if TYPE_CHECKING:
    from svertka.layers.net import Net
    from svertka.layers.trunk import Classifier, Trunk

_TRUNK = ("net", "arguments", "fully_connected")
_HEAD = "head."  # what the paths of a head's layers begin with

_LARGE = 1024
"""Side of images, in pixels, up to which no network here takes much memory for one of them."""

_MOST_BYTES = 256 << 20  # of what a stage makes of one image
_MOST_MODULES = 8_000
"""Six times as many as the deepest network here has: a number of layers is believed as little as any other."""


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


OWN = {"network": lambda: [record for record, _ in _catalogue().values()], "network family": lambda: [TIMM]}
"""Svertka's own things for `svertka.plugins`, by kind."""

_NETS: Registry[NetRecord] = Registry("network")
_FAMILIES: Registry[NetFamily] = Registry("network family")


def records() -> tuple[NetRecord, ...]:
    """All networks, in the order of their papers; those that are found by a prefix are not listed."""
    return tuple(sorted(_NETS.values(), key=lambda record: record.year))


def record(name: str, provenance: Mapping[str, Any] | None = None) -> NetRecord:
    """The network called ``name``.

    Args:
        name: Its name.
        provenance: Of a card that names it; it may say which plug-in the network is from.

    Raises:
        UserError: There is none; the nearest names are given.
    """
    if name in _NETS:
        return _NETS[name]
    family = _family_of(name)
    if family is not None:
        return _member(family, name)
    hint = missing_hint(provenance or {})
    module, _, known = name.rpartition(".")
    if module and hint is None:
        hint = f"it is somebody's own module: import {known} from {module} and give it to svertka.register"
    raise UserError(f"unknown network {name!r}", mend=hint or nearest(name, _NETS))


def origins_of(name: str, arguments: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Kind and name of all that a network was registered as, and its kind, as `svertka.plugins.distributions` takes it.

    Args:
        name: Registry name.
        arguments: It is built with; they may name a trunk.
    """
    below = arguments.get("trunk")
    trunk_net = below.get("net") if isinstance(below, Mapping) else None
    found: list[tuple[str, str]] = []
    for net in (name, trunk_net):
        if isinstance(net, str):
            family = _family_of(net)
            found += [
                ("network family", family.prefix) if family else ("network", net),
                ("network kind", record(net).kind),
            ]
    return tuple(found)


def _family_of(name: str) -> NetFamily | None:
    # Of two prefixes, the longer one says more.
    found = [family for prefix, family in _FAMILIES.items() if name.startswith(prefix)]
    return max(found, key=lambda family: len(family.prefix)) if found and name not in _NETS else None


@functools.cache
def _member(family: NetFamily, name: str) -> NetRecord:
    found = family.record(name)
    if found.name != name:
        raise UserError(f"the networks {family.prefix}… have one called {found.name!r} in the place of {name!r}")
    found.check_parts()
    return found


def has(name: str) -> bool:
    """Whether there is a network called ``name``, or a family that its name begins as those of."""
    return name in _NETS or _family_of(name) is not None


def prefixes() -> Mapping[str, NetFamily]:
    """The families of networks that are not listed one by one, by what their names begin with."""
    return _FAMILIES


def family(name: str) -> ModuleType:
    """The file of the catalogue that the network ``name`` is in, or what a family found by its prefix has for one.

    Raises:
        UserError: There is no such network, or it is of a plug-in that reads no checkpoints.
    """
    file = file_of(name)
    if file is None:
        raise UserError(f"{name} is from a plug-in, and no checkpoints of other libraries are read for it")
    return file


def file_of(name: str) -> ModuleType | None:
    """`family`, or None where no checkpoints of other libraries are read for the network ``name``.

    Raises:
        UserError: There is no such network.
    """
    record(name)
    if name in _catalogue():
        return _catalogue()[name][1]
    found = _family_of(name)
    return None if found is None or found.checkpoints is None else found.checkpoints(name)


def build(name: str, arguments: Mapping[str, Any]) -> Classifier:
    """Build the classifier ``name``; see `build_any`.

    Raises:
        UserError: As `build_any`, or the network is no classifier.
    """
    known = record(name)
    if known.kind != "classifier":
        found = f"{name} finds {known.traits.gives} and is no classifier"
        raise UserError(found, mend="svertka nets lists the classifiers")
    return cast("Classifier", build_any(name, arguments))


def build_any(name: str, arguments: Mapping[str, Any]) -> Net:
    """Build the network ``name``; see `build_of`.

    Raises:
        UserError: As `build_of`, or there is no such network.
    """
    return build_of(record(name), arguments)


def build_of(record: NetRecord, arguments: Mapping[str, Any]) -> Net:
    """Build the network of a record, which need not be registered, with the constructor arguments given.

    Beside these there may be, for a classifier, ``head``: the options of a head that takes the place of the network's
    own, see `svertka.layers.transfer.transfer_head`; for others, ``trunk``: which classifier's trunk they are built on,
    see `trunk`; and ``widths``: layers that are narrower than they would be, see `svertka.layers.widths`.

    Raises:
        UserError: An argument is unknown, or has a value that it cannot have.
    """
    from svertka.layers.initialisation import FilledOnce
    from svertka.layers.transfer import transfer_head
    from svertka.layers.widths import set_widths

    name, constructor = record.name, record.constructor()
    arguments = dict(arguments)
    head, widths = arguments.pop("head", None), arguments.pop("widths", {})
    on_trunk = record.takes("trunk")
    record.check_options(arguments)
    if not isinstance(widths, Mapping):
        raise UserError(f"the widths of {name} are no table of layers")
    if head is not None and record.kind != "classifier":
        raise UserError(f"{name} has a decoder and no head")
    try:
        with warnings.catch_warnings(), FilledOnce(), _few_modules():
            warnings.filterwarnings("error", "Initializing zero-element")  # a layer of nothing, such as no classes
            given = {**record.arguments, **arguments}
            if on_trunk:
                given["trunk"] = trunk(given["trunk"], in_channels=given.pop("in_channels", record.channels))
            net: Net = constructor(**given)
            if head is not None:  # it is as wide as what it reads
                set_widths(net, without_head(widths))
                spatial = record.spatial(arguments.get("image_size", record.image_size))
                classifier = cast("Classifier", net)
                with next(net.parameters()).device:
                    classifier.head = transfer_head(net.trunk.channels(*spatial), classifier.classes, head)
                widths = {path: width for path, width in widths.items() if path.startswith(_HEAD)}
            set_widths(net, widths)
            return net
    except (TypeError, ValueError, KeyError, RuntimeError, UserWarning) as error:
        reason = str(error).partition("\n")[0]  # torch appends where in its own code it was raised
        raise UserError(f"{name} cannot be built with {dict(arguments)}: {reason}") from error


def check_side(record: NetRecord, side: int) -> None:
    """See that a network takes images of this side.

    Raises:
        UserError: It does not.
    """
    if side < record.smallest:
        raise UserError(
            f"{record.name} takes images from {record.smallest}×{record.smallest} on, not {side}×{side}",
            mend=f"give --image-size {record.image_size}",
        )
    beyond = (side - record.smallest) % record.step
    if beyond:
        raise UserError(
            f"{record.name} takes images of {record.smallest}×{record.smallest} and "
            f"{counted(record.step, 'pixel')} more at a time, "
            f"not {side}×{side}",
            mend=f"give --image-size {side - beyond}",
        )
    if side > _LARGE:
        _check_memory(record, side)


def _check_memory(record: NetRecord, side: int) -> None:
    import torch

    own = {"image_size": side} if record.one_size else {}
    with torch.device("meta"):
        net = build_any(record.name, record.as_counted(**own))
    largest = 4 * max(math.prod(shape) for shape in net.trunk.shapes(*record.spatial(side)).values())
    if largest > _MOST_BYTES:
        raise UserError(
            f"one image of {side}×{side} takes {largest / 1e9:.1f} GB in a single stage of {record.name}",
            mend="give a smaller --image-size",
        )


@contextlib.contextmanager
def _few_modules() -> Iterator[None]:
    """Within, this thread can make a network of so many layers and no more.

    Raises:
        ValueError: There are more.
    """
    from torch.nn.modules.module import register_module_module_registration_hook

    thread, count = threading.get_ident(), 0

    def counted(*_: object) -> None:
        nonlocal count
        count += threading.get_ident() == thread
        if count > _MOST_MODULES:
            raise ValueError(f"it would have more than {_MOST_MODULES:,} layers")

    hook = register_module_module_registration_hook(counted)
    try:
        yield
    finally:
        hook.remove()


def without_head(widths: Mapping[str, Any]) -> dict[str, Any]:
    """The widths of all layers but those of a classifier's head, which another one may take the place of."""
    return {path: width for path, width in widths.items() if not path.startswith(_HEAD)}


def trunk(options: Mapping[str, Any], *, in_channels: int) -> Trunk:
    """The trunk of a classifier, by what a card says of it.

    Args:
        options: ``net``, a registry name; ``arguments`` of its constructor, if any; and ``fully_connected``, whether
            the hidden layers of its head are to follow as convolutions, and which; see `trunk_of`.
        in_channels: Number of channels of the images.

    Raises:
        UserError: There is no such network or option, or the network is no classifier.
    """
    unknown = [name for name in options if name not in _TRUNK]
    if unknown or "net" not in options:
        raise UserError(f"a trunk is given by {', '.join(_TRUNK)}, not by {', '.join(map(str, options))}")
    net = build(options["net"], {**options.get("arguments", {}), "in_channels": in_channels})
    return trunk_of(net, fully_connected=options.get("fully_connected", False))


def trunk_of(net: Classifier, *, fully_connected: bool | Literal["atrous"]) -> Trunk:
    """The trunk of a classifier, to be built on.

    Args:
        net: Trained, or not; its layers are shared.
        fully_connected: With the hidden layers of the head as convolutions, see
            `svertka.layers.dense.convolutional`; or as few that are spread, see `svertka.layers.atrous.atrous`.

    Raises:
        UserError: The head has no such layers.
    """
    from svertka.layers.atrous import atrous
    from svertka.layers.dense import convolutional

    if fully_connected == "atrous":
        return atrous(net)
    return convolutional(net) if fully_connected else net.trunk

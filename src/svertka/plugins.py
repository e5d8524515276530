"""Plug-ins: the registries of tasks, networks, formats, augmentations, results and media types, and what others add.

Another package is found by its entry points in the group ``svertka.plugins``. Each names a function that calls
`register`, a thing to register, several of them, or a module that has some. They are imported when a registry is first
asked for something that a plug-in could have; a plug-in that cannot be imported is skipped, and said once.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import logging
import multiprocessing
import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar, Protocol, TypeVar, cast

from svertka.errors import UserError, harmless

_LOGGER = logging.getLogger(__name__)

GROUP = "svertka.plugins"
"""The group of entry points that plug-ins are found by."""

_HOMES = {
    "task": "svertka.task_records.record",
    "network kind": "svertka.zoo.records",
    "network": "svertka.zoo.registry",
    "network family": "svertka.zoo.registry",
    "format": "svertka.data.readers.reading",
    "augmentation": "svertka.data.augmentation.augment",
    "result": "svertka.results",
    "media type": "svertka.runtime.inputs",
}
"""What there are registries of, and the module whose ``OWN`` gives Svertka's own things, by kind."""

_CLASSES = ("result", "media type")
"""Kinds of which classes are registered; of all else, values."""

_ADAPTERS = {"torch.nn.modules.module.Module": "svertka.zoo.modules:record_of_class"}
"""What makes a record of classes of other libraries, by the class that they inherit from."""

_OURS = "Svertka"
_LONGEST_NAME = 200
_SHOWN = 300  # characters of what a plug-in's exception says

# What a file may call a distribution and its version, as the packaging standards have it.
_DISTRIBUTION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+!_-]{0,59}")
_MOST_TOLD = 4  # distributions of a file's that an error names


class Registrable(Protocol):
    """What can be registered: it has a name, and knows which registry it belongs in."""

    registers: ClassVar[str]
    """A key of the registries, such as ``"task"``."""

    @property
    def name(self) -> str:
        """What it is asked for by; a result type by the name of its class, an input transform by its media type."""

    def check_parts(self) -> None:
        """See that it has every part, once all things that are registered with it are there.

        Raises:
            UserError: It lacks one.
        """


T = TypeVar("T")


class NameTakenError(UserError):
    """Two things of one kind have one name."""


@dataclass(frozen=True)
class Origin:
    """Who registered something.

    Attributes:
        who: In words.
        distribution, version: Of the package that an entry point named; empty for what was registered by a call.
    """

    who: str
    distribution: str = ""
    version: str = ""


class Registry(Mapping[str, T]):
    """Things of one kind by name: Svertka's own in their order, then those of plug-ins.

    Args:
        kind: What they are, such as ``"task"``.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __getitem__(self, name: str) -> T:
        return cast("T", registered(self.kind)[name])

    def __iter__(self) -> Iterator[str]:
        return iter(registered(self.kind))

    def __len__(self) -> int:
        return len(registered(self.kind))


class _State:
    # One for the process. A lock, since a server's threads ask as well.
    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.things: dict[str, dict[str, Any]] = {kind: {} for kind in _HOMES}
        self.origins: dict[tuple[str, str], Origin] = {}
        self.has_own: set[str] = set()
        self.loaded = False
        self.failed: NameTakenError | None = None
        self.loading: Origin | None = None

    def kept(self) -> _State:
        """What is registered now, to be gone back to."""
        kept = _State()
        kept.things = {kind: dict(found) for kind, found in self.things.items()}
        kept.origins, kept.has_own = dict(self.origins), set(self.has_own)
        return kept

    def go_back(self, kept: _State) -> None:
        """Forget what was registered since; Svertka's own things that were put since are put again when asked for."""
        self.things, self.origins, self.has_own = kept.things, kept.origins, kept.has_own


_state = _State()


def register(*things: Any) -> None:
    """Register a plug-in: tasks, networks, their kinds and families, formats, augmentations, results, media types.

    Either all of them are registered, or none. What is registered already may be registered again.

    Args:
        *things: Records, such as `svertka.task_records.record.TaskRecord`; subclasses of `svertka.results.Result`
            and of `svertka.runtime.inputs.InputTransform`; subclasses of `torch.nn.Module`, by the name
            ``package.module.Class``.

    Raises:
        UserError: Something is nothing that can be registered, lacks a part, or has the name of something else.
    """
    caller = sys._getframe(1).f_globals.get("__name__", "?")
    with _state.lock:
        origin = _state.loading or Origin(f"the module {caller}")
        before = _state.kept()
        try:
            placed = [_place(_registrable(thing), origin) for thing in things]
            for thing in placed:
                thing.check_parts()
        except BaseException:
            _state.go_back(before)
            raise


def put_in_place(thing: Any) -> None:
    """Register something in the place of what another call registered by its name: what a training is given itself.

    Raises:
        UserError: It lacks a part, or has the name of something of Svertka's.
    """
    with _state.lock:
        kind, name = thing.registers, _name(thing)
        registered(kind)
        if (kind, name) in _state.origins:
            del _state.things[kind][name], _state.origins[kind, name]
        register(thing)


def registered(kind: str) -> Mapping[str, Any]:
    """All things of a kind by name: Svertka's own in their order, then those of plug-ins.

    Raises:
        NameTakenError: Two plug-ins have one name, or one has a name of Svertka's.
    """
    if _state.failed is not None:
        raise _state.failed
    if not (_state.loaded and kind in _state.has_own):
        with _state.lock:
            _put_own(kind)
            if not _state.loaded and _state.loading is None:
                _load()
    return _state.things[kind]


def origin(kind: str, name: str) -> Origin | None:
    """Who registered it; None for what is Svertka's own, or nobody's."""
    return _state.origins.get((kind, name))


def distributions(*used: tuple[str, str]) -> dict[str, str]:
    """The version of every distribution that something came from, as a card's ``provenance["plugins"]`` has them.

    Args:
        *used: Kind and name of each thing.
    """
    found = [origin(kind, name) for kind, name in used]
    return {one.distribution: one.version for one in found if one is not None and one.distribution}


def missing_hint(provenance: Mapping[str, Any]) -> str | None:
    """What to install for a model file whose network or task is not here; None where its card does not say.

    It is text of a file, and is taken for no more: names and versions that are none are passed over, and nothing is
    installed or imported.

    Args:
        provenance: Of its card.
    """
    told = provenance.get("plugins")
    if not isinstance(told, Mapping):
        return None
    found = [
        f"{name} {version}"
        for name, version in list(told.items())[:_MOST_TOLD]
        if _DISTRIBUTION.fullmatch(str(name)) and isinstance(version, str) and _VERSION.fullmatch(version)
    ]
    if not found:
        return None
    return f"the file says that it needs the plug-in {' and '.join(found)}: install it if you trust where it comes from"


def _registrable(thing: Any) -> Any:
    if _can_register(thing):
        return thing
    for base in thing.__mro__ if isinstance(thing, type) else ():
        if adapter := _ADAPTERS.get(f"{base.__module__}.{base.__qualname__}"):
            module, _, name = adapter.partition(":")
            return getattr(importlib.import_module(module), name)(thing)
    what = thing.__name__ if isinstance(thing, type) else type(thing).__name__
    raise UserError(
        f"{what} is nothing that can be registered",
        mend="give a record such as a TaskRecord or a NetRecord, or a class of results, inputs or modules",
    )


def _can_register(thing: Any) -> bool:
    # The class of a value that can be registered is none itself.
    kind = getattr(thing, "registers", None)
    return isinstance(kind, str) and kind in _HOMES and isinstance(thing, type) == (kind in _CLASSES)


def _place(thing: Any, origin: Origin) -> Any:
    kind, name = thing.registers, _name(thing)
    _put_own(kind)
    known = _state.things[kind].get(name)
    if known is not None and not (known is thing or _equal(known, thing)):
        there = _state.origins.get((kind, name))
        if there is None or there != origin or origin.who != "the module __main__":  # a cell is run again
            raise NameTakenError(_two(kind, name, there, origin), mend="rename one, or uninstall what it comes from")
    if known is None or (kind, name) in _state.origins:
        _state.things[kind][name] = thing
        if origin.distribution or (kind, name) not in _state.origins:
            _state.origins[kind, name] = origin
    return thing


def _two(kind: str, name: str, there: Origin | None, origin: Origin) -> str:
    if there is None:
        return f"{origin.who} has a {kind} called {name!r}, and so has {_OURS} itself"
    return f"{there.who} and {origin.who} both have a {kind} called {name!r}"


def _equal(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except Exception:  # of arrays, for one
        return False


def _name(thing: Any) -> str:
    name = {"result": "__name__", "media type": "media"}.get(thing.registers, "name")
    name = getattr(thing, name)
    if not isinstance(name, str) or not name or name != name.strip() or len(name) > _LONGEST_NAME:
        raise UserError(
            f"a {thing.registers} is called {str(name)[:50]!r}",
            mend=f"its name is text, at most {_LONGEST_NAME} characters",
        )
    if harmless(name) != name or any(sign in name for sign in "\n\t,"):
        raise UserError(
            f"a {thing.registers} is called {name!r}", mend="a name has no commas and no control characters"
        )
    return name


def lacks(kind: str, name: str, part: str, wanted: str) -> UserError:
    """The error of a thing that lacks a part.

    Args:
        kind, name: Of the thing.
        part: Name of the part.
        wanted: What it is.
    """
    return UserError(f"the {kind} {name!r} lacks its {part}", mend=f"{part} is {wanted}")


def _put_own(kind: str) -> None:
    if kind in _state.has_own:
        return
    own: Callable[[], Iterable[Any]] = importlib.import_module(_HOMES[kind]).OWN[kind]
    _state.things[kind] = {_name(thing): thing for thing in own()} | _state.things[kind]
    _state.has_own.add(kind)


def _load() -> None:
    found = sorted(
        importlib.metadata.entry_points(group=GROUP),
        key=lambda entry: (entry.dist.name if entry.dist else "", entry.name),
    )
    for entry in found:
        name, version = (entry.dist.name, entry.dist.version) if entry.dist else ("", "")
        who = f"the plug-in {name} {version}" if name else f"the plug-in {entry.name}"
        _state.loading = Origin(harmless(who), name, version)
        before = _state.kept()
        try:
            _take(entry.load())
        except NameTakenError as error:
            _state.failed = error
            raise
        except (Exception, SystemExit) as error:
            _state.go_back(before)
            _say_skipped(who, error)
        finally:
            _state.loading = None
    _state.loaded = True


def _take(found: Any) -> None:
    if isinstance(found, ModuleType):
        own = [thing for thing in vars(found).values() if _is_own(thing, found)]
        register(*own)
    elif _can_register(found) or isinstance(found, type):
        register(found)
    elif isinstance(found, Iterable):
        register(*found)
    else:
        found()


def _is_own(thing: Any, module: ModuleType) -> bool:
    # A class of results that a module imports is not its own.
    return _can_register(thing) and (not isinstance(thing, type) or thing.__module__ == module.__name__)


def _say_skipped(who: str, error: BaseException) -> None:
    if multiprocessing.parent_process() is not None:  # the process that started this one has said it
        return
    reason = " ".join(f"{type(error).__name__}: {error}".split())[:_SHOWN]
    if isinstance(error, UserError):
        reason = str(error)[:_SHOWN]
    _LOGGER.warning("svertka: warning: %s", harmless(f"{who} is skipped: {reason}"))

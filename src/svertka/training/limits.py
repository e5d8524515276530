"""Fields of a dataclass with limits beside them: a number, a choice, a text, names; checked as it is made."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from svertka.errors import UserError
from svertka.spelling import names_of

_CHECK = "check"


class ImpossibleError(Exception):
    """A value that a field cannot have; says what it must be."""


@dataclass(frozen=True)
class Limited:
    """Fields that are checked when they are set; those of `limited` and the like below."""

    def __post_init__(self) -> None:
        """Check every value.

        Raises:
            UserError: One is impossible.
        """
        for item in dataclasses.fields(self):
            value = getattr(self, item.name)
            try:
                found = item.metadata[_CHECK](value)
            except ImpossibleError as error:
                raise UserError(f"{item.name.replace('_', '-')} is {value!r}", mend=f"it must be {error}") from None
            object.__setattr__(self, item.name, found)


def limited(default: Any, check: Callable[[Any], Any]) -> Any:
    """A field.

    Args:
        default: Its value if none is given; of one that is a mapping, what makes it.
        check: From a value, which may be anything, to what is kept of it; raises `ImpossibleError`.
    """
    if callable(default):
        return dataclasses.field(default_factory=default, metadata={_CHECK: check})
    return dataclasses.field(default=default, metadata={_CHECK: check})


def number(
    default: float | None,
    low: float,
    high: float = math.inf,
    *,
    spelt: Callable[[Any], Any] = lambda value: value,
) -> Any:
    """A field that is a number from ``low`` to ``high``, or not given if that is its default.

    Args:
        default: Its value if none is given.
        low, high: The least and the most.
        spelt: Makes a number of how it may be written.
    """

    def check(value: Any) -> Any:
        value = spelt(value)
        if value is None and default is None:
            return None
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            raise ImpossibleError("a number")
        if not low <= value <= high:
            raise ImpossibleError(f"at least {low:g}" if high == math.inf else f"between {low:g} and {high:g}")
        return float(value)  # so that 1 and 1.0 are written alike

    return limited(default, check)


def whole(default: int | None, low: float, high: float = math.inf, *, but: Mapping[int, str] | None = None) -> Any:
    """The same of whole numbers.

    Args:
        default: Its value if none is given.
        low, high: The least and the most.
        but: Numbers between them that are impossible, each with what it must be instead.
    """
    within = number(default, low, high).metadata[_CHECK]

    def check(value: Any) -> Any:
        if within(value) is None:
            return None
        if value != int(value):
            raise ImpossibleError("a whole number")
        if but and value in but:
            raise ImpossibleError(but[int(value)])
        return int(value)

    return limited(default, check)


def one_of(default: str, kind: Any) -> Any:
    """A field that is one of the values of a ``Literal``."""

    def check(value: Any) -> Any:
        if value not in get_args(kind):
            raise ImpossibleError(f"one of {', '.join(get_args(kind))}")
        return value

    return limited(default, check)


def text(default: str | None, wanted: str) -> Any:
    """A field that is a text or a path, or not given if that is its default; ``wanted`` says what it stands for."""

    def check(value: Any) -> Any:
        value = os.fspath(value) if isinstance(value, os.PathLike) else value
        if not isinstance(value, str) and not (value is None and default is None):
            raise ImpossibleError(wanted)
        return value

    return limited(default, check)


def yes_or_no(default: bool) -> Any:
    """A field that is true or false."""

    def check(value: Any) -> Any:
        if not isinstance(value, bool):
            raise ImpossibleError("true or false")
        return value

    return limited(default, check)


def table(wanted: str) -> Any:
    """A field that is a mapping, empty by default."""

    def check(value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise ImpossibleError(wanted)
        return value

    return limited(dict, check)


def names(default: tuple[str, ...], *, known: tuple[str, ...] = (), least: int = 0) -> Any:
    """A field that is a list of names, each once; written as a text, they have commas between them.

    Args:
        default: Its value if none is given.
        known: All that there are; without any, that is checked elsewhere.
        least: How many there must be.
    """
    wanted = f"some of {', '.join(known)}" if known else f"a list of names{', at least one' if least else ''}"

    def check(value: Any) -> Any:
        found = _listed(value, wanted)
        if len(found) < least or (known and not all(name in known for name in found)):
            raise ImpossibleError(wanted)
        return tuple(dict.fromkeys(found))

    return limited(default, check)


def steps(default: tuple[str, ...]) -> Any:
    """The same of names that are followed in their order, maybe twice; ``none`` stands for no name."""

    def check(value: Any) -> Any:
        named = (name.strip() for names in _listed(value, "a list of names") for name in names.split(","))
        return tuple(name for name in named if name not in ("none", ""))

    return limited(default, check)


def _listed(value: Any, wanted: str) -> tuple[str, ...]:
    given = (names_of(value) or ("none",)) if isinstance(value, str) else value
    if not isinstance(given, list | tuple):
        raise ImpossibleError("a list of names")
    if not all(isinstance(name, str) for name in given):
        raise ImpossibleError(wanted)
    return tuple(given)

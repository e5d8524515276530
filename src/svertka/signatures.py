"""Calls of what is public: a keyword that a function or a class does not have is answered with the nearest one, and one
that a class lacks is named."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from svertka.errors import UserError, nearest

T = TypeVar("T")


class UnknownArgumentError(UserError, TypeError):
    """A function or a class was called with a keyword that it does not have."""


class MissingArgumentError(UserError, TypeError):
    """A class was called without a keyword that it needs."""


def checked(function: Callable[..., Any], others: Callable[[], Iterable[str]]) -> Callable[..., Any]:
    """The function, which raises `UnknownArgumentError` for a keyword that it does not have.

    Args:
        function: What is called.
        others: Gives the names that its ``**keywords`` may have, if it takes any.
    """
    signature = inspect.signature(function)
    known = [name for name, parameter in signature.parameters.items() if parameter.kind != parameter.VAR_KEYWORD]
    takes_others = len(known) < len(signature.parameters)

    @functools.wraps(function)
    def call(*arguments: Any, **keywords: Any) -> Any:
        names = [*known, *others()] if takes_others else known
        _check(function.__name__, keywords, names)
        return function(*arguments, **keywords)

    return call


def checked_class(kind: type[T]) -> type[T]:
    """The dataclass, which raises `UnknownArgumentError` for a keyword that is no field, and `MissingArgumentError` for
    a field that is not given and has no default."""
    fields = dataclasses.fields(kind)  # type: ignore[arg-type]
    names = [field.name for field in fields]
    given = (dataclasses.MISSING, dataclasses.MISSING)
    needed = [field.name for field in fields if (field.default, field.default_factory) == given]
    initialise = kind.__init__

    @functools.wraps(initialise)
    def checking(self: T, *arguments: Any, **keywords: Any) -> None:
        _check(kind.__name__, keywords, names)
        if absent := [name for name in needed if name not in {*names[: len(arguments)], *keywords}]:
            called = next((value for value in (*arguments[:1], keywords.get("name")) if isinstance(value, str)), None)
            which = kind.__name__ if called is None else f"{kind.__name__} {called!r}"
            raise MissingArgumentError(f"the {which} lacks its {', '.join(absent)}")
        initialise(self, *arguments, **keywords)

    kind.__init__ = checking  # type: ignore[assignment]
    return kind


def _check(called: str, keywords: Iterable[str], names: list[str]) -> None:
    for name in keywords:
        if name not in names:
            raise UnknownArgumentError(f"svertka.{called}() has no parameter {name!r}", mend=nearest(name, names))

"""Calls of the public functions: a keyword that a function does not have is answered with the nearest one."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any

from svertka.errors import UserError, nearest


class UnknownArgumentError(UserError, TypeError):
    """A function was called with a keyword that it does not have."""


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which raises `UnknownArgumentError` for a keyword that neither it nor the recipe has."""
    signature = inspect.signature(function)
    known = [name for name, parameter in signature.parameters.items() if parameter.kind != parameter.VAR_KEYWORD]
    takes_recipe = len(known) < len(signature.parameters)

    @functools.wraps(function)
    def call(*arguments: Any, **keywords: Any) -> Any:
        names = [*known, *_fields_of_recipe()] if takes_recipe else known
        for name in keywords:
            if name not in names:
                what = f"svertka.{function.__name__}() has no parameter {name!r}"
                raise UnknownArgumentError(what, mend=nearest(name, names))
        return function(*arguments, **keywords)

    return call


def _fields_of_recipe() -> list[str]:
    from svertka.training.recipe import Recipe

    return [field.name for field in dataclasses.fields(Recipe)]

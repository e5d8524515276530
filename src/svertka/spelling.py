"""How values are spelt, on the command line and in Python alike."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from svertka.errors import UserError

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def seconds_of(value: str | float) -> float:
    """Seconds: a number, or text such as ``90``, ``90s``, ``1.5m`` or ``2h``.

    Raises:
        UserError: It is no time.
    """
    if not isinstance(value, str):
        return value
    number, unit = (value[:-1], value[-1]) if value[-1:] in _UNITS else (value, "s")
    try:
        return float(number) * _UNITS[unit]
    except ValueError:
        raise UserError(f"{value} is no time", mend="give seconds, or a number with s, m or h") from None


Given = str | bytes | os.PathLike[str]


def texts_of(given: Given | Iterable[Given]) -> list[str]:
    """One path or name, or many, as a list; a text is one of them, never many letters.

    Raises:
        UserError: It is something else, or one is empty.
    """
    try:
        texts = [os.fsdecode(one) for one in ([given] if isinstance(given, str | bytes | os.PathLike) else given)]
    except TypeError:
        what = f"{type(given).__name__} is neither a path or name nor several of them"
        raise UserError(what, mend="give a str, a pathlib.Path, or a list of them") from None
    if "" in texts:
        raise UserError("a path or name is empty")
    return texts


def paths_of(given: Given | Iterable[Given]) -> list[Path]:
    """One path or many, as a list; see `texts_of`."""
    return [Path(text) for text in texts_of(given)]


def names_of(given: Given | Iterable[Given]) -> tuple[str, ...]:
    """Names, of which a text may hold several with commas between them, unless it is a path that is there.

    ``none`` stands for no name.
    """
    pieces = [piece for text in texts_of(given) for piece in ([text] if Path(text).exists() else text.split(","))]
    return tuple(piece.strip() for piece in pieces if piece.strip() not in ("", "none"))


def numbers_of(given: int | str | Iterable[int | str]) -> tuple[int, ...]:
    """Whole numbers: one, many, or text with commas between them.

    Raises:
        UserError: One is no whole number.
    """
    values = [given] if isinstance(given, int | str) else list(given)
    pieces = [piece for value in values for piece in (value.split(",") if isinstance(value, str) else [value])]
    try:
        return tuple(int(piece) for piece in pieces)
    except ValueError:
        raise UserError(f"{given!r} is no whole number") from None


def place_of(data: object) -> Path:
    """Where a data set lies, for what reads files.

    Raises:
        UserError: It lies in memory.
    """
    if isinstance(data, str | os.PathLike):
        return Path(data)
    raise UserError(
        f"{type(data).__name__} is no path", mend="give a folder or a file; train and evaluate take data in memory too"
    )

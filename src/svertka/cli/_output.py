"""What every command prints alike."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from cyclopts import Parameter, Token


def whole(kind: type, tokens: Sequence[Token]) -> int:
    """A flag's whole number. The library would round."""
    del kind
    text = tokens[0].value
    if not float(text).is_integer():
        raise ValueError(f"{text} is not a whole number")
    return int(float(text)) if "." in text else int(text)


def duration(kind: type, tokens: Sequence[Token]) -> float:
    """A flag's seconds: ``90``, ``90s``, ``1.5m`` or ``2h``."""
    del kind
    text = tokens[0].value
    number, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS else (text, "s")
    try:
        return float(number) * _UNITS[unit]
    except ValueError:
        raise ValueError(f"{text} is no time: give seconds, or a number with s, m or h") from None


_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}

Whole = Annotated[int, Parameter(converter=whole)]
Flag = Annotated[bool, Parameter(negative=())]
Json = Annotated[bool, Parameter(negative=(), help="Print one JSON document and nothing else.")]


def apart(names: Sequence[str]) -> tuple[str, ...]:
    """The names of a flag that were given with commas, spaces, or both."""
    return tuple(name for given in names for name in given.split(","))


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:  # a file name that is no UTF-8, or a terminal that is none
        text = json.dumps(value, indent=2)
    print(text)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, right: Sequence[str] = ()) -> None:
    """A table in plain text, numbers to the right, and what stands in the columns ``right``."""
    texts = [[_text(value) for value in row] for row in rows]
    widths = [max(len(text) for text in column) for column in zip(columns, *texts, strict=True)]
    to_right = [
        column in right or (bool(rows) and all(isinstance(row[number], int | float) for row in rows))
        for number, column in enumerate(columns)
    ]
    for line in [list(columns), *texts]:
        cells = [
            text.rjust(width) if aligned else text.ljust(width)
            for text, width, aligned in zip(line, widths, to_right, strict=True)
        ]
        print("  ".join(cells).rstrip())


def metrics_line(metrics: Mapping[str, float]) -> str:
    """Metrics on one line."""
    return ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in metrics.items())


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) else str(value)

"""What every command prints alike."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from cyclopts import Parameter, Token

from svertka.errors import UserError, harmless
from svertka.spelling import seconds_of


def say(text: object = "", *, end: str = "\n", flush: bool = False) -> None:
    """Print text on standard output, harmless to a terminal whatever file or class names are in it."""
    print(harmless(str(text)), end=end, flush=flush)


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
    try:
        return seconds_of(tokens[0].value)
    except UserError as error:
        raise ValueError(str(error)) from None


Whole = Annotated[int, Parameter(converter=whole)]
Flag = Annotated[bool, Parameter(negative=())]
Json = Annotated[bool, Parameter(negative=(), help="Print one JSON document and nothing else.")]


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    if harmless(text) != text:  # JSON has its own way to write these
        text = json.dumps(value, indent=2)
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
        say("  ".join(cells).rstrip())


def metrics_line(metrics: Mapping[str, float]) -> str:
    """Metrics on one line."""
    return ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in metrics.items())


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) else " ".join(str(value).split("\n"))

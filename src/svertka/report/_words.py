"""How numbers and names are written in the report."""

from __future__ import annotations

import math
import re
from pathlib import Path

MISSING = "–"
_LONGEST = 48
# Folders above a file, from the root on; neither an address (https://…) nor part of a relative path.
_FOLDERS = re.compile(r"(?<![\w.:/~…-])(?:/|[A-Za-z]:[\\/])(?:[^\\/\s\"'<>]+[\\/])+(?=[^\\/\s\"'<>])")
_BEFORE_UNIT = re.compile(r"(?<=\d) (?=(?:%|[a-zA-Zµ]{1,3})(?!\w))")


def figure(value: float) -> str:
    """A measured value with about three significant digits; a dash when it was not measured."""
    size = abs(value)
    if math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if size >= 1000 or (size >= 10 and value == round(value)):
        text = f"{value:,.0f}"
    elif size >= 0.1 and value != round(value):
        text = f"{value:.{1 if size >= 10 else 2 if size >= 1 else 3}f}"
    else:
        text = f"{value:.3g}"
    return text.replace("-", "−")


def cell(value: str | int | float | None) -> str:
    """A table's entry: counts with thousands separators, a float as a fraction of one with three digits."""
    if isinstance(value, str):
        return value
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and math.isinf(value):
        return figure(value)
    return (f"{value:.3f}" if isinstance(value, float) else f"{value:,}").replace("-", "−")


def percent(share: float) -> str:
    """A fraction of one as a percentage with one digit."""
    return f"{100 * share:.1f}\N{NO-BREAK SPACE}%"


def unbroken(text: str) -> str:
    """``text`` whose numbers stay on one line with their units."""
    return _BEFORE_UNIT.sub("\N{NO-BREAK SPACE}", text)


def without_folders(text: str) -> str:
    """``text`` with absolute paths cut to their last name, for a page is sent on to people elsewhere.

    A home folder is known as such, for its name may have spaces.
    """
    return _FOLDERS.sub("", text.replace(f"{Path.home()}/", "") if Path.home() != Path("/") else text)


def isolated(name: str) -> str:
    """A name for a tooltip, where there is no ``<bdi>``: short, and unable to turn the text around it."""
    short = name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"
    return f"\N{FIRST STRONG ISOLATE}{short}\N{POP DIRECTIONAL ISOLATE}"

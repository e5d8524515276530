"""How counts and rates are written, wherever a person reads them."""

from __future__ import annotations

import re
from collections.abc import Sequence

_HISSING = re.compile(r"(s|x|z|(?<!epo)ch|sh)$")  # an epoch ends in a hard sound
_CONSONANT_Y = re.compile(r"(?<=[^aeiou])y$")


def counted(count: int, one: str, several: str = "") -> str:
    """A count with what it counts: ``1 box``, ``1,234 boxes``. Arguments are those of `inflected`."""
    return f"{count:,} {inflected(count, one, several)}"


def inflected(count: int, one: str, several: str = "") -> str:
    """The words that agree with a count: ``box`` or ``boxes``, ``is`` or ``are``.

    Args:
        count: How many there are.
        one: The words for one of them, the noun last.
        several: The words for more or none, where they are not the regular plural of ``one``, as in ``images have``.
    """
    return one if count == 1 else several or _plural(one)


def none_can(count: int, one: str) -> str:
    """``none of the 3 images can``, or ``the only image cannot``: all that there were have failed."""
    return f"the only {one} cannot" if count == 1 else f"none of the {counted(count, one)} can"


def some(names: Sequence[str], most: int = 5) -> str:
    """The first of many names, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")


def _plural(one: str) -> str:
    if one.endswith("series"):
        return one
    if _CONSONANT_Y.search(one):
        return _CONSONANT_Y.sub("ies", one)
    return one + ("es" if _HISSING.search(one) else "s")


def rate_text(rate: float, one: str = "image") -> str:
    """Images a second, or so many of something else, as text: a slow rate keeps two digits and is never shown as 0."""
    number = f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"
    return f"{number} {inflected(2, one)}/s"

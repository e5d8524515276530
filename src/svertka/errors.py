"""The one exception that means: the user can mend this."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

# C0 but for tab and newline, DEL and C1, separators of lines, and what turns the direction of text.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def harmless(text: str) -> str:
    """Text that may come from a file, with control characters as ``\\x1b``: no terminal obeys it."""
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class UserError(Exception):
    """A mistake in what the user gave: one line that says where, what, and how to mend it.

    The command line prints it without a traceback and exits with status 2.
    """

    def __init__(self, what: str, *, where: object = None, mend: str | None = None) -> None:
        self.what = what
        self.where = None if where is None else str(where)
        self.mend = mend
        super().__init__(what)

    def __str__(self) -> str:
        line = self.what if self.where is None else f"{self.where}: {self.what}"
        if self.mend:
            line = f"{line}; {self.mend}"
        return harmless(" ".join(line.split()))

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.what, self.where, self.mend)


def _rebuild(kind: type[UserError], what: str, where: str | None, mend: str | None) -> UserError:
    return kind(what, where=where, mend=mend)


def nearest(name: str, known: Iterable[str]) -> str:
    """How to mend a misspelt name: the closest known ones, or all of them."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(close)}?" if close else f"one of: {', '.join(known)}"

"""What is found wrong with a data set, how bad it is, and how to mend it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from svertka.wording import counted

Severity = Literal["error", "warning", "note"]
"""An error spoils training or its figures; a warning may; a note is good to know."""

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True, slots=True)
class Exhibited:
    """A picture that shows what was found.

    Attributes:
        name: Of the sample.
        caption: A few words in bold.
        detail: A line below.
    """

    name: str
    caption: str
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One kind of fault, with all files that have it.

    Attributes:
        kind: Its name, such as ``near_duplicates``.
        severity: How bad it is.
        message: What was found, in a sentence.
        mend: What to do about it.
        count: How many there are of what the message counts.
        files: The files or records, each with what is wrong with it where that differs.
        groups: Files that belong together, such as copies of one image.
        exhibited: Pictures, the plainest first.
        leave_out: Samples that a cleaned copy does without.
        rename: Class names that a cleaned copy spells otherwise.
    """

    kind: str
    severity: Severity
    message: str
    mend: str
    count: int
    files: Sequence[str] = ()
    groups: Sequence[Sequence[str]] = ()
    exhibited: Sequence[Exhibited] = ()
    leave_out: Sequence[str] = ()
    rename: Mapping[str, str] = field(default_factory=dict)

    def line(self) -> str:
        """In one line of text."""
        return f"{self.severity}: {self.message}; {self.mend}"

    def lines(self) -> list[str]:
        """The files, or the groups of them where they belong together, a line each."""
        return [" = ".join(group) for group in self.groups] or list(self.files)

    def to_json(self) -> dict[str, Any]:
        """As a JSON object: all that the text and the page say, and what a cleaned copy does about it."""
        return {
            "kind": self.kind,
            "severity": self.severity,
            "message": self.message,
            "mend": self.mend,
            "count": self.count,
            "files": list(self.files),
            "groups": [list(group) for group in self.groups],
            "pictures": [{"file": one.name, "caption": one.caption, "detail": one.detail} for one in self.exhibited],
            "leave_out": list(self.leave_out),
            "rename": dict(self.rename),
        }


def images(count: int) -> str:
    """``1 image`` or ``1,234 images``."""
    return counted(count, "image")

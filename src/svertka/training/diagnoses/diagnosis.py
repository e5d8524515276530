"""What the doctor says: what is wrong, how sure that is, by what it is seen, and the one thing to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from svertka.exhibits import Bars, Curves

_MOST = 24  # images that are named


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """One thing that is wrong with a training.

    Attributes:
        kind: Its name, such as ``dead_relus``.
        confidence: From 0 to 1.
        message: What is wrong, in a sentence with figures.
        mend: The one thing to do about it.
        evidence: What it is seen by.
        images: Files that it is about, the plainest first.
        update: Which update of a step it is about, where there are several, and where it is not about the data.
    """

    kind: str
    confidence: float
    message: str
    mend: str
    evidence: Curves | Bars
    images: Sequence[str] = ()
    update: str = ""

    @property
    def name(self) -> str:
        """Its kind, and of which update."""
        return f"{self.kind} ({self.update})" if self.update else self.kind

    @property
    def title(self) -> str:
        """That in words."""
        return self.name.replace("_", " ")

    def line(self) -> str:
        """In one line of text."""
        return f"{self.title}: {self.message}; {self.mend}"

    def to_json(self) -> dict[str, Any]:
        """As a JSON object; the evidence by line, as pairs."""
        if isinstance(self.evidence, Curves):
            drawn: dict[str, Any] = {
                curve.name: [list(pair) for pair in zip(curve.x, curve.y, strict=True)]
                for curve in self.evidence.curves
            }
        else:
            drawn = dict(self.evidence.items)
        return {
            "kind": self.kind,
            "confidence": round(self.confidence, 2),
            "message": self.message,
            "mend": self.mend,
            "evidence": {"title": self.evidence.title, "values": drawn},
            "images": list(self.images[:_MOST]),
            **({"update": self.update} if self.update else {}),
        }

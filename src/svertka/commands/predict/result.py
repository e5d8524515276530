"""What is predicted of a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from svertka.results import Result


@dataclass(frozen=True)
class Prediction:
    """What came of one file.

    Attributes:
        file: Its path.
        result: What is predicted.
        error: The reason why nothing is.
        size: Height and width of the upright image, in pixels; of a series, its length.
    """

    file: str
    result: Result | None = None
    error: str | None = None
    size: tuple[int, ...] | None = None

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        if self.result is None:
            return {"file": self.file, "error": self.error}
        return {"file": self.file, **self.result.to_json()}

    def line(self) -> str:
        """In one line of text."""
        return " ".join(f"{self.file}: {self.result.line() if self.result else self.error}".splitlines())

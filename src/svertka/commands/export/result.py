"""What came of exporting a model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from svertka.runtime.deployment import Deployment


@dataclass(frozen=True)
class Exported:
    """What came of an export.

    Attributes:
        model: The exported file.
        format: Its format.
        bytes: Its size.
        max_abs_diff: Largest absolute difference to the golden outputs, of all engines here.
        deployment: How it is run best; None where that was not measured.
        measured: Where there were images to measure with: every engine and precision that was tried, with its score and
            times or the reason why it was refused (``trials``), what it was judged by (``metric``, ``judged_on``,
            ``images``, ``score`` in single precision), ``threads``, and the layers that were left in single precision.
    """

    model: Path
    format: str
    bytes: int
    max_abs_diff: float
    deployment: Deployment | None = None
    measured: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "model": str(self.model),
            "format": self.format,
            "bytes": self.bytes,
            "max_abs_diff": self.max_abs_diff,
            "deployment": None if self.deployment is None else self.deployment.to_json(),
            "measured": self.measured,
        }

"""What came of verifying a model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class EngineCheck:
    """How far one engine is from the golden outputs, and how far it may be."""

    name: str
    max_abs_diff: float
    tolerance: float

    @property
    def ok(self) -> bool:
        """Whether that is near enough."""
        return self.max_abs_diff <= self.tolerance


@dataclass(frozen=True)
class Verification:
    """What each engine made of the golden inputs.

    Attributes:
        model: The model file.
        golden: Number of golden inputs.
        tolerance: How far engines may be from their outputs: 1e-4, or, of an exported graph of lower precision, what
            was measured when it was exported.
        engines: Those that were run.
        absent: Engines that could not be run here, and why.
    """

    model: Path
    golden: int
    tolerance: float
    engines: tuple[EngineCheck, ...]
    absent: dict[str, str]

    @property
    def ok(self) -> bool:
        """Whether every engine that was run reproduces the golden outputs."""
        return bool(self.engines) and all(engine.ok for engine in self.engines)

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "ok": self.ok,
            "model": str(self.model),
            "golden": self.golden,
            "tolerance": self.tolerance,
            "engines": [{"name": engine.name, "max_abs_diff": engine.max_abs_diff} for engine in self.engines],
            "absent": self.absent,
        }

"""What comes of a short test before training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Trial:
    """What came of a test before training; nothing that was learnt is kept.

    Attributes:
        test: ``find_lr`` or ``check_wiring``.
        ok: Whether all is well: of ``find_lr`` always.
        lr: The suggested learning rate; of ``check_wiring``, the one at which the batch was learnt best.
        rates: Learning rate of each step.
        losses: Loss of each step; of ``find_lr`` a running mean.
        faults: What is wrong, the likeliest first.
        images: Images that were learnt from.
        report: The page with the curve, where a folder was given.
    """

    test: str
    ok: bool
    lr: float
    rates: tuple[float, ...]
    losses: tuple[float, ...]
    faults: tuple[str, ...]
    images: int
    report: Path | None = None

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {**vars(self), "report": None if self.report is None else str(self.report)}

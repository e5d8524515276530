"""Where a training run stands: what a checkpoint keeps beside tensors."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class TrainingState:
    """Where a run stands, at the end of an optimiser step. Plain values: it is saved as JSON."""

    epoch: int = 0
    batches_done: int = 0
    steps: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = -1
    best_rank: list[float] = field(default_factory=list)
    stale: int = 0
    plateau: float = 1.0
    plateau_stale: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

"""What one step of learning from trained weights gives, to be compared with what others gave."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from svertka.data.batching.batches import Inputs
from svertka.training.loop import Outcome


@dataclass
class Candidate:
    """A network that came of one step.

    Attributes:
        name: What was done.
        depth: How many of its first stages are as they were.
        module: What has learnt: the head's rule, what follows the frozen stages, or the whole network.
        inputs: What that gets, by part.
        weights: State of the whole network.
        seconds: How long it took.
        outcome: Of training by gradient descent, if that was how.
        record: What was chosen.
        metrics: On validation; empty where nothing was held out.
    """

    name: str
    depth: int
    module: nn.Module
    inputs: dict[str, Inputs]
    weights: dict[str, Tensor]
    seconds: float
    outcome: Outcome | None
    record: dict[str, Any]
    metrics: dict[str, float] = field(default_factory=dict)

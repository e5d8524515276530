"""Learning from trained weights: frozen stages are run once an image, and what learns is trained on what they gave."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from svertka.data.batches import Inputs, Loader, Part, Pixels
from svertka.data.memory import VIEWS, Remembered, Store, memory_bytes, remember
from svertka.deploy.bulk import Bulk, fastest
from svertka.errors import UserError, nearest
from svertka.layers.transfer import TransferHead, transfer_head
from svertka.layers.trunk import Classifier, Trunk
from svertka.training import heads, speed
from svertka.training.checkpoint import Checkpoints
from svertka.training.evaluation import evaluate
from svertka.training.loop import Outcome, Training
from svertka.training.machine import start_fabric
from svertka.zoo.transfer import Start, default_taps, scale_logits, start_from

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from svertka.data.preparing import Prepared
    from svertka.runtime.preprocess import Preprocess
    from svertka.tasks.classification import Classification
    from svertka.tasks.task import Evaluation
    from svertka.training.recipe import Recipe
    from svertka.verbs._progress import Display

_HIDDEN = 256  # units of the small perceptron
_MLP_EPOCHS, _MLP_LR = 60, 1e-3
_EXAMPLES = 16  # images that engines are timed with


@dataclass
class Transfer:
    """One way from trained weights to a network for other classes.

    Attributes:
        recipe: With nothing left open that is decided here.
        prepared: The images.
        task: What to learn.
        preprocess: As the weights were trained with, for these images.
        display: Is told how it goes.
        fabric: Devices and processes.
        folder: Of the run.
    """

    recipe: Recipe
    prepared: Prepared
    task: Classification
    preprocess: Preprocess
    display: Display
    fabric: Fabric
    folder: Path
    start: Start
    seconds: dict[str, float] = field(default_factory=dict)
    tried: list[dict[str, Any]] = field(default_factory=list)
    _bulk: dict[int, Bulk] = field(default_factory=dict)

    @property
    def net(self) -> Classifier:
        """The network, changed in place."""
        return self.start.net

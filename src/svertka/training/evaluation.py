"""Judging a network by a part of the data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from svertka.tasks.task import Evaluation, Output, Task


def evaluate(forward: Callable[..., Output], task: Task, batches: Iterator[Any], *, processes: int = 1) -> Evaluation:
    """Run all batches through ``forward`` and score the outputs.

    Args:
        forward: Inputs ``(N, …)`` float32, and what the network is given beside them, to raw output; all on the
            processor.
        task: Says what counts.
        batches: With ``inputs``, ``targets`` and ``indices``.
        processes: Number of processes that each judge a share; all of them get the whole evaluation.
    """
    score = task.score()
    with torch.inference_mode():
        for batch in batches:
            score.update(task.run(forward, batch.inputs, batch.targets), batch.targets, batch.indices)
    arrays = score.arrays()
    if processes > 1:
        arrays = _gather(arrays, processes)
    order = np.argsort(arrays["indices"], kind="stable")
    return score.evaluate({name: values[order] for name, values in arrays.items()})


def _gather(arrays: dict[str, NDArray[Any]], processes: int) -> dict[str, NDArray[Any]]:
    gathered: list[dict[str, NDArray[Any]]] = [{} for _ in range(processes)]
    torch.distributed.all_gather_object(gathered, arrays)
    names = next(share.keys() for share in gathered if share)
    return {name: np.concatenate([share[name] for share in gathered if share]) for name in names}

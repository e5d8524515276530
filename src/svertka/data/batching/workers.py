"""Processes that prepare batches beside training, and the shared memory in which they hand them over."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from svertka.errors import UserError

SHARED_MEMORY = Path("/dev/shm")
"""Where Linux keeps shared memory; other systems have none that is limited like this."""

_AHEAD = 2  # batches that each worker prepares ahead, as PyTorch has it
_IN_USE = 2  # one that is learnt from, one that arrives
_ENDED = "DataLoader worker (pid"  # how PyTorch's message begins that one is gone
_BESIDES = 1 << 20  # bytes for queues and locks


def workers_that_fit(workers: int, batch_bytes: int) -> int:
    """How many of so many workers there is shared memory for.

    Args:
        workers: Number that is wanted.
        batch_bytes: Size of a batch.
    """
    try:
        multiprocessing.Lock()  # it lies in shared memory, as those of the workers' queues
    except (OSError, ImportError):
        return 0
    try:
        found = os.statvfs(SHARED_MEMORY)
    except OSError:
        return workers
    free = found.f_bavail * found.f_frsize - _BESIDES
    fitting = (free // max(1, batch_bytes) - _IN_USE) // _AHEAD
    return min(workers, max(0, fitting))


def from_workers(samples: Dataset[Any], keys: Sequence[Any], workers: int) -> Iterator[Any]:
    """What ``samples`` has for each of the keys, in order, prepared by other processes.

    What these cannot hand over, because shared memory has become full, is prepared here.

    Raises:
        UserError: A sample cannot be had, or the system starts no worker, or ended one.
    """
    with _in_one_line():
        # batch_size=None: a key already stands for a whole batch. Started at once, since starting draws from the
        # generator that the steps of training draw from.
        loader = DataLoader(_Answering(samples), sampler=keys, batch_size=None, num_workers=workers)
        return _answers(samples, keys, iter(loader))


def _answers(samples: Dataset[Any], keys: Sequence[Any], answers: Iterator[Any]) -> Iterator[Any]:
    for key in keys:
        with _in_one_line():
            answer = next(answers)
        if isinstance(answer, UserError):
            raise answer
        yield samples[key] if answer is None else answer


@contextmanager
def _in_one_line() -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError) as error:
        if not isinstance(error, OSError) and _ENDED not in str(error):
            raise
        raise UserError(
            f"no other process can prepare batches here ({' '.join(str(error).split())})",
            mend=f"give --workers 0, or make more room in {SHARED_MEMORY} and in memory",
        ) from error


class _Answering(Dataset[Any]):
    """Samples as workers hand them over: tensors in shared memory, the user's mistake, or None if there is no room.

    Raised in a worker, an error would come with the worker's traceback; and what a queue has no room for, it drops.
    """

    def __init__(self, samples: Dataset[Any]) -> None:
        self.samples = samples

    def __getitem__(self, key: Any) -> Any:
        try:
            answer = self.samples[key]
        except UserError as error:
            return error
        except OSError as error:
            return UserError(str(error.strerror or error), where=error.filename)
        try:
            for value in answer:
                if isinstance(value, Tensor):
                    value.share_memory_()  # type: ignore[no-untyped-call]
        except RuntimeError:
            return None
        return answer

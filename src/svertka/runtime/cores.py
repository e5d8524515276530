"""How many processors this process may use."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

MOST_THREADS: Final = 1024
"""What any flag of threads may ask for: beyond, systems run out of them."""
_limit = math.inf
"""Set by `limited_cores`; of the process, for its threads share its processors."""


@contextmanager
def limited_cores(threads: int) -> Iterator[None]:
    """Within, `available_cores` gives no more than that."""
    global _limit
    before, _limit = _limit, threads
    try:
        yield
    finally:
        _limit = before


def available_cores(root: Path = Path("/")) -> int:
    """Processors that this process may use: what it is bound to, within what its container is given.

    A container with a share of a processor's time (``--cpus=2``) still sees all processors of its machine; a thread
    for each of them would spend most of its time waiting for the next share.

    Args:
        root: Where ``proc`` and ``sys`` are.
    """
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    # Of one and a half, one: two threads would wait for one another at every layer.
    return max(1, int(min(bound, _quota(root), _limit)))


def _quota(root: Path) -> float:
    """The least share of processor time, in processors, of the process's control group (v2) and those around it."""
    mount = root / "sys/fs/cgroup"
    try:
        groups = (root / "proc/self/cgroup").read_text().splitlines()
        inner = next(line.removeprefix("0::/") for line in groups if line.startswith("0::/"))
    except (OSError, ValueError, StopIteration):
        inner = ""
    if ".." in Path(inner).parts:  # seen from another namespace
        inner = ""
    group = mount / inner
    return min(_share(place / "cpu.max") for place in (group, *group.parents) if place.is_relative_to(mount))


def _share(file: Path) -> float:
    try:
        quota, period = file.read_text().split()
        return math.inf if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):  # the outermost group has no limits
        return math.inf

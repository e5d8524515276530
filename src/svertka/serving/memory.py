"""Memory that goes back to the system."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress
from typing import Final

_M_MMAP_THRESHOLD: Final = -3  # of <malloc.h>
_LARGE: Final = 2**20  # bytes


def give_back_large_blocks() -> None:
    """Let the C library give large blocks back as soon as they are free.

    glibc takes the first large block that is freed for a sign that more will be needed, and keeps up to 64 MB for every
    thread from then on: a few large requests would look like a leak.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE)

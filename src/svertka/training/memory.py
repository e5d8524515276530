"""What is said where memory does not suffice for training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from svertka.errors import UserError

_WORDS = ("out of memory", "can't allocate memory", "not enough memory")  # of PyTorch, which raises RuntimeError


@contextmanager
def enough_memory() -> Iterator[None]:
    """Within, memory that cannot be had is the user's mistake: it depends on what is asked for.

    Raises:
        UserError: The processor's memory, or the device's, does not suffice.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not any(word in str(error) for word in _WORDS):
            raise
        raise UserError(
            "there is not enough memory to train this",
            mend="give a smaller --batch (with --accumulate, steps are of as many images), a smaller --image-size "
            "or a smaller --net",
        ) from error

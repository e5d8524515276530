"""So many threads and no more, for a command with ``--threads``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from svertka.errors import UserError
from svertka.runtime.cores import MOST_THREADS, limited_cores


@contextmanager
def using_threads(threads: int | None, *, torch_too: bool = True) -> Iterator[None]:
    """Within, engines, decoding and PyTorch use so many threads; with None, as many as they would anyway.

    Args:
        threads: How many.
        torch_too: Whether PyTorch is used; it takes a second to import.

    Raises:
        UserError: The number is impossible.
    """
    if threads is None:
        yield
        return
    if not 1 <= threads <= MOST_THREADS:
        raise UserError(f"threads is {threads}", mend=f"--threads is between 1 and {MOST_THREADS:,}")
    with limited_cores(threads):
        if not torch_too:
            yield
            return
        import torch

        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)

"""Threads for which the end of the program does not wait: what hangs in one cannot keep the server from ending."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class Crew:
    """A few threads that take calls in turn.

    Args:
        count: Of threads.
        name: Of each.
    """

    def __init__(self, count: int, *, name: str) -> None:
        self._calls: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._count = count
        for number in range(count):
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True).start()

    def submit(self, call: Callable[[], T]) -> Future[T]:
        """What a call gives, once a thread has come to it; cancelled before, it is left out."""
        future: Future[T] = Future()
        self._calls.put((future, call))
        return future

    def close(self) -> None:
        """End the threads after what they do now; what still waits is left out."""
        with contextlib.suppress(queue.Empty):
            while waiting := self._calls.get_nowait():
                waiting[0].cancel()
        for _ in range(self._count):
            self._calls.put(None)

    def _work(self) -> None:
        while self._step():
            pass

    def _step(self) -> bool:
        # A function of its own, so that nothing is kept of a call while the thread waits for the next.
        taken = self._calls.get()
        if taken is not None:
            _finish(*taken)
        return taken is not None


async def aside(call: Callable[[], T]) -> T:
    """What a call gives in a thread of its own."""
    future: Future[T] = Future()
    threading.Thread(target=_finish, args=(future, call), daemon=True).start()
    return await asyncio.wrap_future(future)


def _finish(future: Future[Any], call: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(call())
    except BaseException as error:
        future.set_exception(error)

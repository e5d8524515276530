"""Running the application: one socket, signals, an end without a dropped request, and no connection for ever."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

import uvicorn
from starlette.types import ASGIApp

from svertka.errors import UserError
from svertka.serving.limits import CONNECTIONS, DRAIN_SECONDS, HEAD_BYTES, IDLE_SECONDS, Limits
from svertka.serving.lingering import LingeringProtocol
from svertka.serving.memory import give_back_large_blocks

_SWEEP_SECONDS = 1.0
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})

T = TypeVar("T")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that is bound to this address.

    Raises:
        UserError: It is no address. Names are not looked up: that would ask another machine.
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        mend = "give an IP address such as 127.0.0.1 or 0.0.0.0"
        raise UserError(f"{host!r} is no address to listen on", where="--host", mend=mend) from None


def host_names(host: str) -> frozenset[str] | None:
    """What a Host header may say to a server that is bound to this address; None for anything."""
    if not is_loopback(host):
        return None
    return _LOOPBACK | {f"[{host}]" if ":" in host else host}


def bind(host: str, port: int) -> socket.socket:
    """A socket that is bound, and does not listen yet.

    Raises:
        UserError: It cannot be had.
    """
    address = "127.0.0.1" if host == "localhost" else host
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    # asyncio sends small packets at once on sockets that say they are TCP; on others an answer waits 40 ms for the
    # client to acknowledge its headers.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if sys.platform != "win32":  # there, two servers could share a port
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((address, port))
    except (OSError, OverflowError) as error:
        bound.close()
        reason = getattr(error, "strerror", None) or error
        mend = "choose another --port; 0 takes a free one"
        raise UserError(f"port {port} of {host} cannot be had ({reason})", mend=mend) from error
    return bound


def address_of(bound: socket.socket) -> str:
    """The URL of a socket."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Server(uvicorn.Server):
    """One that leaves signals to `run`, and gives connections only so long."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                loop="asyncio",
                http=LingeringProtocol,
                ws="none",
                lifespan="on",
                log_config=None,
                log_level="critical",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                limit_concurrency=CONNECTIONS,
                timeout_keep_alive=IDLE_SECONDS,
                timeout_graceful_shutdown=DRAIN_SECONDS,
                h11_max_incomplete_event_size=HEAD_BYTES,
            )
        )
        # Reading, answering, and sending the answer to whoever is slow to take it.
        self._busy_seconds = 2 * limits.seconds + IDLE_SECONDS

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing."""
        yield

    def stop(self) -> None:
        """Answer what has come, and end; from any thread."""
        self.should_exit = True

    def interrupt(self) -> None:
        """`stop`; the second time, at once."""
        self.force_exit = self.should_exit
        self.should_exit = True

    async def sweep(self) -> None:
        """Close connections on which a request's headers, or the end of an answer, do not come."""
        since: dict[object, tuple[object, bool, float]] = {}
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            now = time.monotonic()
            seen: dict[object, tuple[object, bool, float]] = {}
            for connection in list(self.server_state.connections):
                cycle = getattr(connection, "cycle", None)
                idle = cycle is None or cycle.response_complete
                before = since.get(connection)
                same = before is not None and before[:2] == (cycle, idle)
                first = before[2] if before is not None and same else now
                seen[connection] = (cycle, idle, first)
                if now - first > (IDLE_SECONDS if idle else self._busy_seconds):
                    connection.transport.abort()
            since = seen


def run(
    server: Server,
    bound: socket.socket,
    *,
    ready: Callable[[], None],
    hang_up: Callable[[], Coroutine[Any, Any, None]],
    beside: Sequence[Callable[[], Coroutine[Any, Any, None]]] = (),
) -> None:
    """Serve until SIGTERM or Ctrl-C, or `Server.stop`; then finish what has come, as far as the time allows.

    Args:
        server: What serves.
        bound: What it listens on; closed in the end.
        ready: Called when it listens.
        hang_up: Called on SIGHUP; not again before it has ended.
        beside: Run all the while.
    """
    give_back_large_blocks()
    try:
        asyncio.run(_serve(server, bound, ready, hang_up, beside))
    finally:
        bound.close()


async def aside(call: Callable[[], T]) -> T:
    """What a call gives in a thread of its own, for which the end of the program does not wait."""
    future: Future[T] = Future()

    def work() -> None:
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return await asyncio.wrap_future(future)


async def _serve(
    server: Server,
    bound: socket.socket,
    ready: Callable[[], None],
    hang_up: Callable[[], Coroutine[Any, Any, None]],
    beside: Sequence[Callable[[], Coroutine[Any, Any, None]]],
) -> None:
    async def announce() -> None:
        while not server.started:
            await asyncio.sleep(0.01)
        ready()

    hung_up = asyncio.Event()

    async def reload() -> None:
        while True:
            await hung_up.wait()
            hung_up.clear()
            await hang_up()

    with _signals(server, hung_up):
        async with _beside(server, announce(), reload(), server.sweep(), *(work() for work in beside)):
            await server.serve(sockets=[bound])


@asynccontextmanager
async def _beside(server: Server, *works: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    def check(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception():  # raised below
            server.stop()

    tasks = [asyncio.ensure_future(work) for work in works]
    for task in tasks:
        task.add_done_callback(check)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task


@contextmanager
def _signals(server: Server, hung_up: asyncio.Event) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread() or sys.platform == "win32":
        yield
        return
    loop = asyncio.get_running_loop()
    handlers: dict[signal.Signals, Callable[[], None]] = {
        signal.SIGINT: server.interrupt,
        signal.SIGTERM: server.stop,
        signal.SIGHUP: hung_up.set,
    }
    before = {number: signal.getsignal(number) for number in handlers}
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number, previous in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, previous)

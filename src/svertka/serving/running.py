"""Running the application: one socket, signals, an end without a dropped request, and no connection for ever."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from svertka.errors import UserError
from svertka.serving.limits import CONNECTIONS, DRAIN_SECONDS, HEAD_BYTES, IDLE_SECONDS, Limits
from svertka.serving.lingering import LingeringProtocol
from svertka.serving.memory import give_back_large_blocks

_SWEEP_SECONDS = 1.0
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*|\[[0-9a-f:.]+\]")
_LONGEST_NAME = 253


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


def host_names(host: str, others: Collection[str] = ()) -> frozenset[str] | None:
    """What a Host header may say to a server that is bound to this address; None for anything.

    Args:
        host: The address.
        others: More names that are allowed, as `proxy_names` gives them.
    """
    if not is_loopback(host):
        return None
    return _LOOPBACK | {f"[{host}]" if ":" in host else host} | set(others)


def proxy_names(names: Sequence[str]) -> frozenset[str]:
    """Names by which proxies before the server are known, as a Host header has them.

    Raises:
        UserError: One is no name of a host.
    """
    return frozenset(_proxy_name(name) for name in names)


def _proxy_name(given: str) -> str:
    name = given.lower().removesuffix(".")
    if not name.isascii():
        with contextlib.suppress(UnicodeError):
            name = name.encode("idna").decode("ascii")
    if len(name) > _LONGEST_NAME or not _NAME.fullmatch(name):
        mend = "give a name alone, without scheme, port and path, such as photos.example.org"
        raise UserError(f"{given!r} is no host name", where="--host-name", mend=mend)
    return name


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


_Work = Callable[[], Coroutine[Any, Any, None]]


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
    load: _Work,
    ready: Callable[[], None],
    hang_up: _Work,
    beside: Sequence[_Work] = (),
) -> None:
    """Serve until SIGTERM or Ctrl-C, or `Server.stop`; then finish what has come, as far as the time allows.

    Args:
        server: What serves.
        bound: What it listens on; closed in the end.
        load: Called when it listens.
        ready: Called after that.
        hang_up: Called on SIGHUP; not before it is ready, and not again before it has ended.
        beside: Run from then on.

    Raises:
        Exception: What any of these raises.
    """
    give_back_large_blocks()
    try:
        asyncio.run(_serve(server, bound, load, ready, hang_up, beside))
    finally:
        bound.close()


async def _serve(
    server: Server,
    bound: socket.socket,
    load: _Work,
    ready: Callable[[], None],
    hang_up: _Work,
    beside: Sequence[_Work],
) -> None:
    loaded, hung_up = asyncio.Event(), asyncio.Event()

    async def begin() -> None:
        while not server.started:
            await asyncio.sleep(0.01)
        await load()
        ready()
        loaded.set()

    async def then(work: _Work) -> None:
        await loaded.wait()
        await work()

    async def reload() -> None:
        while True:
            await hung_up.wait()
            hung_up.clear()
            await hang_up()

    with _signals(server, hung_up):
        async with _beside(server, begin(), server.sweep(), *(then(work) for work in (reload, *beside))):
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

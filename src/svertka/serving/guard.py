"""What stands before the application: who may ask, from which page, and what every answer is sent with."""

from __future__ import annotations

import hmac
import re
import time
import traceback
from collections.abc import Callable, Collection, Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from svertka.serving.metrics import Metrics
from svertka.serving.refusals import RefusedError

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(self), microphone=(), geolocation=()"),
]
_NOT_KEPT = (b"cache-control", b"no-store")
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]]*)(?::\d+)?", re.IGNORECASE)


class Guard:
    """An application, guarded.

    Args:
        app: What is guarded.
        hosts: Names that the server is known by, as a Host header has them; None where it can be any. A page whose name
            suddenly leads to this machine (DNS rebinding) is turned away by it.
        proxies: Names of proxies before this server. Their pages may ask, also where the Host header is not passed on.
        token: What requests must bring along, except those for `open_paths`; None where nothing is asked.
        open_paths: What anyone may have: it says nothing of any model.
        paths: Those that are counted by name.
        metrics: Are counted on.
        report: Told of what went wrong here.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: Collection[str] | None,
        proxies: Collection[str],
        token: str | None,
        open_paths: Iterable[str],
        paths: Iterable[str],
        metrics: Metrics,
        report: Callable[[str], None],
    ) -> None:
        self._app = app
        self._hosts, self._proxies = hosts, proxies
        self._token = None if token is None else token.encode()
        self._open_paths, self._paths = frozenset(open_paths), frozenset(paths)
        self._metrics, self._report = metrics, report

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = add_headers(message["headers"])
            await send(message)

        try:
            self._check(scope)
            await self._app(scope, receive, sending)
        except RefusedError as refusal:
            await refusal.response()(scope, receive, sending)
        except Exception:  # that has been answered
            self._report(traceback.format_exc())
        finally:
            route = scope["path"] if scope["path"] in self._paths else "other"
            self._metrics.requests.labels(route, str(status)).inc()
            self._metrics.request_seconds.labels(route).observe(time.perf_counter() - started)

    def _check(self, scope: Scope) -> None:
        headers, path = Headers(scope=scope), scope["path"]
        # What is refused here is not worth reading on, unless there is nothing to be read.
        close = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
        host = headers.get("host", "")
        name = _host_name(host)
        if self._hosts is not None and name not in self._hosts:
            mend = f"ask for {' or '.join(sorted(self._hosts))}, or allow another name with --host-name"
            raise RefusedError(403, "another host's name", where="Host", mend=mend, close=close)
        for origin in headers.getlist("origin"):
            netloc = _netloc(origin)
            if not host or (netloc != host.lower() and _host_name(netloc) not in self._proxies):
                mend = "allow the name of a proxy with --host-name"
                raise RefusedError(403, "a page from elsewhere", where="Origin", mend=mend, close=close)
        elsewhere = headers.get("sec-fetch-site") in ("cross-site", "same-site")
        if elsewhere and headers.get("sec-fetch-mode") != "navigate":
            raise RefusedError(403, "a page from elsewhere", where="Sec-Fetch-Site", close=close)
        if self._token is not None and path not in self._open_paths and not self._knows(headers):
            raise RefusedError(
                401,
                "no token, or another one",
                where="Authorization",
                mend="send the header Authorization: Bearer TOKEN",
                headers={"WWW-Authenticate": "Bearer"},
                close=close,
            )

    def _knows(self, headers: Headers) -> bool:
        assert self._token is not None
        scheme, _, given = headers.get("authorization", "").partition(" ")
        same = hmac.compare_digest(given.strip().encode("latin-1"), self._token)
        return scheme.lower() == "bearer" and same


def add_headers(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers of an answer, and those that keep a browser safe."""
    given = list(headers)
    kept = any(name == b"cache-control" for name, _ in given)
    return [*given, *_HEADERS] if kept else [*given, *_HEADERS, _NOT_KEPT]


def _host_name(netloc: str) -> str | None:
    """The name, without the port, in small letters; None where it is none."""
    named = _HOST.fullmatch(netloc)
    return None if named is None else named[1].lower().removesuffix(".")


def _netloc(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""

"""Saying no: every error is JSON with what, where, and how to mend it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

_LINGER_BYTES, _LINGER_SECONDS = 2**26, 2.0


class RefusedError(Exception):
    """A request is not answered.

    Args:
        status: HTTP status.
        what: What is wrong.
        where: In which part of the request.
        mend: How to mend it.
        headers: More headers of the response.
        close: The rest of the request is not worth reading.
    """

    def __init__(
        self,
        status: int,
        what: str,
        *,
        where: str | None = None,
        mend: str | None = None,
        headers: Mapping[str, str] | None = None,
        close: bool = False,
    ) -> None:
        super().__init__(what)
        self.status = status
        self.what, self.where, self.mend = what, where, mend
        self.headers = dict(headers or {})
        self.close = close

    def response(self) -> Response:
        """As it is sent."""
        error = {"what": self.what, "where": self.where, "mend": self.mend}
        if not self.close:
            return json_response({"error": error}, self.status, self.headers)
        return _LastResponse(
            json_bytes({"error": error}), self.status, self.headers | {"connection": "close"}, "application/json"
        )


def json_bytes(value: Any) -> bytes:
    """A JSON document, in ASCII: text that is no Unicode, as file names and labels can be, comes through escaped."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode("ascii")


def json_response(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`json_bytes` as a response."""
    return Response(json_bytes(value), status, headers, "application/json")


class _LastResponse(Response):
    """The last one on its connection.

    Where a connection is closed while the other side still sends, the system may throw away what it was sent: some of
    its body is read, and dropped, first.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        dropped, more = 0, True
        try:
            async with asyncio.timeout(_LINGER_SECONDS):
                while more and dropped < _LINGER_BYTES:
                    message = await receive()
                    dropped += len(message.get("body", b""))
                    more = message.get("more_body", False)
        except TimeoutError:
            pass
        await send({"type": "http.response.body", "body": b""})

"""A connection: bounded before the application hears of a request, and closed without losing the last answer.

A connection that is closed while bytes of its client are unread is reset, and a reset makes the client forget what it
has not read yet. So, as RFC 9112, 9.6, has it, our side is closed first, and what still comes is read and dropped.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

import h11
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol

from svertka.serving.guard import add_headers
from svertka.serving.limits import HEAD_BYTES, HEADERS
from svertka.serving.refusals import RefusedError

_LINGER_SECONDS = 2.0
_PIECE = 2**12  # bytes of headers that are taken at a time
_TOO_LARGE = 431
_MEND = f"at most {HEADERS} headers, and {HEAD_BYTES:,} bytes with the address"


class _Bounded(h11.Connection):
    """A connection whose requests have few and short headers, whether they come at once or in pieces.

    h11 looks at the length of what is not complete yet, and headers that come in one packet are complete.

    Attributes:
        refusal: The status for what was wrong.
    """

    refusal = 400

    def next_event(self) -> Any:
        """See `h11.Connection`.

        Raises:
            h11.RemoteProtocolError: What came is no HTTP, or too large.
        """
        try:
            event = super().next_event()
            if isinstance(event, h11.Request | h11.EndOfMessage):
                _check_headers(event)
        except h11.RemoteProtocolError as error:
            self.refusal = error.error_status_hint
            raise
        return event


def _check_headers(event: h11.Request | h11.EndOfMessage) -> None:
    headers = event.headers.raw_items()
    target = event.target if isinstance(event, h11.Request) else b""
    size = len(target) + sum(len(name) + len(value) + len(b": \r\n") for name, value in headers)
    if len(headers) > HEADERS or size > HEAD_BYTES:
        raise h11.RemoteProtocolError("too many or too long headers", error_status_hint=_TOO_LARGE)


class LingeringProtocol(H11Protocol):
    """HTTP/1.1 whose headers are bounded and whose connections are closed in two steps."""

    conn: _Bounded

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn = _Bounded(h11.SERVER, HEAD_BYTES)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See `asyncio.Protocol`."""
        self._lingering = _Lingering(transport, self.loop)
        super().connection_made(cast(asyncio.Transport, self._lingering))

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        # Taking headers apart is slow: they come in pieces, so that too long ones are refused after the first few.
        while data and not self._lingering.is_closing():
            size = _PIECE if self.conn.their_state is h11.IDLE else len(data)
            super().data_received(data[:size])
            data = data[size:]

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request, and close."""
        del msg
        if self.cycle is not None and not self.cycle.response_complete:  # of a request whose body is wrong
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):  # the answer is under way already
            self.transport.close()
            return
        if self.conn.refusal == _TOO_LARGE:
            refused = RefusedError(_TOO_LARGE, "the headers are too large", where="headers", mend=_MEND, close=True)
        else:
            refused = RefusedError(self.conn.refusal, "no HTTP request", where="headers", close=True)
        answer = refused.response()
        headers = add_headers(answer.raw_headers)
        reason = STATUS_PHRASES.get(answer.status_code, b"")
        for event in (
            h11.Response(status_code=answer.status_code, headers=headers, reason=reason),
            h11.Data(data=bytes(answer.body)),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


class _Lingering:
    """A transport of which `close` gives the client time to close as well, and that sends an answer in one packet."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._closing = False
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> None:
        if not self._pieces:  # headers come first, and their body at once after them
            self._loop.call_soon(self._flush)
        self._pieces.append(data)

    def _flush(self) -> None:
        pieces, self._pieces = self._pieces, []
        if pieces and not self._transport.is_closing():
            self._transport.write(b"".join(pieces))

    def close(self) -> None:
        if self.is_closing():
            return
        self._closing = True
        self._flush()
        self._transport.write_eof()
        self._transport.resume_reading()
        self._loop.call_later(_LINGER_SECONDS, self._transport.close)

    def is_closing(self) -> bool:
        return self._closing or self._transport.is_closing()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

"""Closing without losing the last answer.

A connection that is closed while bytes of its client are unread is reset, and a reset makes the client forget what it
has not read yet. So, as RFC 9112, 9.6, has it, our side is closed first, and what still comes is read and dropped.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.h11_impl import H11Protocol

_LINGER_SECONDS = 2.0


class LingeringProtocol(H11Protocol):
    """HTTP/1.1 whose connections are closed in two steps."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See `asyncio.Protocol`."""
        self._lingering = _Lingering(transport, self.loop)
        super().connection_made(cast(asyncio.Transport, self._lingering))

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if not self._lingering.is_closing():
            super().data_received(data)


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

"""What one request, and all of them together, may take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from svertka.errors import UserError
from svertka.runtime.image import MAX_PIXELS

ENVELOPE: Final = 2**16  # bytes of a form's or a document's own around the image
HELD: Final = 2**28  # bytes of bodies that are held at once
CONNECTIONS: Final = 512
HEAD_BYTES: Final = 2**14  # of a request's line and headers
HEADERS: Final = 100  # of a request; browsers send 20, and proxies add a few
IDLE_SECONDS: Final = 10  # that a connection may take until a request's headers are there
DRAIN_SECONDS: Final = 6  # that requests in flight have when the server is told to stop: the process ends within 10


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one request may take.

    Attributes:
        bytes: Of an image file.
        pixels: Of an image; formats that are dear to decode get a part of it, see `svertka.runtime.image`.
        seconds: For the body to come, and again for the answer to be found.

    Raises:
        UserError: One of them is out of range.
    """

    bytes: int = 2**24
    pixels: int = MAX_PIXELS
    seconds: float = 30.0

    def __post_init__(self) -> None:
        if not 1 <= self.bytes <= HELD // 4:
            raise UserError(f"a limit of {self.bytes:,} bytes", mend=f"between 1 and {HELD // 4:,}")
        if not 1 <= self.pixels <= MAX_PIXELS:
            raise UserError(f"a limit of {self.pixels:,} pixels", mend=f"between 1 and {MAX_PIXELS:,}")
        if not 0 < self.seconds <= 3600:
            raise UserError(f"a limit of {self.seconds:g} seconds", mend="more than 0, and an hour at most")

    def body(self, media_type: str) -> int:
        """Bytes of a request's body: JSON holds an image in base64, which takes a third more, and its line ends."""
        return (self.bytes * 3 // 2 if media_type == "application/json" else self.bytes) + ENVELOPE

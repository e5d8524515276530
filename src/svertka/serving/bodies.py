"""The image in a request: read within limits, as a form or as JSON. What a client calls its file is never looked at."""

from __future__ import annotations

import base64
import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from svertka.serving.limits import HELD, Limits
from svertka.serving.refusals import RefusedError

FIELD = "image"
"""What the part of the form, or the JSON object's one name, is called."""

_FORM, _JSON = "multipart/form-data", "application/json"
_HOW = f'send a form with one part called {FIELD}, or JSON: {{"{FIELD}": "base64 of the file"}}'
_BOUNDARY = 70  # bytes: RFC 2046, 5.1.1
_DATA_URI = re.compile(r"\s*data:[^,]{0,200};base64\s*", re.IGNORECASE)  # RFC 2397
_ALPHABET = bytes.maketrans(b"-_", b"+/")  # RFC 4648: that of URLs as the plain one

logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # a line for every request that is no form


class Store:
    """Counts the bytes of bodies that are held at once, of all requests."""

    def __init__(self, most: int = HELD) -> None:
        self._most, self._held = most, 0

    @contextmanager
    def holding(self) -> Iterator[Holding]:
        """Within, a body can be held."""
        holding = Holding(self)
        try:
            yield holding
        finally:
            self._held -= holding.bytes

    def take(self, count: int) -> None:
        """Hold so many more bytes.

        Raises:
            RefusedError: That is more than there is room for.
        """
        if self._held + count > self._most:
            raise RefusedError(
                503, "too many bytes are on their way", mend="try again", headers={"Retry-After": "1"}, close=True
            )
        self._held += count


class Holding:
    """What is held for one request."""

    def __init__(self, store: Store) -> None:
        self._store, self.bytes = store, 0

    def take(self, count: int) -> None:
        """See `Store.take`."""
        self._store.take(count)
        self.bytes += count


def media_type(headers: Headers, limits: Limits) -> str:
    """The kind of the body that these headers announce, a form or JSON.

    Raises:
        RefusedError: It is of another kind, compressed, too long, or of unknown length.
    """
    coding = headers.get("content-encoding", "identity").strip().lower()
    if coding != "identity":
        what = f"a body with Content-Encoding {coding[:40]!r}"
        raise RefusedError(
            415, what, where="headers", mend="send it as it is; images are compressed already", close=True
        )
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in (_FORM, _JSON):
        what = f"a body of type {kind[:80]!r}" if kind else "a body without Content-Type"
        raise RefusedError(415, what, where="headers", mend=_HOW, close=True)
    if "transfer-encoding" in headers:
        # In chunks of one byte each, it would take 7 µs a byte to take apart, and nobody else would be heard.
        raise RefusedError(411, "a body of unknown length", where="headers", mend="send Content-Length", close=True)
    length = headers.get("content-length", "0")
    if not length.isascii() or not length.isdecimal():
        raise RefusedError(400, "Content-Length is no number", where="headers", close=True)
    if len(length) > 18 or int(length) > limits.body(kind):
        raise _too_long(limits, close=True)
    return kind


async def read_body(receive: Receive, most: int, limits: Limits, holding: Holding) -> bytes:
    """The body of a request.

    Args:
        receive: ASGI's.
        most: Bytes it may have.
        limits: What an error names.
        holding: Counts it.

    Raises:
        RefusedError: It is longer, or there is no room for it.
        ClientDisconnect: The client went away.
    """
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        piece = message.get("body", b"")
        if len(body) + len(piece) > most:
            raise _too_long(limits, close=True)
        holding.take(len(piece))
        body += piece
        if not message.get("more_body", False):
            return bytes(body)


def image_file(kind: str, content_type: str, body: bytes, limits: Limits) -> bytes:
    """The image file in a body.

    Args:
        kind: As `media_type` gives it.
        content_type: Header of that name.
        body: All of it.
        limits: For the file.

    Raises:
        RefusedError: There is no such file, or it is too large.
    """
    data = _from_json(body) if kind == _JSON else _from_form(body, content_type)
    if not data:
        raise RefusedError(400, "an empty image", where="body", mend=_HOW)
    if len(data) > limits.bytes:
        raise _too_long(limits)
    return data


def _too_long(limits: Limits, *, close: bool = False) -> RefusedError:
    mend = f"at most {limits.bytes:,} bytes an image"
    return RefusedError(413, "the image is too large", where="body", mend=mend, close=close)


def _from_json(body: bytes) -> bytes:
    # Base64 has no brackets, and what is allowed has one.
    if body.count(b"{") + body.count(b"[") > 1:
        raise RefusedError(400, "JSON in JSON", where="body", mend=_HOW)
    try:
        values = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RefusedError(400, "no JSON", where="body", mend=_HOW) from error
    if not isinstance(values, dict) or values.keys() != {FIELD} or not isinstance(values[FIELD], str):
        raise RefusedError(400, f"JSON without just one text called {FIELD}", where="body", mend=_HOW)
    try:
        return _from_base64(values[FIELD])
    except ValueError as error:
        raise RefusedError(400, "no base64", where=f"body, {FIELD}", mend=_HOW) from error


def _from_base64(text: str) -> bytes:
    """What base64 holds, in either alphabet, with or without line ends, padding and a data URI around it.

    Raises:
        ValueError: It is something else.
    """
    scheme, comma, rest = text.partition(",")
    if comma and not _DATA_URI.fullmatch(scheme):
        raise ValueError("not a data URI of base64")
    data = (rest if comma else text).encode("ascii").translate(_ALPHABET, b" \t\r\n").rstrip(b"=")
    return base64.b64decode(data + b"=" * (-len(data) % 4), validate=True)


def _from_form(body: bytes, content_type: str) -> bytes:
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if not 0 < len(boundary) <= _BOUNDARY:
        raise RefusedError(400, "a form without a boundary between its parts", where="headers", mend=_HOW)
    form = _Form()
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": form.begin,
                "on_header_field": form.name,
                "on_header_value": form.value,
                "on_header_end": form.header,
                "on_headers_finished": form.headers,
                "on_part_data": form.data,
                "on_end": form.end,
            },
        )
        parser.write(body)
    except ValueError as error:  # of the parser's own, and of headers that are no text
        raise RefusedError(400, "no form", where="body", mend=_HOW) from error
    if not form.ended:
        raise RefusedError(400, "a form that is cut short", where="body", mend=_HOW)
    return bytes(form.file)


class _Form:
    """What the parser finds in a form of one part."""

    def __init__(self) -> None:
        self.file, self.ended = bytearray(), False
        self._parts = 0
        self._name, self._value = b"", b""
        self._disposition = b""

    def begin(self) -> None:
        self._parts += 1
        if self._parts > 1:
            raise RefusedError(400, "a form of more than one part", where="body", mend=_HOW)

    def name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def header(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._disposition = self._value
        self._name, self._value = b"", b""

    def headers(self) -> None:
        _, options = parse_options_header(self._disposition)
        if options.get(b"name") != FIELD.encode():
            raise RefusedError(400, f"a part that is not called {FIELD}", where="body", mend=_HOW)

    def data(self, data: bytes, start: int, end: int) -> None:
        self.file += memoryview(data)[start:end]

    def end(self) -> None:
        self.ended = True

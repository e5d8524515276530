"""Saying no: every error is JSON with what, where, and how to mend it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response


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
        headers = self.headers | {"connection": "close"} if self.close else self.headers
        return json_response({"error": error}, self.status, headers)


def json_bytes(value: Any) -> bytes:
    """A JSON document, in ASCII: text that is no Unicode, as file names and labels can be, comes through escaped."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode("ascii")


def json_response(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`json_bytes` as a response."""
    return Response(json_bytes(value), status, headers, "application/json")

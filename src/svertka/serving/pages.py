"""The files of the page. Their addresses are relative to each other, so that a proxy may serve them below a path."""

from __future__ import annotations

import functools
import importlib.resources
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

PAGES: Final = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
    "/docs": ("docs.html", "text/html; charset=utf-8"),
    "/docs.js": ("docs.js", "text/javascript; charset=utf-8"),
}
"""File and media type of each, by its path."""


async def page(name: str, kind: str, request: Request) -> Response:
    """A file as it is."""
    del request
    return Response(_page_file(name), headers={"content-type": kind, "cache-control": "no-cache"})


@functools.cache
def _page_file(name: str) -> bytes:
    return importlib.resources.files(__package__).joinpath("page", name).read_bytes()

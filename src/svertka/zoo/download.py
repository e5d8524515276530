"""Downloading weights: resumed where it was cut off, checked by hash, and never tried when told to stay offline."""

from __future__ import annotations

import hashlib
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import BinaryIO

from svertka.errors import UserError
from svertka.runtime.files import make_folder, write_error

_CHUNK = 1 << 20  # bytes
_TIMEOUT = 30.0  # seconds without a byte
_TRIES = 4

Advance = Callable[[int, int], None]
"""Told how many of how many bytes have come; the second is 0 where the server does not say."""


def download(url: str, path: Path, *, digest: str | None, advance: Advance | None = None) -> Path:
    """Fetch ``url`` to ``path``; what is there already is returned as it is.

    The bytes go to ``path`` with ``.partial`` at its end, which a later call goes on with, and take their name once the
    hash is right.

    Args:
        url: http or https.
        path: Where to.
        digest: ``ALGORITHM:HEXADECIMAL``, such as ``sha256:7be5be79``; the beginning will do, as it is published in
            files' names. None where none is published.
        advance: Told how it goes.

    Raises:
        UserError: ``SVERTKA_OFFLINE`` is set, the server cannot be reached or refuses, the disk is full, or the
            hash differs, in which case what came is deleted.
    """
    if path.is_file():
        return path
    if os.environ.get("SVERTKA_OFFLINE", "0") not in ("", "0"):
        raise UserError(
            f"{path.name} is not here, and SVERTKA_OFFLINE forbids fetching it",
            mend=f"unset it, or put the file from {url} at {path}",
        )
    if not url.startswith(("https://", "http://")):
        raise UserError("only http and https are fetched", where=url)
    make_folder(path.parent)
    partial = path.with_name(f"{path.name}.partial")
    for attempt in range(1, _TRIES + 1):
        try:
            _fetch(url, partial, advance)
            break
        except urllib.error.HTTPError as error:
            raise UserError(f"the server answers {error.code} {error.reason}", where=url) from error
        except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as error:
            if attempt == _TRIES:
                reason = getattr(error, "reason", error)
                raise UserError(
                    f"cannot be fetched ({reason})",
                    where=url,
                    mend="what came is kept; try again when the network is back",
                ) from error
    _check(partial, url, digest)
    partial.replace(path)
    return path


def _fetch(url: str, partial: Path, advance: Advance | None) -> None:
    have = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response: HTTPResponse = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing is left to send: the hash will tell whether it is all there
            return
        raise
    with response:
        resumed = response.status == 206
        have = have if resumed else 0
        expected = have + int(response.headers.get("Content-Length") or 0)
        try:
            with partial.open("ab" if resumed else "wb") as file:
                _pour(response, file, have, expected, advance)
        except OSError as error:
            if isinstance(error, ConnectionError | TimeoutError):
                raise
            raise write_error(partial, error) from error


def _pour(response: HTTPResponse, file: BinaryIO, have: int, expected: int, advance: Advance | None) -> None:
    while chunk := response.read(_CHUNK):
        file.write(chunk)
        have += len(chunk)
        if advance:
            advance(have, expected)
    if have < expected:
        raise ConnectionError(f"{expected - have:,} of {expected:,} bytes did not come")


def file_digest(path: Path, algorithm: str) -> str:
    """``ALGORITHM:HEXADECIMAL`` of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False))
    return f"{algorithm}:{digest.hexdigest()}"


def _check(partial: Path, url: str, digest: str | None) -> None:
    if digest is None:
        return
    found = file_digest(partial, digest.partition(":")[0])
    if not found.startswith(digest.lower()):
        partial.unlink()
        raise UserError(
            f"its digest is {found}, not {digest}; it was deleted",
            where=url,
            mend="try again; if it stays so, do not trust the source",
        )

"""Downloading weights: resumed where it was cut off, checked by hash, and never tried when told to stay offline."""

from __future__ import annotations

import hashlib
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import BinaryIO

from svertka.errors import UserError
from svertka.runtime.checked import report_damaged
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
        if _has_digest(path, digest):
            return path
        report_damaged(path, "it is fetched again")
        path.unlink()
    if os.environ.get("SVERTKA_OFFLINE", "0") not in ("", "0"):
        raise UserError(
            f"{path.name} is not here, and SVERTKA_OFFLINE forbids fetching it",
            mend=f"unset it, or put the file from {url} at {path}",
        )
    if not url.startswith(("https://", "http://")):
        raise UserError("only http and https are fetched", where=url)
    make_folder(path.parent)
    partial = path.with_name(f"{path.name}.partial")
    with _alone(partial):
        if not path.is_file():  # another process may have fetched it while this one waited
            _fetch_with_patience(url, partial, advance)
            _check(partial, url, digest)
            partial.replace(path)
    return path


@contextmanager
def _alone(partial: Path) -> Iterator[None]:
    """Keep other processes that fetch the same file waiting: two that write to it at once would tear it."""
    if sys.platform == "win32":
        yield
        return
    import fcntl

    while True:
        with _opened(partial, os.O_APPEND) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            with suppress(FileNotFoundError):
                if not os.path.samestat(os.fstat(file.fileno()), partial.stat()):
                    continue  # who had the lock has given the file its name
                try:
                    yield
                finally:
                    with suppress(FileNotFoundError):
                        if not partial.stat().st_size:
                            partial.unlink()
                return


def _fetch_with_patience(url: str, partial: Path, advance: Advance | None) -> None:
    for attempt in range(1, _TRIES + 1):
        try:
            _fetch(url, partial, advance)
            return
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
            with _opened(partial, os.O_APPEND if resumed else os.O_TRUNC) as file:
                _pour(response, file, have, expected, advance)
        except OSError as error:
            if isinstance(error, ConnectionError | TimeoutError):
                raise
            raise write_error(partial, error) from error


def _opened(partial: Path, how: int) -> BinaryIO:
    # The name can be guessed, since a later call goes on with the file: a link of that name is not followed.
    flags = os.O_WRONLY | os.O_CREAT | how | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(partial, flags, 0o666), "wb")


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
    if not _has_digest(partial, digest):
        found = file_digest(partial, str(digest).partition(":")[0])
        partial.unlink()
        raise UserError(
            f"its digest is {found}, not {digest}; it was deleted",
            where=url,
            mend="try again; if it stays so, do not trust the source",
        )


def _has_digest(path: Path, digest: str | None) -> bool:
    return digest is None or file_digest(path, digest.partition(":")[0]).startswith(digest.lower())

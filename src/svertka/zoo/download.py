"""Downloading weights: resumed where it was cut off, checked by hash, and never tried when told to stay offline."""

from __future__ import annotations

import hashlib
import os
import stat
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
from svertka.runtime.files import make_folder, new_file, partial_name, write_error

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
    if is_offline():
        raise UserError(
            f"{path.name} is not here, and SVERTKA_OFFLINE forbids fetching it",
            mend=f"unset it, or put the file from {url} at {path}",
        )
    if not url.startswith(("https://", "http://")):
        raise UserError("only http and https are fetched", where=url)
    make_folder(path.parent)
    with _partial(path) as (partial, file):
        _fetch_with_patience(url, file, advance)
        file.flush()
        os.fsync(file.fileno())
        if not _has_digest(partial, digest):
            found = file_digest(partial, str(digest).partition(":")[0])
            file.truncate(0)
            raise UserError(
                f"its digest is {found}, not {digest}; it was deleted",
                where=url,
                mend="try again; if it stays so, do not trust the source",
            )
        if sys.platform == "win32":  # where open files cannot be renamed
            file.close()
        partial.replace(path)
    return path


def is_offline() -> bool:
    """Whether ``SVERTKA_OFFLINE`` forbids fetching anything."""
    return os.environ.get("SVERTKA_OFFLINE", "0") not in ("", "0")


@contextmanager
def _partial(path: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """What has come of a file, to go on with; where that is not to be trusted, or is being written to, a new file."""
    place = path.with_name(f"{path.name}.partial")
    try:
        file = _ours(place)
        kept = file is not None
        if file is None:
            place = path.with_name(partial_name(path.name))
            file = new_file(place)
        with file:
            try:
                yield place, file
            finally:
                if not kept or not _length(file):  # there is nothing to go on with
                    with suppress(OSError):
                        place.unlink()
    except OSError as error:
        raise write_error(path, error) from error


def _ours(path: Path) -> BinaryIO | None:
    # The name can be guessed, since a later call goes on with the file: others may have put something there.
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"):
        flags |= getattr(os, name, 0)
    try:
        file = os.fdopen(os.open(path, flags, 0o666), "ab")
    except OSError:  # a link, a folder, or a pipe
        return None
    if _is_ours(path, file):
        return file
    file.close()
    return None


def _is_ours(path: Path, file: BinaryIO) -> bool:
    found = os.fstat(file.fileno())
    if not stat.S_ISREG(found.st_mode):
        return False
    if sys.platform == "win32":
        return True
    import fcntl

    if found.st_nlink != 1 or found.st_uid != os.geteuid():
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(found, path.lstat())  # who had the lock may have given the file its name
    except OSError:  # another process writes to it
        return False


def _fetch_with_patience(url: str, file: BinaryIO, advance: Advance | None) -> None:
    for attempt in range(1, _TRIES + 1):
        try:
            _fetch(url, file, advance)
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


def _fetch(url: str, file: BinaryIO, advance: Advance | None) -> None:
    have = _length(file)
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response: HTTPResponse = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing is left to send: the hash will tell whether it is all there
            return
        raise
    with response:
        if response.status != 206:  # all of it comes again
            have = 0
            file.seek(0)
            file.truncate()
        expected = have + int(response.headers.get("Content-Length") or 0)
        _pour(response, file, have, expected, advance)


def _length(file: BinaryIO) -> int:
    return 0 if file.closed else file.seek(0, os.SEEK_END)


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


def _has_digest(path: Path, digest: str | None) -> bool:
    return digest is None or file_digest(path, digest.partition(":")[0]).startswith(digest.lower())

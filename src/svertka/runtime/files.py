"""Files are written whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path
from typing import BinaryIO

from svertka.errors import UserError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_STALE = 86_400  # seconds after which a temporary file that nobody writes to belongs to no process
_SHORT = 200  # bytes of a name that its temporary one begins with: systems allow 255
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
PARTIAL = ".*.partial"
"""Pattern of the temporary names that `partial_name` gives."""


@contextmanager
def replacing(path: Path, *, keep: Path | None = None) -> Iterator[BinaryIO]:
    """Open a file that becomes ``path`` when the block ends, and only then.

    The bytes go to a temporary name in the same folder, are fsynced, and take the final name in one rename. Nobody can
    guess the temporary name, and a file or link of that name is never opened: others may write to the folder too.
    With ``keep``, the file that stood at ``path`` is renamed to ``keep`` first, so that at every moment one of
    the two is whole.

    Raises:
        UserError: The disk is full, or the folder cannot be written.
    """
    temporary = path.with_name(partial_name(path.name))
    try:
        opened = new_file(temporary)
    except OSError as error:
        raise write_error(path, error) from error
    try:
        with opened as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if keep is not None and path.exists():
            path.replace(keep)
        temporary.replace(path)
        _fsync_folder(path.parent)
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def new_file(path: Path) -> BinaryIO:
    """A file that was not there before, to write to; no link of that name is followed.

    Raises:
        OSError: There is something of that name, or it cannot be made.
    """
    return os.fdopen(os.open(path, _NEW, 0o666), "wb")


def partial_name(name: str) -> str:
    """A random name for what will be called ``name`` once it is whole; two processes never share one."""
    short = os.fsencode(name)[:_SHORT].decode(errors="ignore")  # no half characters, which not every system takes
    return f".{short}.{secrets.token_hex(8)}.partial"


def remove_stale(folder: Path) -> None:
    """Remove the temporary files and folders in ``folder`` that processes left behind when they were killed."""
    for path in folder.glob(PARTIAL):
        with suppress(OSError):  # another process may do the same at this moment
            if time.time() - path.lstat().st_mtime > _STALE:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8 to ``path``, whole or not at all."""
    with replacing(path) as file:
        file.write(text.encode())


def write_error(path: Path, error: OSError) -> UserError:
    """What a failed write means to the user."""
    if error.errno in _FULL:
        return UserError("the disk is full", where=path, mend="free some space and run the command again")
    return UserError(f"cannot be written ({error.strerror or error})", where=path, mend="choose another place")


def make_folder(path: Path) -> Path:
    """Make a folder and its parents."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise UserError("a file, where a folder is to be made", where=path, mend="choose another place") from error
    except OSError as error:
        raise write_error(path, error) from error
    return path


def unused_folder(path: str | PathLike[str]) -> Path:
    """The path of a folder that is to be made: an empty one may be there.

    Raises:
        UserError: There is something.
    """
    folder = Path(path)
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise UserError("the folder exists", where=folder, mend="choose another --out")
    return folder


def cache_folder() -> Path:
    """``SVERTKA_CACHE``, or ``svertka`` in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("SVERTKA_CACHE") or Path(base, "svertka"))


def _fsync_folder(folder: Path) -> None:
    # Without this a rename may be lost with the power; Windows cannot open folders and needs no such call.
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

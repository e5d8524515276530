"""What was unpacked of an archive is kept by the archive's content, with the checksum of each file.

It is unpacked again where a checksum does not fit.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from svertka.data.cache.loaded import cache_limit
from svertka.errors import UserError
from svertka.runtime.checked import DamagedError, read_checked, report_damaged, write_checked
from svertka.runtime.cores import available_cores
from svertka.runtime.files import cache_folder, make_folder, partial_name, remove_stale, write_error

_CHUNK = 1 << 20


def kept(path: Path, suffix: str, fill: Callable[[Path], None]) -> Path:
    """The folder with what is kept of an archive.

    Args:
        path: The archive.
        suffix: What is kept, where that is not all that it holds.
        fill: Called with an empty folder to fill, where nothing whole is kept.

    Raises:
        UserError: The archive cannot be read, the cache cannot be written, or what ``fill`` raises.
    """
    place = cache_folder() / "archives"
    try:
        digest = _digest(path)
        make_folder(place)
        folder = place / f"{digest}{suffix}"
        if folder.is_dir() and _is_whole(folder):
            os.utime(folder)  # the least recently used goes first
            return folder
        with _folder_in_the_making(folder) as making:
            fill(making)
            _make_room(place, _size(making), spared=making)
            # Before the folder has its name: where there is a folder, there are its checksums.
            write_checked(_checksums_file(folder), {"files": _checksums(making)})
            if hasattr(os, "sync"):
                os.sync()  # what is found there after a power cut must be whole
            with suppress(OSError):  # another process was quicker
                making.rename(folder)
    except OSError as error:
        if error.filename and str(error.filename) == str(path):
            raise UserError(f"cannot be read ({error.strerror or error})", where=path) from error
        raise write_error(place, error) from error
    return folder


@contextmanager
def _folder_in_the_making(folder: Path) -> Iterator[Path]:
    remove_stale(folder.parent)
    making = folder.with_name(partial_name(folder.name))
    making.mkdir()  # raises where anything has that name
    try:
        yield making
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _checksums_file(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.json")


def _checksums(folder: Path) -> dict[str, int]:
    files = [path for path in folder.rglob("*") if not path.is_dir()]
    with ThreadPoolExecutor(available_cores()) as pool:
        found = pool.map(_checksum, files)
        return {path.relative_to(folder).as_posix(): check for path, check in zip(files, found, strict=True)}


def _checksum(path: Path) -> int:
    checksum = 0
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            checksum = zlib.crc32(piece, checksum)
    return checksum


def _is_whole(folder: Path) -> bool:
    """Whether a folder holds what was unpacked into it. One that does not is removed."""
    try:
        if read_checked(_checksums_file(folder))["files"] == _checksums(folder):
            return True
        report_damaged(folder, "the archive is unpacked again")
    except FileNotFoundError:  # of an older release, or removed by another process to make room
        pass
    except (DamagedError, OSError):  # the disk may give a file no more
        report_damaged(folder, "the archive is unpacked again")
    removed = folder.with_name(partial_name(folder.name))
    with suppress(OSError):  # another process was quicker
        folder.rename(removed)
    shutil.rmtree(removed, ignore_errors=True)
    return False


def _digest(path: Path) -> str:
    total = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            total.update(piece)
    return total.hexdigest()


def _make_room(place: Path, size: int, spared: Path) -> None:
    total = size
    others = [folder for folder in place.iterdir() if folder != spared and folder.is_dir() and folder.name[0] != "."]
    for folder in sorted(others, key=lambda folder: folder.stat().st_mtime, reverse=True):
        total += _size(folder)
        if total > cache_limit():
            shutil.rmtree(folder, ignore_errors=True)
            _checksums_file(folder).unlink(missing_ok=True)


def _size(folder: Path) -> int:
    return sum(_sizes(os.walk(folder)))


def _sizes(walk: Iterable[tuple[str, list[str], list[str]]]) -> Iterator[int]:
    for place, _, names in walk:
        for name in names:
            with suppress(OSError):
                yield os.stat(os.path.join(place, name)).st_size  # noqa: PTH116, PTH118 (speed)

"""Zip and tar archives are unpacked once, into the user's cache, and never anywhere else.

What was unpacked is kept; see `svertka.data.cache.archives`.

An archive is looked through before a byte of it is written. It is refused as a whole if it has a member that is neither
a file nor a folder, a name that leads out of the folder or stands there twice, or more bytes or files than is allowed.
"""

from __future__ import annotations

import bz2
import errno
import io
import itertools
import lzma
import os
import re
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from svertka.data.cache.archives import kept
from svertka.data.cache.loaded import cache_limit
from svertka.data.files.tar import Member, is_tar, members, members_in
from svertka.errors import UserError
from svertka.runtime.files import partial_name
from svertka.wording import counted

_CHUNK = 1 << 20
_ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)  # LZMA's memory is up to its author
_XZ_MEMORY = 128 << 20
_BY_HAND = "unpack it yourself, and give the folder"


@dataclass(frozen=True)
class Limits:
    """What an archive may become.

    Attributes:
        files: Members, folders counted.
        ratio: Bytes for each byte of the archive, beyond the first ``free`` bytes.
        free: Bytes that any archive may have.
        depth: Folders in a name.
        name: Bytes of a name.
    """

    files: int = 2_000_000
    ratio: int = 100
    free: int = 256 << 20
    depth: int = 32
    name: int = 1024

    def total(self, archive: Path) -> int:
        """Bytes that this archive may become; no more than the cache holds."""
        return min(cache_limit(), max(self.free, self.ratio * archive.stat().st_size))


LIMITS: Final = Limits()


def archive_kind(path: Path) -> str | None:
    """``zip``, ``tar``, ``gz``, ``bz2`` or ``xz``, where the file is an archive, by its first bytes and its name."""
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file:
            start = file.read(512)
    except OSError:
        return None
    if start[:4] in (b"PK\3\4", b"PK\5\6"):
        return "zip"
    if is_tar(start):
        return "tar"
    name = path.name.lower()
    for sign, kind, endings in (
        (b"\x1f\x8b", "gz", (".tar.gz", ".tgz")),
        (b"BZh", "bz2", (".tar.bz2", ".tbz2")),
        (b"\xfd7zXZ", "xz", (".tar.xz", ".txz")),
    ):
        if start.startswith(sign) and name.endswith(endings):
            return kind
    if name.endswith((".tar.zst", ".7z", ".rar")):
        raise UserError("an archive of a kind that is not read here", where=path, mend=_BY_HAND)
    return None


def unpacked(path: Path, limits: Limits = LIMITS) -> Path:
    """The folder with what is in the archive; unpacked, unless it was before.

    Raises:
        UserError: It is damaged, or is refused; nothing of it stays.
    """
    kind = archive_kind(path)

    def fill(folder: Path) -> None:
        if kind == "zip":
            _unpack_zip(path, folder, limits)
        elif kind == "tar":
            _unpack_tar(path, folder, limits)
        else:
            plain = folder.with_name(partial_name(f"{folder.name}.tar"))
            try:
                _decompress(path, plain, limits)
                _unpack_tar(plain, folder, limits)
            except UserError as error:
                raise UserError(error.what, where=path, mend=error.mend) from error
            finally:
                plain.unlink(missing_ok=True)

    return kept(path, "", fill)


def first_members(path: Path, count: int) -> Iterator[Member]:
    """The first members of a tar file, compressed or not; none of what is damaged or no tar file.

    Args:
        path: Of which the first megabyte is read.
        count: How many, at most.
    """
    kind = archive_kind(path)
    if kind in (None, "zip"):
        return
    try:
        with path.open("rb") as file:
            start = file.read(_CHUNK) if kind == "tar" else next(_pieces(kind, file), b"")
        yield from itertools.islice(members_in(io.BytesIO(start), path), count)
    except (OSError, zlib.error, lzma.LZMAError, EOFError, ValueError, UserError):
        return  # a member that the first megabyte cuts short is no longer counted


def decompressed(path: Path, limits: Limits = LIMITS) -> Path:
    """The uncompressed tar file of a compressed one; decompressed, unless it was before.

    Raises:
        UserError: It is damaged, or too large.
    """
    return kept(path, "tar", lambda folder: _decompress(path, folder / "shard.tar", limits)) / "shard.tar"


def _unpack_zip(path: Path, folder: Path, limits: Limits) -> None:
    count = _zip_entries(path, limits)
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            _check_overlap(entries, archive.start_dir, path)
            plan = _checked([_zip_member(entry, path) for entry in entries], path, limits)
            for entry, target in zip(entries, plan, strict=True):
                if target is not None:
                    with archive.open(entry) as source:
                        _write(source, folder / target, entry.file_size, path)
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        RuntimeError,
        NotImplementedError,
        ValueError,
        struct.error,
    ) as error:
        raise UserError(
            f"a damaged zip archive of {counted(count, 'entry')} ({error})", where=path, mend="get it again"
        ) from error
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        # Its directory is said to begin before the file does.
        raise UserError(
            "a damaged zip archive, with a directory that cannot be", where=path, mend="get it again"
        ) from None


def _zip_entries(path: Path, limits: Limits) -> int:
    # Python reads the whole directory before anyone can count; 46 bytes are the least that an entry takes in it.
    with path.open("rb") as file:
        length = file.seek(0, os.SEEK_END)
        file.seek(max(0, length - 66_000))
        tail = file.read()
        place = tail.rfind(b"PK\5\6")
        if place < 0 or len(tail) < place + 22:
            raise UserError("cut short: a zip archive without its directory", where=path, mend="get it again")
        count, size = struct.unpack("<HL", tail[place + 10 : place + 16])
        if place >= 20 and tail[place - 20 : place - 16] == b"PK\6\7":
            (start,) = struct.unpack("<Q", tail[place - 12 : place - 4])
            file.seek(min(start, length))
            record = file.read(56)
            if len(record) == 56:
                count, size = struct.unpack("<QQ", record[32:48])
    if max(count, size // 46) > limits.files * 2:
        raise UserError(f"over {limits.files:,} files", where=path, mend=_BY_HAND)
    return int(count)


def _check_overlap(entries: list[zipfile.ZipInfo], end: int, path: Path) -> None:
    # D. Fifield, "A better zip bomb", 2019: many entries share one piece of the file.
    for entry in sorted(entries, key=lambda entry: entry.header_offset, reverse=True):
        if entry.header_offset + 30 + entry.compress_size > end:
            raise UserError(f"entries lie over one another: {_shown(entry.filename)}", where=path)
        end = entry.header_offset


def _zip_member(entry: zipfile.ZipInfo, path: Path) -> Member:
    if entry.flag_bits & 1:
        raise UserError(f"{_shown(entry.filename)} is encrypted", where=path, mend=_BY_HAND)
    if entry.compress_type not in _ZIP_METHODS:
        raise UserError(f"{_shown(entry.filename)} is compressed in a way not read here", where=path, mend=_BY_HAND)
    mode = entry.external_attr >> 16
    usual = stat.S_IFMT(mode) in (0, stat.S_IFREG, stat.S_IFDIR)
    odd = "" if usual else "a symbolic link" if stat.S_ISLNK(mode) else "a device or a pipe"
    # What Python makes of the name ends at a zero byte.
    return Member(entry.orig_filename, 0, entry.file_size, entry.orig_filename.endswith(("/", "\\")), odd)


def _unpack_tar(path: Path, folder: Path, limits: Limits) -> None:
    found: list[Member] = []
    for member in members(path):
        found.append(member)
        if len(found) > limits.files:
            raise UserError(f"over {limits.files:,} files", where=path, mend=_BY_HAND)
    plan = _checked(found, path, limits)
    with path.open("rb") as source:
        for member, target in zip(found, plan, strict=True):
            if target is not None:
                source.seek(member.offset)
                _write(source, folder / target, member.size, path)


def _checked(found: list[Member], path: Path, limits: Limits) -> list[Path | None]:
    """Where each member goes, relative to the folder of the archive; None for folders."""
    if len(found) > limits.files:
        raise UserError(f"over {limits.files:,} files", where=path, mend=_BY_HAND)
    allowed = limits.total(path)
    if (total := sum(member.size for member in found)) > allowed:
        raise _too_large(path, f"{total:,} bytes unpacked", allowed)
    plan: list[Path | None] = []
    taken: set[str] = set()
    parents: set[str] = set()
    for member in found:
        if member.odd:
            raise UserError(f"{_shown(member.name)} is {member.odd}", where=path, mend=_BY_HAND)
        parts = safe_parts(member.name, path, limits)
        if member.folder or not parts:
            plan.append(None)
            continue
        name = "/".join(parts)
        if name in taken:
            raise UserError(f"{_shown(name)} is in it twice", where=path, mend=_BY_HAND)
        taken.add(name)
        parents.update("/".join(parts[:count]) for count in range(1, len(parts)))
        plan.append(Path(*parts))
    if both := taken & parents:
        raise UserError(f"{_shown(min(both))} is both a file and a folder", where=path, mend=_BY_HAND)
    return plan


def safe_parts(name: str, path: Path, limits: Limits = LIMITS) -> tuple[str, ...]:
    """The folders and the file in a member's name; Windows' separators are separators too.

    Raises:
        UserError: It leads out of the folder, or is no name that every system can write.
    """
    if len(os.fsencode(name)) > limits.name or any(len(os.fsencode(part)) > 255 for part in re.split(r"[/\\]", name)):
        raise UserError(f"{_shown(name)} is too long a name", where=path, mend=_BY_HAND)
    if any(unicodedata.category(character) == "Cc" for character in name):
        raise UserError(f"{_shown(name)} has a control character in its name", where=path, mend=_BY_HAND)
    parts = tuple(part for part in re.split(r"[/\\]", name) if part not in ("", "."))
    if name.startswith(("/", "\\")) or ".." in parts or re.match(r"[A-Za-z]:", name):
        raise UserError(f"{_shown(name)} leads out of the archive", where=path, mend="do not trust where it comes from")
    if len(parts) > limits.depth:
        raise UserError(f"{_shown(name)} lies over {limits.depth} folders deep", where=path, mend=_BY_HAND)
    return parts


def _decompress(path: Path, target: Path, limits: Limits) -> None:
    allowed, done = limits.total(path), 0
    try:
        with path.open("rb") as source, target.open("xb") as file:
            for piece in _pieces(archive_kind(path), source):
                done += len(piece)
                if done > allowed:
                    raise _too_large(path, "more", allowed)
                file.write(piece)
    except (zlib.error, lzma.LZMAError, EOFError, ValueError) as error:
        raise UserError(f"damaged ({error})", where=path, mend="get it again") from error


def _pieces(kind: str | None, source: IO[bytes]) -> Iterator[bytes]:
    # Not gzip.open and its like: xz gets a limit of memory here, and there is one way for all.
    def fresh() -> Any:
        if kind == "gz":
            return zlib.decompressobj(wbits=31)
        return bz2.BZ2Decompressor() if kind == "bz2" else lzma.LZMADecompressor(lzma.FORMAT_XZ, _XZ_MEMORY)

    decompressor, rest = fresh(), b""
    while True:
        data = rest
        if not data and (decompressor.eof or getattr(decompressor, "needs_input", True)):
            data = source.read(_CHUNK)
        if decompressor.eof:  # several streams may follow one another, and zeros after them
            if not data.strip(b"\0"):
                return
            decompressor = fresh()
        try:
            piece = decompressor.decompress(data, _CHUNK)
        except OSError as error:  # of bz2
            raise ValueError(str(error)) from error
        if not (piece or data or decompressor.eof):
            raise EOFError("cut short")
        yield piece
        rest = decompressor.unused_data if decompressor.eof else getattr(decompressor, "unconsumed_tail", b"")


def _write(source: IO[bytes], target: Path, size: int, archive: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with target.open("xb") as file:
            while size > 0:
                piece = source.read(min(size, _CHUNK))
                if not piece:
                    raise UserError(f"cut short: {_shown(target.name)}", where=archive, mend="get it again")
                file.write(piece)
                size -= len(piece)
            if isinstance(source, zipfile.ZipExtFile):
                source.read(1)  # has the checksum compared
    except FileExistsError as error:
        raise UserError(
            f"two members are one file here: {_shown(target.name)}", where=archive, mend=_BY_HAND
        ) from error


def _too_large(path: Path, what: str, allowed: int) -> UserError:
    return UserError(f"{what}, and {allowed:,} bytes are allowed", where=path, mend=f"{_BY_HAND}, if you trust it")


def _shown(name: str) -> str:
    text = os.fsencode(name[:80]).decode("utf-8", "backslashreplace")
    return ascii(text) if not text.isprintable() else repr(text)

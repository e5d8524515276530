"""The members of an uncompressed tar file, and where their bytes stand in it.

Python's own tarfile reads headers of any length into memory, follows links and can be led in circles; here is what data
sets need of POSIX.1-2001 (ustar and pax) and GNU tar, and nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from svertka.errors import UserError
from svertka.wording import counted

_BLOCK = 512
_LONGEST = 64 << 10  # bytes of a header that says more about the next member
_KINDS = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a device",
    b"4": "a device",
    b"6": "a pipe",
    b"S": "a sparse file",
}


@dataclass(frozen=True, slots=True)
class Member:
    """One file in a tar file.

    Attributes:
        name: As it is written there; bytes that are no UTF-8 as surrogates, as in `os.fsdecode`.
        offset, size: Where its bytes stand.
        folder: Whether it is a folder.
        odd: What it is if neither a file nor a folder, in words; empty otherwise.
    """

    name: str
    offset: int
    size: int
    folder: bool = False
    odd: str = ""


def is_tar(start: bytes) -> bool:
    """Whether a file that begins with these 512 bytes is an uncompressed tar file."""
    return len(start) >= _BLOCK and _checksum_fits(start)


def members(path: Path) -> Iterator[Member]:
    """All members in order; their bytes are passed over.

    Raises:
        UserError: The file cannot be read, is cut short, or is no tar file.
    """
    try:
        with path.open("rb") as file:
            yield from members_in(file, path)
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror or error})", where=path) from error


def members_in(file: BinaryIO, path: Path) -> Iterator[Member]:
    """As `members`, of an open file that ``path`` names."""
    end = file.seek(0, os.SEEK_END)
    place = 0
    said: dict[str, bytes] = {}
    while place < end:
        file.seek(place)
        header = file.read(_BLOCK)
        if len(header) == _BLOCK and not any(header):
            return  # a block of zeros ends the archive
        if len(header) < _BLOCK:
            raise UserError(f"cut short after {counted(end, 'byte')}", where=path, mend="get it again")
        if not is_tar(header):
            raise UserError(f"not a tar file from byte {place:,} on", where=path, mend="get it again")
        kind = header[156:157]
        size = _number(header[124:136], path)
        if kind not in b"xgLK" and "size" in said:
            size = _number(said["size"] + b"\0", path, base=10)
        start = place + _BLOCK
        if size > end - start:
            raise UserError(
                f"cut short: a member at byte {place:,} goes on past the end", where=path, mend="get it again"
            )
        place = start + -(-size // _BLOCK) * _BLOCK
        if kind in b"xgLK":
            if size > _LONGEST:
                raise UserError(f"a header of {counted(size, 'byte')} at byte {start:,}", where=path)
            # What is said globally (g) is comments in practice; a long link (K) belongs to what is refused anyway.
            if kind == b"L":
                said["path"] = file.read(size).split(b"\0", 1)[0]
            elif kind == b"x":
                said |= _records(file.read(size), path)
            continue
        name = said.get("path") or _name(header)
        if "sparse" in said:
            kind = b"S"
        folder = kind == b"5" or (kind in b"0\0" and name.endswith(b"/"))
        odd = "" if folder or kind in b"0\x007" else _KINDS.get(kind, f"of the unknown kind {kind!r}")
        yield Member(os.fsdecode(name), start, size, folder, odd)
        said = {}
    if place > end:
        raise UserError(f"cut short after {counted(end, 'byte')}", where=path, mend="get it again")


def _checksum_fits(header: bytes) -> bool:
    digits = header[148:156].strip(b" \0")
    try:
        return bool(digits) and int(digits, 8) == sum(header) - sum(header[148:156]) + 8 * ord(" ")
    except ValueError:
        return False


def _name(header: bytes) -> bytes:
    name = header[:100].split(b"\0", 1)[0]
    prefix = header[345:500].split(b"\0", 1)[0] if header[257:263] == b"ustar\0" else b""
    return prefix + b"/" + name if prefix else name


def _number(field: bytes, path: Path, base: int = 8) -> int:
    if base == 8 and field[0] == 0x80:  # GNU: too large for digits
        return int.from_bytes(field[1:])
    try:
        # int() would take signs and underscores.
        digits = field.split(b"\0", 1)[0].strip(b" ")
        if digits and not digits.isdigit():
            raise ValueError
        return int(digits[:32] or b"0", base)
    except ValueError:
        raise UserError(f"{field[:20]!r} is no size of a member", where=path) from None


def _records(data: bytes, path: Path) -> dict[str, bytes]:
    # "27 path=folder/name of a file\n", where 27 is the length of all of it.
    found: dict[str, bytes] = {}
    place, end = 0, len(data.rstrip(b"\0"))
    while place < end:
        digits = data[place : place + 8].split(b" ", 1)[0]
        if not digits.isdigit() or not len(digits) + 2 < int(digits) <= end - place:
            raise UserError(f"{data[place : place + 20]!r} is no record of a pax header", where=path)
        key, _, value = data[place + len(digits) + 1 : place + int(digits) - 1].partition(b"=")
        if key in (b"path", b"size"):
            found[key.decode()] = value
        elif key.startswith(b"GNU.sparse"):
            found["sparse"] = b""
        place += int(digits)
    return found

"""Safetensors files: headers and digests, without torch and without loading a tensor."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from svertka.errors import UserError
from svertka.wording import counted

_MAX_HEADER = 100_000_000  # bytes; the format's own bound
_CHUNK = 1 << 20
_MOST_VALUES = 500_000  # in a header, each of which takes some dozens of bytes as an object
_MOST_AXES = 32
_MOST_ELEMENTS = 1 << 48
_WIDTHS = {
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 8),
    **dict.fromkeys(("F32", "I32", "U32"), 4),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 2),
    **dict.fromkeys(("I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2"), 1),
}
"""Bytes of an element by type."""

_ORDER = [
    "U64",
    "I64",
    "F64",
    "C64",
    "F32",
    "U32",
    "I32",
    "BF16",
    "F16",
    "U16",
    "I16",
    "F8_E4M3",
    "F8_E5M2",
    "I8",
    "U8",
    "BOOL",
]
"""In which tensors of these types lie in a file, as `safetensors.torch.save` lays them."""


@dataclass(frozen=True)
class TensorEntry:
    """A tensor as the header names it: its type, its shape, and where its bytes lie in the file."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


@dataclass(frozen=True)
class Header:
    """What stands before the tensors: their entries by name, and the metadata."""

    tensors: dict[str, TensorEntry]
    metadata: dict[str, str]


def read_header(path: Path) -> Header:
    """Read and check the header of a safetensors file.

    Raises:
        UserError: The file is missing, truncated, a pickle, or something else.
    """
    try:
        with path.open("rb") as file:
            start = file.read(9)
            size = path.stat().st_size
            length = int.from_bytes(start[:8], "little")
            if start[8:] != b"{" or length > min(_MAX_HEADER, size - 8):
                # Only now: the length of a good header can begin with the same bytes.
                if start[:2] == b"PK" or start[:1] == b"\x80":
                    raise UserError(
                        "a pickle, which can run code when it is opened, so it is not",
                        where=path,
                        mend="give a .safetensors file",
                    )
                raise _damaged(path, "it is truncated or no safetensors file")
            file.seek(8)
            # Decoded here, as json.loads would take other encodings and half surrogates, which the library does not.
            text = file.read(length)
            if sum(map(text.count, (b",", b"[", b"{"))) > _MOST_VALUES:
                raise _damaged(path, "its header has more entries than any network")
            values = json.loads(text.decode(), object_pairs_hook=_once)
        return _checked(values, 8 + length, size, path)
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror})", where=path) from error
    except (ValueError, RecursionError) as error:
        raise _damaged(path, "its header is no JSON") from error


def _checked(values: Any, data: int, size: int, path: Path) -> Header:
    if not isinstance(values, dict):
        raise _damaged(path, "its header is no JSON object")
    metadata = values.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _damaged(path, "its metadata is no text")
    "".join([*values, *metadata, *metadata.values()]).encode()  # half surrogates are no text either
    try:
        tensors = {name: _entry(data, **entry) for name, entry in values.items()}
    except (TypeError, ValueError) as error:
        raise _damaged(path, "its header names no tensors") from error
    position = data
    for entry in sorted(tensors.values(), key=lambda entry: (entry.start, entry.stop)):
        if entry.start != position:
            raise _damaged(path, "its tensors overlap or leave gaps")
        position = entry.stop
    if position != size:
        raise _damaged(path, f"it has {size:,} bytes where its header tells of {position:,}")
    return Header(tensors, metadata)


def _entry(data: int, *, dtype: Any, shape: Any, data_offsets: Any) -> TensorEntry:
    start, stop = data_offsets
    if not all(type(number) is int and number >= 0 for number in (*shape, start, stop)):
        raise TypeError("sizes are whole numbers")
    if len(shape) > _MOST_AXES or math.prod(max(1, side) for side in shape) > _MOST_ELEMENTS:
        raise ValueError("a shape that no tensor can have, even where an axis is empty")
    if dtype not in _WIDTHS or stop - start != math.prod(shape) * _WIDTHS[dtype]:
        raise ValueError(f"{counted(stop - start, 'byte')} for {shape} of {dtype}")
    return TensorEntry(dtype, tuple(shape), data + start, data + stop)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a name stands twice")
    return values


def file_digest(path: Path, header: Header) -> str:
    """SHA-256 over name, type, shape and bytes of every tensor in the order of the names; memory stays flat."""
    total = hashlib.sha256()
    with path.open("rb") as file:
        for name in sorted(header.tensors):
            entry = header.tensors[name]
            total.update(_prefix(name, entry))
            file.seek(entry.start)
            left = entry.stop - entry.start
            while left:
                chunk = file.read(min(_CHUNK, left))
                if not chunk:
                    raise _damaged(path, "it became shorter while it was read")
                total.update(chunk)
                left -= len(chunk)
    return total.hexdigest()


def read_tensors(path: Path, header: Header, buffers: Mapping[str, memoryview]) -> str:
    """Read the bytes of every tensor into the buffer of its name; gives what `file_digest` gives, of these very bytes.

    Args:
        path: The file.
        header: Its header.
        buffers: Bytes to write to by name, as many as the tensor has.
    """
    total = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        for name in sorted(header.tensors):
            entry, left = header.tensors[name], buffers[name]
            file.seek(entry.start)
            while left:
                count = file.readinto(left)
                if not count:
                    raise _damaged(path, "it became shorter while it was read")
                left = left[count:]
            total.update(_prefix(name, entry))
            total.update(buffers[name])
    return total.hexdigest()


class Serialised:
    """Tensors as `safetensors.torch.save` gives them, to which metadata can be added once their digest is known."""

    def __init__(self, data: bytes) -> None:
        length = int.from_bytes(data[:8], "little")
        self._values = json.loads(data[8 : 8 + length])
        body = memoryview(data)[8 + length :]
        self._pieces = [body[slice(*value["data_offsets"])] for value in self._values.values()]

    @classmethod
    def of(cls, tensors: Mapping[str, tuple[str, tuple[int, ...], memoryview]]) -> Serialised:
        """The same of tensors that are not copied, to save the memory: type, shape and bytes by name."""
        made = cls.__new__(cls)
        made._values, made._pieces, place = {}, [], 0
        # The widest types first, so that all are aligned.
        for name in sorted(tensors, key=lambda name: (_ORDER.index(tensors[name][0]), name)):
            dtype, shape, data = tensors[name]
            offsets = [place, place + data.nbytes]
            made._values[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": offsets}
            made._pieces.append(data)
            place += data.nbytes
        return made

    def digest(self) -> str:
        """What `file_digest` gives once the tensors are in a file."""
        total = hashlib.sha256()
        pieces = dict(zip(self._values, self._pieces, strict=True))
        for name in sorted(self._values):
            value = self._values[name]
            entry = TensorEntry(value["dtype"], tuple(value["shape"]), *value["data_offsets"])
            total.update(_prefix(name, entry))
            total.update(pieces[name])
        return total.hexdigest()

    def write(self, file: BinaryIO, metadata: Mapping[str, str]) -> None:
        """Write the whole file."""
        header = json.dumps({"__metadata__": dict(metadata), **self._values}).encode()
        header += b" " * (-len(header) % 8)  # the format keeps its tensors aligned
        file.write(len(header).to_bytes(8, "little") + header)
        for piece in self._pieces:
            file.write(piece)


def _prefix(name: str, entry: TensorEntry) -> bytes:
    return json.dumps([name, entry.dtype, list(entry.shape)]).encode()


def _damaged(path: Path, how: str) -> UserError:
    return UserError(f"not a readable model file: {how}", where=path, mend="get it again")

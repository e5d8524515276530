"""Reading the model card of an ONNX file without an engine, and checking the file by its digest.

An ONNX file is one protobuf message: fields one after another, each a tag (number and kind) and a value. Cards and
digest are metadata; the digest is of all other fields, as their bytes stand in the file, and of the card.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import os
from pathlib import Path
from typing import BinaryIO, Final

from svertka.errors import UserError
from svertka.runtime.card import CARD_KEY, Card

DIGEST_KEY: Final = "svertka.digest"
_GRAPH_FIELD: Final = 7  # of ModelProto
_METADATA_FIELD: Final = 14
_KEY_FIELD: Final = 1
_VALUE_FIELD: Final = 2
_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5
_LONGEST_VARINT = 10
_CHUNK = 1 << 20
_LOGGER = logging.getLogger("svertka")


def onnx_digest(rest: bytes, card: str) -> str:
    """The digest of an ONNX file: of a serialised model without metadata, and of its card."""
    total = hashlib.sha256(rest)
    total.update(card.encode())
    return f"sha256:{total.hexdigest()}"


def read_onnx_card(path: Path) -> Card:
    """The card of an exported graph, once the file is found to be what was exported.

    A file of a release that wrote no digest is taken with a warning.

    Raises:
        UserError: The file is missing, damaged, altered, or carries no card.
    """
    if not path.is_file():
        raise UserError("no such model file", where=path)
    total = hashlib.sha256()
    try:
        with path.open("rb") as file:
            metadata = _metadata(file, os.fstat(file.fileno()).st_size, total)
    except ValueError as error:  # text that is no UTF-8 is one, too
        raise UserError(f"not a readable ONNX model ({error})", where=path, mend="export it again") from error
    if CARD_KEY not in metadata:
        raise UserError("an ONNX file without a card", where=path, mend="export it with `svertka export`")
    total.update(metadata[CARD_KEY].encode())
    if DIGEST_KEY not in metadata:
        _warn_of_age(path)
    elif metadata[DIGEST_KEY] != f"sha256:{total.hexdigest()}":
        raise UserError("it was altered or damaged since it was exported", where=path, mend="export it again")
    return Card.from_json(metadata[CARD_KEY], where=path)


@functools.cache  # a command may read the card of one file several times
def _warn_of_age(path: Path) -> None:
    _LOGGER.warning("svertka: warning: %s carries no digest, so damage goes unnoticed; export it again", path)


def _metadata(file: BinaryIO, end: int, rest: hashlib._Hash) -> dict[str, str]:
    """The metadata by key; all other bytes go into ``rest``."""
    found: dict[str, str] = {}
    graphs = 0
    while (start := file.tell()) < end:
        number, length = _field(file, end)
        graphs += number == _GRAPH_FIELD
        if number != _METADATA_FIELD:
            _take(file, start, file.tell() + length, rest)
            continue
        stop = file.tell() + length
        entry = {_KEY_FIELD: "", _VALUE_FIELD: ""}
        while file.tell() < stop:
            part, size = _field(file, stop)
            text = file.read(size)
            if part in entry:
                entry[part] = text.decode()
        found[entry[_KEY_FIELD]] = entry[_VALUE_FIELD]
    if not graphs:
        raise ValueError("it holds no graph")
    return found


def _take(file: BinaryIO, start: int, stop: int, rest: hashlib._Hash) -> None:
    file.seek(start)
    while start < stop:
        piece = file.read(min(_CHUNK, stop - start))
        rest.update(piece)
        start += len(piece)


def _field(file: BinaryIO, end: int) -> tuple[int, int]:
    """The number of the field that begins here, and how many bytes its value has; they come next."""
    number, kind = divmod(_varint(file), 8)
    if kind == _VARINT:
        _varint(file)
        return number, 0
    if kind not in (_EIGHT_BYTES, _BYTES, _FOUR_BYTES):
        raise ValueError(f"a field of the unknown kind {kind}")
    length = _varint(file) if kind == _BYTES else {_EIGHT_BYTES: 8, _FOUR_BYTES: 4}[kind]
    if file.tell() + length > end:
        raise ValueError("it is cut off")
    return number, length


def _varint(file: BinaryIO) -> int:
    value = 0
    for place in range(_LONGEST_VARINT):
        byte = file.read(1)
        if not byte:
            raise ValueError("it is cut off")
        value |= (byte[0] & 0x7F) << 7 * place
        if byte[0] < 0x80:
            return value
    raise ValueError("a number without end")

"""Reading the card of an ONNX file without its weights, and without an engine.

An ONNX file is one protobuf message: fields one after another, each a tag (number and kind) and a value. What is not
metadata is skipped.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO, Final

from svertka.errors import UserError
from svertka.runtime.card import CARD_KEY, Card

_GRAPH_FIELD: Final = 7  # of ModelProto
_METADATA_FIELD: Final = 14
_KEY_FIELD: Final = 1
_VALUE_FIELD: Final = 2
_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5
_LONGEST_VARINT = 10


def read_onnx_card(path: Path) -> Card:
    """The card of an exported graph.

    Raises:
        UserError: The file is missing, damaged, or carries no card.
    """
    if not path.is_file():
        raise UserError("no such model file", where=path)
    try:
        with path.open("rb") as file:
            metadata = _metadata(file, os.fstat(file.fileno()).st_size)
    except ValueError as error:  # text that is no UTF-8 is one, too
        raise UserError(f"not a readable ONNX model ({error})", where=path, mend="export it again") from error
    if CARD_KEY not in metadata:
        raise UserError("an ONNX file without a card", where=path, mend="export it with `svertka export`")
    return Card.from_json(metadata[CARD_KEY], where=path)


def _metadata(file: BinaryIO, end: int) -> dict[str, str]:
    found: dict[str, str] = {}
    graphs = 0
    while file.tell() < end:
        number, length = _field(file, end)
        graphs += number == _GRAPH_FIELD
        if number != _METADATA_FIELD:
            file.seek(length, os.SEEK_CUR)
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

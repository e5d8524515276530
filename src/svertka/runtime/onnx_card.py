"""Reading the model card of an ONNX file without an engine: checked by a digest, and compared with the graph.

An ONNX file is one protobuf message: fields one after another, each a tag (number and kind) and a value. Card and
digest are metadata; the digest is of all other fields, as their bytes stand in the file, and of the card. What is
neither metadata, nor a shape at the border of the graph, nor a weight is skipped.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np

from svertka.errors import UserError, harmless
from svertka.runtime.card import CARD_KEY, Card

DIGEST_KEY: Final = "svertka.digest"
# Numbers of fields, by message.
_GRAPH, _METADATA = 7, 14  # ModelProto
_INITIALIZER, _INPUT, _OUTPUT = 5, 11, 12  # GraphProto
_KEY, _VALUE = 1, 2  # StringStringEntryProto
_NAME, _TYPE = 1, 2  # ValueInfoProto
_TENSOR_TYPE, _SHAPE, _DIMENSION, _LENGTH = 1, 2, 1, 1  # TypeProto, its tensor, TensorShapeProto, its dimension
_DATA_TYPE, _FLOATS, _TENSOR_NAME, _RAW, _DOUBLES = 2, 4, 8, 9, 10  # TensorProto
_RAW_DTYPES = {1: "<f4", 10: "<f2", 11: "<f8"}
_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5
_LONGEST_VARINT = 10
_MOST_FIELDS: Final = 1_000_000
_CHUNK = 1 << 20  # bytes that are looked at together
_LOGGER = logging.getLogger("svertka")

_Shape = list[int | None]


@dataclass
class _Graph:
    """What is known of a graph: shapes by name (None where they are free), and weights that are no numbers."""

    inputs: dict[str, _Shape] = field(default_factory=dict)
    outputs: dict[str, _Shape] = field(default_factory=dict)
    weights: set[str] = field(default_factory=set)
    infinite: str | None = None


def onnx_digest(rest: bytes, card: str) -> str:
    """The digest of an ONNX file: of a serialised model without metadata, and of its card."""
    total = hashlib.sha256(rest)
    total.update(card.encode())
    return f"sha256:{total.hexdigest()}"


def read_onnx_card(path: Path) -> Card:
    """The card of an exported graph, once the file is found to be what was exported.

    A file of a release that wrote no digest is taken with a warning.

    Raises:
        UserError: The file is missing, damaged, altered, carries no card or one that does not suit its graph, or has
            weights that are not finite.
    """
    if not path.is_file():
        raise UserError("no such model file", where=path)
    try:
        with path.open("rb") as file:
            reader = _Reader(file)
            metadata, graph = _read(reader)
            digest = reader.digest(metadata.get(CARD_KEY, ""))
    except ValueError as error:  # text that is no UTF-8 is one, too
        raise UserError(f"not a readable ONNX model ({error})", where=path, mend="export it again") from error
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror})", where=path) from error
    if CARD_KEY not in metadata:
        raise UserError("an ONNX file without a card", where=path, mend="export it with `svertka export`")
    if DIGEST_KEY not in metadata:
        _warn_of_age(path)
    elif metadata[DIGEST_KEY] != digest:
        raise UserError("it was altered or damaged since it was exported", where=path, mend="export it again")
    card = Card.from_json(metadata[CARD_KEY], where=path)
    problem = _unsuited(card, graph)
    if problem:
        raise UserError(problem, where=path, mend="export it again")
    return card


def _unsuited(card: Card, graph: _Graph) -> str | None:
    if graph.infinite is not None:
        return f"{graph.infinite[:200]!r} holds numbers that are not finite (NaN or infinite)"
    taken = next((shape for name, shape in graph.inputs.items() if name not in graph.weights), [])
    wanted: _Shape = [None, *card.input.shape]
    if card.deployment is not None and card.deployment.pixels:
        wanted = [None, None, None, 3]
    if len(taken) != len(wanted) or not all(map(_fits, taken, wanted)):
        return f"its card is for {card.input.graph_input} of {_written(wanted)}, its graph takes {_written(taken)}"
    for name, shape in graph.outputs.items():
        said = card.output.instead(name, shape[1:])
        if said:
            return f"its card names {said}, its graph gives {name} of {_written(shape)}"
    return None


def _fits(one: int | None, other: int | None) -> bool:
    return one is None or other is None or one == other


def _written(shape: _Shape) -> str:
    return "×".join("any" if side is None else str(side) for side in shape) or "no known shape"


@functools.cache  # a command may read the card of one file several times
def _warn_of_age(path: Path) -> None:
    _LOGGER.warning(
        "svertka: warning: %s", harmless(f"{path} carries no digest, so damage goes unnoticed; export it again")
    )


def _read(reader: _Reader) -> tuple[dict[str, str], _Graph]:
    """Card and digest by their keys, and the graph; ``reader.rest`` is where all but the metadata lies."""
    metadata, graph, graphs, start = dict[str, str](), _Graph(), 0, 0
    for number, _, stop in reader.fields(reader.size):
        if number == _METADATA:
            entry = {_KEY: "", _VALUE: ""}
            for part, _, end in reader.fields(stop):
                if part in entry and (part == _KEY or entry[_KEY] in (CARD_KEY, DIGEST_KEY)):
                    entry[part] = reader.bytes_to(end).decode()
            if entry[_KEY] in (CARD_KEY, DIGEST_KEY):
                metadata[entry[_KEY]] = entry[_VALUE]
        else:
            reader.rest.append((start, stop))
            if number == _GRAPH:
                graphs += 1
                _read_graph(reader, stop, graph)
        start = stop
    if not graphs:
        raise ValueError("it holds no graph")
    return metadata, graph


def _read_graph(reader: _Reader, stop: int, graph: _Graph) -> None:
    for number, _, end in reader.fields(stop):
        if number == _INITIALIZER:
            name, finite = _weight(reader, end)
            graph.weights.add(name)
            graph.infinite = graph.infinite if finite or graph.infinite is not None else name
        elif number in (_INPUT, _OUTPUT):
            name, shape = _border(reader, end)
            (graph.inputs if number == _INPUT else graph.outputs)[name] = shape


def _border(reader: _Reader, stop: int) -> tuple[str, _Shape]:
    name, shape = "", _Shape()
    for number, _, end in reader.fields(stop):
        if number == _NAME:
            name = reader.bytes_to(end).decode()
        elif number == _TYPE:
            for _, _, tensor in reader.fields(end, only=_TENSOR_TYPE):
                for _, _, axes in reader.fields(tensor, only=_SHAPE):
                    for _, _, axis in reader.fields(axes, only=_DIMENSION):
                        shape.append(next((value for _, value, _ in reader.fields(axis, only=_LENGTH)), None))
                        reader.skip_to(axis)
    return name, shape


def _weight(reader: _Reader, stop: int) -> tuple[str, bool]:
    # A constant may be infinite, as a border of what is compared; what has several numbers is a weight.
    name, kind, pieces = "", 0, list[tuple[int, int, int]]()
    for number, value, end in reader.fields(stop):
        if number == _DATA_TYPE:
            kind = value
        elif number == _TENSOR_NAME:
            name = reader.bytes_to(end).decode()
        elif number in (_RAW, _FLOATS, _DOUBLES):
            pieces.append((number, reader.place, end))
    finite = True
    for number, start, end in pieces:
        dtype = {_FLOATS: "<f4", _DOUBLES: "<f8"}.get(number) or _RAW_DTYPES.get(kind)
        if dtype is not None and end - start > np.dtype(dtype).itemsize:
            finite = finite and reader.is_finite(start, end, dtype)
    reader.skip_to(stop)
    return name, finite


class _Reader:
    """A file of protobuf messages, read forwards."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._left = _MOST_FIELDS
        self.size = os.fstat(file.fileno()).st_size
        self.rest: list[tuple[int, int]] = []

    @property
    def place(self) -> int:
        """Where the next byte is."""
        return self._file.tell()

    def fields(self, stop: int, *, only: int | None = None) -> Iterator[tuple[int, int, int]]:
        """Number, value if it is a whole number, and end of each field until ``stop``; what is not read is skipped.

        Raises:
            ValueError: The message is damaged.
        """
        while self.place < stop:
            self._left -= 1
            if self._left < 0:
                raise ValueError("it has more parts than any network")
            number, kind = divmod(self._varint(), 8)
            value = length = 0
            if kind == _VARINT:
                value = self._varint()
            elif kind in (_EIGHT_BYTES, _BYTES, _FOUR_BYTES):
                length = self._varint() if kind == _BYTES else {_EIGHT_BYTES: 8, _FOUR_BYTES: 4}[kind]
            else:
                raise ValueError(f"a field of the unknown kind {kind}")
            end = self.place + length
            if end > stop:
                raise ValueError("it is cut off")
            if only is None or number == only:
                yield number, value, end
            self.skip_to(end)

    def bytes_to(self, end: int) -> bytes:
        """The bytes from here to there."""
        return self._file.read(end - self.place)

    def skip_to(self, place: int) -> None:
        """Go on from there."""
        self._file.seek(place)

    def digest(self, card: str) -> str:
        """See `onnx_digest`."""
        total = hashlib.sha256()
        for start, end in self.rest:
            self._file.seek(start)
            while self.place < end:
                total.update(self._file.read(min(_CHUNK, end - self.place)))
        total.update(card.encode())
        return f"sha256:{total.hexdigest()}"

    def is_finite(self, start: int, end: int, dtype: str) -> bool:
        """Whether all numbers there are."""
        self._file.seek(start)
        width = np.dtype(dtype).itemsize
        while self.place < end:
            numbers = self._file.read(min(_CHUNK, end - self.place))
            if not np.isfinite(np.frombuffer(numbers[: len(numbers) // width * width], dtype)).all():
                return False
        return True

    def _varint(self) -> int:
        value = 0
        for place in range(_LONGEST_VARINT):
            byte = self._file.read(1)
            if not byte:
                raise ValueError("it is cut off")
            value |= (byte[0] & 0x7F) << 7 * place
            if byte[0] < 0x80:
                return value
        raise ValueError("a number without end")

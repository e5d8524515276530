"""Weights of Caffe: the blobs of a ``.caffemodel``, read from the wire format of protocol buffers.

Only the few fields that hold names and numbers are looked at (``caffe.proto``: NetParameter, its layers of both
generations, BlobProto, BlobShape); nothing else in the file is interpreted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from svertka.errors import UserError

Value = int | memoryview

_LAYERS = {100: (1, 7), 2: (4, 6)}
"""Field of the network that holds its layers, of both generations: the fields of a layer for its name and its blobs."""

_BLOBS = ("weight", "bias")
_SHAPE, _DATA = 7, 5
_OLD_SHAPE = (1, 2, 3, 4)  # num, channels, height, width
_MOST_AXES = 32
_MOST_LAYERS = 20_000


def read(path: Path) -> dict[str, Tensor]:
    """The first two blobs of every layer as ``"layer.weight"`` and ``"layer.bias"``.

    A fully connected layer's weight is ``(outputs, inputs)``, a convolution's ``(outputs, inputs, H, W)``.

    Raises:
        UserError: The file is missing, damaged, or has no weights of Caffe.
    """
    try:
        tensors = dict(_tensors(memoryview(path.read_bytes())))
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror or error})", where=path) from error
    except (ValueError, IndexError) as error:
        raise UserError(f"cannot be read as weights of Caffe: {error}", where=path) from error
    if not tensors:
        raise UserError("it has no weights of Caffe", where=path)
    return tensors


def _tensors(network: memoryview) -> Iterator[tuple[str, Tensor]]:
    layers = 0
    for generation, layer in _fields(network):
        if generation not in _LAYERS or isinstance(layer, int):
            continue
        layers += 1
        if layers > _MOST_LAYERS:
            raise ValueError("more layers than any network has")
        name_field, blobs_field = _LAYERS[generation]
        name, blobs = "", list[Tensor]()
        for field, value in _fields(layer):
            if field == name_field:
                name = bytes(_message(value)).decode()
            elif field == blobs_field and len(blobs) < len(_BLOBS):
                blobs.append(_blob(_message(value)))
        for kind, blob in zip(_BLOBS, blobs, strict=False):
            yield f"{name}.{kind}", blob


def _blob(message: memoryview) -> Tensor:
    data: list[memoryview] = []
    old = dict.fromkeys(_OLD_SHAPE, 0)
    shape: list[int] | None = None
    for field, value in _fields(message):
        if field == _DATA:
            data.append(_message(value))
        elif field == _SHAPE:
            shape = []
            for _, packed in _fields(_message(value)):
                shape += _numbers(packed)
                if len(shape) > _MOST_AXES:
                    raise ValueError("a blob of more axes than any layer's")
        elif field in old and isinstance(value, int):
            old[field] = value
    if shape is None:
        shape = list(old.values())  # the first generation writes vectors and matrices with four axes
        for axes in (3, 2):
            if shape[:axes] == [1] * axes:
                shape = shape[axes:]
    # Numbers that are not packed come one by one, and those of a whole layer as one piece, which is copied once.
    joined = data[0] if len(data) == 1 else b"".join(data)
    numbers = np.frombuffer(joined, dtype="<f4").astype(np.float32)
    if numbers.size != math.prod(shape):
        raise ValueError(f"a blob of {numbers.size:,} numbers, not of shape {shape}")
    return torch.from_numpy(numbers.reshape(shape))


def _fields(message: memoryview) -> Iterator[tuple[int, Value]]:
    # Number and value of every field: a whole number, or the bytes of a message, a text, or packed numbers.
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        field, kind = tag >> 3, tag & 7
        if kind == 0:
            number, place = _varint(message, place)
            yield field, number
            continue
        if kind == 2:
            length, place = _varint(message, place)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError(f"a field of kind {kind}")
        if length > len(message) - place:
            raise ValueError("it ends in the middle of a field")
        yield field, message[place : place + length]
        place += length


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    number = 0
    for byte in range(10):
        if place >= len(message):
            raise ValueError("it ends in the middle of a number")
        number |= (message[place] & 0x7F) << (7 * byte)
        place += 1
        if message[place - 1] < 0x80:
            return number, place
    raise ValueError("a number that does not end")


def _message(value: Value) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number where a message should be")
    return value


def _numbers(value: Value) -> list[int]:
    if isinstance(value, int):
        return [value]
    numbers, place = list[int](), 0
    while place < len(value) and len(numbers) <= _MOST_AXES:
        number, place = _varint(value, place)
        numbers.append(number)
    return numbers

"""Tensors that come from files: read from safetensors, and looked at before they are used."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from svertka.errors import UserError
from svertka.runtime import safetensors
from svertka.runtime.safetensors import Header

DTYPE_NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.complex64: "C64",
    torch.int64: "I64",
    torch.uint64: "U64",
    torch.int32: "I32",
    torch.uint32: "U32",
    torch.int16: "I16",
    torch.uint16: "U16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
"""As safetensors calls them."""

_DTYPES = {name: dtype for dtype, name in DTYPE_NAMES.items()}
_REAL = (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2)
_WHOLE = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
_CHUNK = 1 << 20  # numbers that are looked at together


def read_tensors(path: Path, header: Header) -> tuple[dict[str, Tensor], str]:
    """All tensors of a safetensors file by name, and their digest; memory grows by the size of the file.

    Not mapped: where the file's bytes happen to lie decides which kernel sums them, and so the last bit. Nor mapped
    and copied, which is twice the memory.

    Args:
        path: The file.
        header: Its header, which is believed.

    Raises:
        UserError: The file became shorter.
    """
    tensors = {name: torch.empty(entry.shape, dtype=_DTYPES[entry.dtype]) for name, entry in header.tensors.items()}
    buffers = {name: tensor.view(-1).view(torch.uint8).numpy().data for name, tensor in tensors.items()}
    return tensors, safetensors.read_tensors(path, header, buffers)


def tensor_bytes(tensor: Tensor) -> tuple[str, tuple[int, ...], memoryview]:
    """Type, shape and bytes of a tensor, as safetensors has them; nothing is copied of one that is contiguous."""
    dense = tensor.detach().cpu().contiguous()
    return DTYPE_NAMES[dense.dtype], tuple(dense.shape), dense.view(-1).view(torch.uint8).numpy().data


def check_plain(name: str, tensor: Tensor, *, where: object) -> None:
    """See that a tensor is dense, has room for its elements, and holds finite real or whole numbers.

    Args:
        name: What it is called, for the message.
        tensor: Anything that a file can hold as a tensor.
        where: The file, for the message.

    Raises:
        UserError: It is or does not.
    """
    problem = _problem(tensor)
    if problem:
        raise UserError(f"{name[:200]!r} {problem}", where=where)


def _problem(tensor: Tensor) -> str | None:
    if type(tensor) not in (Tensor, nn.Parameter):
        return f"is no plain tensor but a {type(tensor).__name__}"
    if tensor.is_nested or tensor.layout != torch.strided:
        return "is nested or sparse; save it dense"
    if tensor.is_meta:
        return "has a shape but no numbers (a tensor on the meta device)"
    if tensor.is_quantized:
        return "is quantised; save it in floating point"
    if tensor.dtype not in _REAL + _WHOLE:
        return f"is of {tensor.dtype}, not of real numbers".replace("torch.", "")
    if tensor.nbytes > tensor.untyped_storage().nbytes():
        return f"has {tensor.numel():,} elements, more than are stored"
    if tensor.dtype in _REAL and not all(map(_is_finite, _pieces(tensor.detach()))):
        return "holds numbers that are not finite (NaN or infinite)"
    return None


def _is_finite(piece: Tensor) -> bool:
    # Several times faster than isfinite: a NaN is the least and the greatest of all.
    return not piece.numel() or all(math.isfinite(float(value)) for value in piece.aminmax())


def _pieces(tensor: Tensor) -> Iterator[Tensor]:
    # One that is not contiguous is copied to become flat, so it is cut first.
    rows = tensor.view(-1) if tensor.is_contiguous() else tensor  # one of no axes is
    length = max(1, _CHUNK * len(rows) // max(1, rows.numel()))
    for start in range(0, len(rows), length):
        piece = rows[start : start + length]
        yield piece.float() if piece.dtype.itemsize == 1 else piece

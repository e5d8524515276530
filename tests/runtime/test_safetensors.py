"""Headers and digests of safetensors files, against files made by hand and against the safetensors library."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.numpy
import safetensors.torch
import torch

from svertka.errors import UserError
from svertka.runtime.safetensors import Header, Serialised, file_digest, read_header, read_tensors

TENSORS = {
    "b.weight": torch.arange(6, dtype=torch.float32).reshape(2, 3),
    "a.bias": torch.tensor([1.5], dtype=torch.float64),
    "steps": torch.tensor(7),
    "none": torch.empty(0, 3),
    "half": torch.ones(3, dtype=torch.bfloat16),
    "flag": torch.tensor([True, False]),
}


def entry(start: int, stop: int, **changes: Any) -> dict[str, Any]:
    return {"dtype": "U8", "shape": [stop - start], "data_offsets": [start, stop]} | changes


def written(folder: Path, header: object, body: bytes) -> Path:
    data = header if isinstance(header, bytes) else json.dumps(header).encode()
    path = folder / "model.safetensors"
    path.write_bytes(len(data).to_bytes(8, "little") + data + body)
    return path


def saved(folder: Path, metadata: dict[str, str]) -> Path:
    path = folder / "saved.safetensors"
    with path.open("wb") as file:
        Serialised(safetensors.torch.save(TENSORS)).write(file, metadata)
    return path


def test_the_header_tells_where_each_tensor_lies(tmp_path: Path) -> None:
    header = {"__metadata__": {"k": "v"}, "x": entry(0, 2), "y": entry(2, 6, dtype="F32", shape=[])}
    path = written(tmp_path, header, b"abcdef")
    found = read_header(path)
    assert found.metadata == {"k": "v"}
    assert found.tensors["y"].dtype == "F32"
    assert found.tensors["y"].shape == ()
    assert path.read_bytes()[found.tensors["x"].start : found.tensors["x"].stop] == b"ab"


def test_a_file_without_tensors_or_metadata_is_whole(tmp_path: Path) -> None:
    found = read_header(written(tmp_path, {}, b""))
    assert (found.tensors, found.metadata) == ({}, {})


def test_the_library_reads_what_is_written(tmp_path: Path) -> None:
    path = saved(tmp_path, {"κ": "значение"})
    with safetensors.safe_open(path, "pt") as file:
        assert file.metadata() == {"κ": "значение"}
        assert set(file.keys()) == set(TENSORS)
        assert all(torch.equal(file.get_tensor(name), value) for name, value in TENSORS.items())
    assert all(item.start % 8 == 0 for name, item in read_header(path).tensors.items() if name == "a.bias")


def test_what_the_library_writes_is_read(tmp_path: Path) -> None:
    path = tmp_path / "theirs.safetensors"
    safetensors.torch.save_file(TENSORS, path, {"k": "v"})
    found = read_header(path)
    assert {name: item.shape for name, item in found.tensors.items()} == {
        name: tuple(value.shape) for name, value in TENSORS.items()
    }
    assert found.metadata == {"k": "v"}


def test_no_length_of_the_header_is_taken_for_a_pickle(tmp_path: Path) -> None:
    # A pickle begins with the byte 0x80, and so does every 32nd header length.
    for padding in range(0, 256, 8):
        assert read_header(saved(tmp_path, {"k": "v" * padding})).metadata["k"] == "v" * padding


def test_a_header_as_long_as_a_zip_signature_is_no_zip(tmp_path: Path) -> None:
    header = json.dumps({"x": entry(0, 1)}).encode().ljust(int.from_bytes(b"PK", "little"))
    assert set(read_header(written(tmp_path, header, b"a")).tensors) == {"x"}


def test_digest_before_and_after_writing_agree(tmp_path: Path) -> None:
    serialised = Serialised(safetensors.torch.save(TENSORS))
    path = saved(tmp_path, {"k": "v"})
    assert file_digest(path, read_header(path)) == serialised.digest()


def test_metadata_and_order_do_not_change_the_digest(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    safetensors.torch.save_file(TENSORS, one, {"k": "v"})
    body, parts, position = b"", {}, 0
    for name, value in reversed(TENSORS.items()):
        raw = value.contiguous().view(torch.uint8 if value.ndim else value.dtype).numpy().tobytes()
        found = read_header(one).tensors[name]
        parts[name] = {"dtype": found.dtype, "shape": found.shape, "data_offsets": [position, position + len(raw)]}
        body, position = body + raw, position + len(raw)
    other = written(tmp_path, parts, body)
    assert file_digest(one, read_header(one)) == file_digest(other, read_header(other))


@pytest.mark.parametrize(
    "change",
    [
        {"steps": torch.tensor(8)},
        {"steps": torch.tensor([7])},
        {"flag": torch.tensor([1, 0], dtype=torch.uint8)},
        {"more": torch.empty(0)},
    ],
    ids=["value", "shape", "dtype", "name"],
)
def test_a_change_of_any_kind_changes_the_digest(change: dict[str, torch.Tensor]) -> None:
    before = Serialised(safetensors.torch.save(TENSORS)).digest()
    assert Serialised(safetensors.torch.save(TENSORS | change)).digest() != before


def test_the_digest_is_what_it_was(tmp_path: Path) -> None:
    # Frozen, since model files carry it: name, type, shape, bytes.
    path = tmp_path / "model.safetensors"
    safetensors.numpy.save_file({"x": np.array([[1, 2]], "<f4"), "a": np.array(7, "<i8")}, path)
    told = b'["a", "I64", []]' + (7).to_bytes(8, "little") + b'["x", "F32", [1, 2]]' + struct.pack("<2f", 1, 2)
    assert file_digest(path, read_header(path)) == hashlib.sha256(told).hexdigest()


def test_a_file_that_shrinks_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, {})
    header = read_header(path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match="shorter"):
        file_digest(path, header)
    with pytest.raises(UserError, match="shorter"):
        read_tensors(path, header, buffers(header))


def test_reading_gives_the_bytes_and_their_digest(tmp_path: Path) -> None:
    path = saved(tmp_path, {})
    header = read_header(path)
    read = buffers(header)
    assert read_tensors(path, header, read) == file_digest(path, header)
    data = path.read_bytes()
    assert {name: bytes(buffer) for name, buffer in read.items()} == {
        name: data[entry.start : entry.stop] for name, entry in header.tensors.items()
    }


def buffers(header: Header) -> dict[str, memoryview]:
    return {name: memoryview(bytearray(entry.stop - entry.start)) for name, entry in header.tensors.items()}


BAD: dict[str, tuple[object, bytes]] = {
    "gap before": ({"x": entry(1, 2)}, b"ab"),
    "gap between": ({"x": entry(0, 1), "y": entry(2, 3)}, b"abc"),
    "overlap": ({"x": entry(0, 2), "y": entry(1, 3)}, b"abc"),
    "bytes left over": ({"x": entry(0, 1)}, b"ab"),
    "bytes missing": ({"x": entry(0, 3)}, b"ab"),
    "backwards": ({"x": entry(0, 2), "y": entry(2, 0)}, b""),
    "negative side": ({"x": entry(0, 2, shape=[-1, -2])}, b"ab"),
    "fewer bytes than the shape": ({"x": entry(0, 2, shape=[3])}, b"ab"),
    "more bytes than the shape": ({"x": entry(0, 2, shape=[1])}, b"ab"),
    "bytes of another type": ({"x": entry(0, 2, dtype="F32", shape=[2])}, b"ab"),
    "unknown type": ({"x": entry(0, 2, dtype="OBJECT")}, b"ab"),
    "type that is no text": ({"x": entry(0, 2, dtype=["U8"])}, b"ab"),
    "side as text": ({"x": entry(0, 2, shape=["2"])}, b"ab"),
    "side as a fraction": ({"x": entry(0, 2, shape=[2.0])}, b"ab"),
    "side that is true": ({"x": entry(0, 1, shape=[True])}, b"a"),
    "endless side": ({"x": entry(0, 2, shape=[float("inf")])}, b"ab"),
    "endless offset": ({"x": entry(0, 2, data_offsets=[0, float("inf")])}, b"ab"),
    "offset as text": ({"x": entry(0, 2, data_offsets=["0", "2"])}, b"ab"),
    "one offset": ({"x": entry(0, 2, data_offsets=[0])}, b"ab"),
    "no shape": ({"x": {"dtype": "U8", "data_offsets": [0, 2]}}, b"ab"),
    "entry that is a list": ({"x": [1]}, b"ab"),
    "the same name twice": (b'{"x":%b,"x":%b}' % ((json.dumps(entry(0, 2)).encode(),) * 2), b"ab"),
    "metadata that is no object": ({"__metadata__": [], "x": entry(0, 2)}, b"ab"),
    "metadata that is no text": ({"__metadata__": {"k": 1}, "x": entry(0, 2)}, b"ab"),
    "metadata that is no unicode": ({"__metadata__": {"k": "\ud800"}, "x": entry(0, 2)}, b"ab"),
    "name that is no unicode": ({"\udcff": entry(0, 2)}, b"ab"),
    "header that is a list": ([], b""),
    "header that is a number": (b"1", b""),
    "header that is no JSON": (b"{x}", b""),
    "header in UTF-16": (json.dumps({"x": entry(0, 2)}).encode("utf-16"), b"ab"),
    "header of no encoding": (b'{"\xff": 1}', b""),
    "deep header": (b"[" * 200_000, b""),
}


@pytest.mark.parametrize("name", BAD)
def test_a_damaged_header_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, *BAD[name])
    with pytest.raises(UserError) as caught:
        read_header(path)
    assert str(caught.value).startswith(f"{path}: not a readable model file")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("length", [2**63, 10**9, 100_000_001, 20])
def test_a_header_longer_than_the_file_is_refused_unread(tmp_path: Path, length: int) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + b"{}")
    with pytest.raises(UserError, match="truncated"):
        read_header(path)


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    data = saved(tmp_path, {"k": "v"}).read_bytes()
    path = tmp_path / "cut.safetensors"
    for size in range(0, len(data), 7):
        path.write_bytes(data[:size])
        with pytest.raises(UserError, match="not a readable model file"):
            read_header(path)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_is_named_and_not_opened(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(pickle.dumps({"weight": list(range(100))}, protocol))
    with pytest.raises(UserError, match="a pickle"):
        read_header(path)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_torch_checkpoint_is_named_and_not_opened(tmp_path: Path, zipped: bool) -> None:
    data = io.BytesIO()
    torch.save(TENSORS, data, _use_new_zipfile_serialization=zipped)
    path = tmp_path / "model.safetensors"
    path.write_bytes(data.getvalue())
    with pytest.raises(UserError, match="a pickle"):
        read_header(path)


def test_what_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        read_header(tmp_path / "nothing")
    with pytest.raises(UserError, match="directory"):
        read_header(tmp_path)

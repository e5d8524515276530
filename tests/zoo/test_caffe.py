"""Weight files of Caffe, read without Caffe."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch

from svertka.errors import UserError
from svertka.zoo import caffe
from svertka.zoo.checkpoints import read_checkpoint

TENSORS = {
    "conv1.weight": torch.arange(2 * 3 * 3 * 3.0).reshape(2, 3, 3, 3),
    "conv1.bias": torch.tensor([0.5, -0.5]),
    "cccp1.weight": torch.ones(4, 2, 1, 1),
    "fc.weight": torch.arange(12.0).reshape(3, 4),
}


@pytest.mark.parametrize("first_generation", [True, False])
def test_both_generations(first_generation: bool, write_caffemodel: Callable[..., Path], tmp_path: Path) -> None:
    read = caffe.read(write_caffemodel(tmp_path / "a.caffemodel", TENSORS, first_generation=first_generation))
    assert read.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        torch.testing.assert_close(read[name], tensor)


def test_a_truncated_file_is_refused_wherever_it_ends(write_caffemodel: Callable[..., Path], tmp_path: Path) -> None:
    path = write_caffemodel(tmp_path / "a.caffemodel", TENSORS, first_generation=True)
    whole, layers = path.read_bytes(), len(TENSORS)
    for end in range(0, len(whole), 7):
        path.write_bytes(whole[:end])
        with suppress(UserError):
            assert len(caffe.read(path)) < layers  # it ended between two layers


def test_damage_raises_nothing_else(write_caffemodel: Callable[..., Path], tmp_path: Path) -> None:
    path = write_caffemodel(tmp_path / "a.caffemodel", TENSORS, first_generation=False)
    whole, random = path.read_bytes(), np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        damaged = np.frombuffer(whole, np.uint8).copy()
        damaged[random.integers(0, len(whole), 4)] = random.integers(0, 256, 4)
        path.write_bytes(damaged.tobytes())
        try:
            caffe.read(path)
        except UserError:
            refused += 1
    assert 0 < refused < 300


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no weights of Caffe"),
        (b"not a network at all", "cannot be read as weights of Caffe"),
        (b"\xa2\x06\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "ends in the middle"),  # a layer of eighty bits of bytes
        (b"\xff" * 11, "does not end"),
        (b"\xa2\x06\xac\x02" + b"\x3a\xa9\x02\x3a\xa6\x02\x0a\xa3\x02" + b"\x01" * 291, "more axes"),
        (b"\xa2\x06\0" * 20_001, "more layers"),
    ],
)
def test_what_is_no_weight_file(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.caffemodel"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        caffe.read(path)


def test_weights_that_are_not_finite(write_caffemodel: Callable[..., Path], tmp_path: Path) -> None:
    tensors = {"fc.weight": torch.ones(2, 2), "fc.bias": torch.tensor([1.0, float("nan")])}
    path = write_caffemodel(tmp_path / "a.caffemodel", tensors, first_generation=False)
    with pytest.raises(UserError, match=r"'fc.bias' holds numbers that are not finite"):
        read_checkpoint(path)

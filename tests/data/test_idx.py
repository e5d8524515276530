"""IDX, the format of MNIST."""

from __future__ import annotations

import contextlib
import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from svertka.data.readers.idx import is_idx, read_idx
from svertka.data.readers.reading import open_dataset
from svertka.errors import UserError

IMAGES = np.arange(5 * 3 * 2, dtype=np.uint8).reshape(5, 3, 2)
LABELS = np.array([0, 2, 1, 0, 2], np.uint8)
NAMES = {
    "train-images": "train-images-idx3-ubyte",
    "train-labels": "train-labels-idx1-ubyte",
    "t10k-images": "t10k-images-idx3-ubyte",
    "t10k-labels": "t10k-labels-idx1-ubyte",
}


def idx(array: NDArray[np.uint8]) -> bytes:
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write(folder: Path, *, gz: bool = False, **files: bytes) -> Path:
    contents = {"train_images": idx(IMAGES), "train_labels": idx(LABELS)} | files
    for name, data in contents.items():
        path = folder / NAMES[name.replace("_", "-")]
        if gz:
            path = path.with_name(f"{path.name}.gz")
        path.write_bytes(gzip.compress(data) if gz else data)
    return folder


@pytest.mark.parametrize("gz", [False, True])
def test_images_and_labels(tmp_path: Path, gz: bool) -> None:
    write(tmp_path, gz=gz, t10k_images=idx(IMAGES[:2]), t10k_labels=idx(LABELS[:2]))
    dataset = open_dataset(tmp_path)
    assert dataset.format == "IDX"
    assert {part: [sample.annotation for sample in samples] for part, samples in dataset.parts.items()} == {
        "train": ["0", "2", "1", "0", "2"],
        "test": ["0", "2"],
    }
    pixels, digest = dataset.parts["train"][3].source.load()
    assert pixels.shape == (3, 2, 3)
    assert all(np.array_equal(pixels[..., channel], IMAGES[3]) for channel in range(3))
    assert digest != dataset.parts["train"][2].source.load()[1]
    assert len({sample.name for sample in dataset.parts["train"]}) == 5
    assert len({sample.source.stamp() for sample in dataset.parts["train"]}) == 5


@pytest.mark.parametrize("text", ["cat\ndog\nбегемот\n", "cat\r\ndog\r\nбегемот", "\ufeffcat\ndog \nбегемот\n\n"])
def test_names_of_the_classes(tmp_path: Path, text: str) -> None:
    write(tmp_path)
    (tmp_path / "classes.txt").write_bytes(text.encode())
    samples = read_idx(tmp_path).parts["train"]
    assert [sample.annotation for sample in samples] == ["cat", "бегемот", "dog", "cat", "бегемот"]


@pytest.mark.parametrize("text", [b"cat\ndog\n", b"cat\ndog", b"cat\ndog\n\n\n", b""])
def test_a_label_without_a_name_is_refused(tmp_path: Path, text: bytes) -> None:
    write(tmp_path)
    (tmp_path / "classes.txt").write_bytes(text)
    with pytest.raises(UserError, match=r"classes\.txt: no line for the label [02]"):
        read_idx(tmp_path)


def test_names_of_no_encoding_are_refused(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "classes.txt").write_bytes(b"cat\nd\xf6g\nx\n")
    with pytest.raises(UserError, match=r"classes\.txt: "):
        read_idx(tmp_path)


@pytest.mark.parametrize("gz", [False, True])
def test_a_file_cut_anywhere_is_refused(tmp_path: Path, gz: bool) -> None:
    write(tmp_path, gz=gz)
    path = next(tmp_path.glob("train-images*"))
    data = path.read_bytes()
    for size in range(len(data)):
        path.write_bytes(data[:size])
        with pytest.raises(UserError, match=path.name):
            read_idx(tmp_path)


@pytest.mark.parametrize(
    "data",
    [
        idx(IMAGES) + b"\0",
        idx(IMAGES)[:-1],
        idx(LABELS),
        b"\0\0\x0d\x03" + idx(IMAGES)[4:],
        b"\0\0\x08\x03" + struct.pack(">3I", 2**32 - 1, 2**32 - 1, 2**32 - 1),
        b"\0\0\x08\x03" + struct.pack(">3I", 5, 0, 0),
        b"\0\0\x08\x03" + struct.pack(">3I", 0, 3, 2),
        b"no IDX at all, but text that is long enough",
    ],
    ids=["a byte more", "a byte less", "labels", "floats", "endless", "no pixels", "no images", "text"],
)
def test_what_is_no_file_of_images_is_refused(tmp_path: Path, data: bytes) -> None:
    write(tmp_path, train_images=data)
    with pytest.raises(UserError, match="train-images"):
        read_idx(tmp_path)


def test_damaged_gz_is_refused(tmp_path: Path) -> None:
    write(tmp_path, gz=True)
    path = next(tmp_path.glob("train-images*"))
    data = bytearray(path.read_bytes())
    for position in range(len(data)):
        changed = data.copy()
        changed[position] ^= 0x55
        path.write_bytes(changed)
        with contextlib.suppress(UserError):  # a change of the name or the time in the header does no harm
            first = read_idx(tmp_path).parts["train"][0]
            assert np.array_equal(first.source.load()[0][..., 0], IMAGES[0])


def test_images_and_labels_that_differ_in_number(tmp_path: Path) -> None:
    write(tmp_path, train_labels=idx(LABELS[:4]))
    with pytest.raises(UserError, match="5 images but 4 labels"):
        read_idx(tmp_path)


def test_what_is_taken_for_idx(tmp_path: Path) -> None:
    assert not is_idx(tmp_path)
    (tmp_path / NAMES["train-images"]).touch()
    assert not is_idx(tmp_path)
    (tmp_path / NAMES["train-labels"]).touch()
    assert is_idx(tmp_path)


def test_fashion_mnist(shared_data: Path) -> None:
    dataset = open_dataset(shared_data / "fashion-mnist")
    assert {part: len(samples) for part, samples in dataset.parts.items()} == {"train": 60_000, "test": 10_000}
    labels = [sample.annotation for sample in dataset.parts["test"]]
    assert {label: labels.count(label) for label in set(labels)} == {str(number): 1000 for number in range(10)}
    assert labels[:5] == ["9", "2", "1", "1", "6"]
    assert dataset.parts["train"][59_999].source.load()[0].shape == (28, 28, 3)

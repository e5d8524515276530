"""Series: read from CSV and .npy or refused in one line, and made inputs of one length and scale."""

from __future__ import annotations

import contextlib
import io
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from svertka.errors import UserError
from svertka.runtime import series as reading
from svertka.runtime.series import SeriesError, SeriesTransform, decode_series, load_series

TWO = SeriesTransform(channels=2, length=4, mean=(1, 10), std=(2, 5), names=("speed", "heat"))


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize(
    ("text", "expected", "names"),
    [
        ("1,2\n3,4\n", [[1, 2], [3, 4]], ()),
        ("speed,heat\n1,2\n3,4", [[1, 2], [3, 4]], ("speed", "heat")),
        ("\ufeffspeed; heat\r\n1;-2e3\r\n\r\n3;.5\r\n", [[1, -2000], [3, 0.5]], ("speed", "heat")),
        ("a\tb\n1\t2\n", [[1, 2]], ("a", "b")),
        ('"a, b"\n1\n2\n3\n', [[1], [2], [3]], ("a, b",)),
        ("7\n", [[7]], ()),
    ],
)
def test_csv(text: str, expected: list[list[float]], names: tuple[str, ...]) -> None:
    found = decode_series(text.encode(), ".csv")
    assert found.values.dtype == np.float32
    assert found.values.tolist() == expected
    assert found.names == names


@pytest.mark.parametrize("dtype", ["<f8", ">f4", "<f2", "u1", "<i8", "?"])
def test_npy_of_any_numbers(dtype: str) -> None:
    array = np.array([[1, 0], [0, 1], [1, 1]]).astype(dtype)
    for given in (array, np.asfortranarray(array)):
        assert decode_series(npy(given), ".npy").values.tolist() == array.astype(float).tolist()
    assert decode_series(npy(array[:, 0]), ".npy").values.tolist() == [[1], [0], [1]]


HUGE = npy(np.zeros((2, 2), np.float32)).replace(b"(2, 2), }" + b" " * 9, b"(1000000, 16), }  ")

REFUSED = [
    (b"", ".csv", "no numbers"),
    (b"a,b\n", ".csv", "no numbers"),
    (b"a,b\n1,2\n3\n", ".csv", "point 2 has 1 value, not 2"),
    (b"1,2\n3\n", ".csv", "point 2 has 1 value, not 2"),
    (b"a,b\n1,x\n", ".csv", "could not convert"),
    (b"a,b\n1,\n", ".csv", "could not convert"),
    (b"a,b\n1,2\n3,nan\n", ".csv", "point 2 of b is no finite number.*; leave it out, or fill it in"),
    (b"1,2\n3,1e39\n", ".csv", "point 2 of channel 2 is no finite number in single precision"),
    (b"\xff\xfe1,2", ".csv", "not a readable series"),
    (b"a\n" + b"9" * 200_000, ".csv", "not a readable series"),
    (b"x" * 300 + b"\n1", ".csv", "a name of more than 200 characters"),
    (b",".join([b"1"] * 5000), ".csv", "5,000 channels, more than 4,096"),
    (b"1,2", ".txt", "no series: .txt; give .csv or .npy"),
    (b"1,2", "", "a file without an ending"),
    (b"", ".npy", "not a readable series"),
    (npy(np.zeros(3))[:-1], ".npy", "cut off"),
    (npy(np.zeros(3)) + b"x", ".npy", "goes on after its end"),
    (npy(np.zeros((2, 2, 2))), ".npy", r"an array of shape \(2, 2, 2\)"),
    (npy(np.zeros((0, 2))), ".npy", r"an array of shape \(0, 2\)"),
    (npy(np.array(1.0)), ".npy", r"an array of shape \(\)"),
    (npy(np.array(["a"])), ".npy", "not that of an array of numbers"),
    (npy(np.array([1j])), ".npy", "not that of an array of numbers"),
    (npy(np.array([{}], object)), ".npy", "not that of an array of numbers"),
    (npy(np.array([[np.inf, 1]])), ".npy", "point 1 of channel 1 is no finite number"),
    (HUGE, ".npy", "cut off"),
    (HUGE.replace(b"(1000000, 16), }  ", b"(90000000, 16), } "), ".npy", "more than 16,777,216 values"),
]


@pytest.mark.parametrize(("data", "suffix", "said"), REFUSED, ids=[said for _, _, said in REFUSED])
def test_what_is_refused(data: bytes, suffix: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(SeriesError, match=said) as caught:
        decode_series(data, suffix, where="here")
    assert str(caught.value).startswith("here: ")
    path = tmp_path / f"series{suffix}"
    path.write_bytes(data)
    with pytest.raises(SeriesError) as caught:
        load_series(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_files_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (tmp_path, tmp_path / "none.csv", Path("a\0.csv")):
        with pytest.raises(SeriesError):
            load_series(path)
    (tmp_path / "long.csv").write_text("1\n" * 100)
    for name, value in (("MAX_BYTES", 99), ("MAX_VALUES", 99)):
        with monkeypatch.context() as patch:
            patch.setattr(reading, name, value)
            with pytest.raises(SeriesError, match="more than 99 "):
                load_series(tmp_path / "long.csv")


def test_damage_raises_nothing_else() -> None:
    chance = random.Random(0)
    for whole, suffix in ((npy(np.ones((4, 3), np.float32)), ".npy"), (b"speed,heat\n1.5,2\n3,4e2\n", ".csv")):
        for _ in range(400):
            data = bytearray(whole)
            for _ in range(chance.choice([1, 2, 8])):
                data[chance.randrange(min(len(data), 130))] = chance.randrange(256)
            with contextlib.suppress(SeriesError):
                decode_series(bytes(data[: chance.choice([len(data), chance.randrange(len(data))])]), suffix)


def test_a_longer_series_is_cut_and_a_shorter_one_put_among_the_means() -> None:
    long = np.arange(14, dtype=np.float32).reshape(7, 2)
    assert TWO.place(long).tolist() == long[1:5].tolist()
    assert TWO.place(long[:4]).tolist() == long[:4].tolist()
    assert TWO.place(long[:1]).tolist() == [[1, 10], [0, 1], [1, 10], [1, 10]]
    batch = TWO([long, long[:1]])
    assert batch.shape == (2, *TWO.shape)
    assert batch.dtype == np.float32
    assert batch[1].tolist() == [[0, -0.5, 0, 0], [0, np.float32(-9 / 5), 0, 0]]
    assert batch.ctypes.data % 64 == 0  # or the last bit of an answer differs from run to run
    assert TWO.size(long) == (7,)


def test_what_is_handed_in_is_checked(tmp_path: Path) -> None:
    given = np.array([[1, 2], [3, 4]])
    assert TWO.given(given).dtype == np.float32
    (tmp_path / "given.csv").write_text("1,2\n3,4\n")
    assert TWO.given(str(tmp_path / "given.csv")).tolist() == given.tolist()
    one = SeriesTransform(channels=1, length=4, mean=(0,), std=(1,))
    assert one.given([1.0, 2.0]).tolist() == [[1], [2]]
    for wrong, said in (
        (given[:, :1], r"a series of 1 channel, the network takes 2 channels \(speed, heat\)"),
        (np.zeros((0, 2)), "is no series"),
        (np.zeros((2, 2, 2)), "is no series"),
        ([[1, np.inf]], "not finite"),
        ([["a", "b"]], "is no series"),
        (None, "is no series"),
    ):
        with pytest.raises(UserError, match=said):
            TWO.given(wrong)

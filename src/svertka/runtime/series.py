"""Series, such as the log of a sensor: reading one from CSV or NumPy's .npy, and making it an input of a network."""

from __future__ import annotations

import csv
import io
import math
import re
from array import array
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from svertka.errors import UserError, harmless
from svertka.results.curves import drawn_curves
from svertka.runtime.inputs import InputTransform, aligned
from svertka.wording import counted

SERIES_SUFFIXES: Final = (".csv", ".npy")
"""What files of series end in."""

MAX_BYTES: Final = 1 << 27
"""Of a file with one series."""

MAX_VALUES: Final = 1 << 24
"""Of one series, samples times channels: 67 MB in single precision."""

_MOST_CHANNELS = 4096
_LONGEST_NAME = 200
_DELIMITERS = ",;\t"
_LONGEST_HEADER = 10_000  # bytes of the header of an .npy file
_HEADER = re.compile(
    rb"\{'descr': '(?P<dtype>[<>|](f[248]|[iu][1248]|b1))', 'fortran_order': (?P<fortran>True|False), "
    rb"'shape': \((?P<shape>(\d{1,18}, ?)*(\d{1,18})?)\), \}\s*"
)


class SeriesError(UserError):
    """A series that cannot be read: one of many is skipped and named, and a run goes on."""


class Series(NamedTuple):
    """A series as it was read.

    Attributes:
        values: ``(T, C)`` float32, a row a point in time; all finite.
        names: Of the channels, where the file has a header; else none.
    """

    values: NDArray[np.float32]
    names: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SeriesTransform(InputTransform):
    """The input transform of series: ``(T, C)`` float32 of any length to ``(C, length)``, scaled by channel.

    Of a longer series the middle is taken. A shorter one is put into the middle of the channels' means, which are zeros
    once they are scaled.

    Attributes:
        channels: Numbers a point in time.
        length: Points in time that the network takes.
        mean, std: By channel: ``(value - mean) / std``.
        names: Of the channels, where they are known.
        rate: Points a second, where that is known.
    """

    media: ClassVar[str] = "series"
    suffixes: ClassVar[Collection[str]] = SERIES_SUFFIXES
    graph_input: ClassVar[str] = "series"

    channels: int
    length: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    names: tuple[str, ...] = ()
    rate: float | None = None

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UserError: One of them makes no sense.
        """
        for name in ("mean", "std"):
            object.__setattr__(self, name, tuple(_number(value) for value in getattr(self, name)))
        object.__setattr__(self, "names", tuple(self.names))
        problem = self._problem()
        if problem:
            raise UserError(problem, where="input transform")

    def _problem(self) -> str | None:
        if type(self.channels) is not int or not 0 < self.channels <= _MOST_CHANNELS:
            return f"channels is {self.channels!r}: a series has 1 to {_MOST_CHANNELS:,}"
        if type(self.length) is not int or not 0 < self.length <= MAX_VALUES // self.channels:
            return f"a length of {self.length!r}: a series has 1 to {MAX_VALUES:,} values"
        if len(self.mean) != self.channels or len(self.std) != self.channels:
            return f"mean and std need {counted(self.channels, 'value')}, one a channel"
        if not np.isfinite(_in_single(self.mean)).all() or not all(
            0 < value < np.inf for value in _in_single(self.std)
        ):
            return "mean and std must be finite in single precision, and std above zero"
        if len(self.names) not in (0, self.channels):
            return f"{counted(len(self.names), 'name')} for {counted(self.channels, 'channel')}"
        if not all(isinstance(name, str) and len(name) <= _LONGEST_NAME for name in self.names):
            return f"a channel has a name that is no text of up to {_LONGEST_NAME} characters"
        if self.rate is not None and not (_number(self.rate) > 0 and math.isfinite(self.rate)):
            return f"a rate of {self.rate!r}"
        return None

    @property
    def shape(self) -> tuple[int, ...]:
        """See `InputTransform.shape`."""
        return self.channels, self.length

    def check(self, value: NDArray[Any]) -> None:
        """See `InputTransform.check`."""
        if value.dtype != np.float32 or value.ndim != 2 or not value.size:
            raise UserError(f"an array of {value.dtype} {value.shape} is no series (T, C) of float32")
        if value.shape[1] != self.channels:
            raise UserError(
                f"a series of {counted(value.shape[1], 'channel')}, the network takes {self._said_channels()}"
            )
        if value.size > MAX_VALUES:
            raise UserError(f"a series of {value.size:,} values, more than {MAX_VALUES:,}")
        if not np.isfinite(value).all():
            raise UserError("a series with values that are not finite (NaN or infinite)")

    def _said_channels(self) -> str:
        few = 0 < len(self.names) <= 8
        return counted(self.channels, "channel") + (f" ({', '.join(self.names)})" if few else "")

    def load(self, path: Path) -> NDArray[np.float32]:
        """See `InputTransform.load`."""
        return load_series(path).values

    def given(self, value: Any) -> NDArray[Any]:
        """See `InputTransform.given`; numbers of any kind, and of one channel without its axis."""
        if isinstance(value, str | PathLike):
            return super().given(value)
        values = np.asarray(value)
        if values.dtype.kind in "fiub":
            values = _in_single(values[:, None] if values.ndim == 1 else values)
        return super().given(values)

    def place(self, value: NDArray[np.float32]) -> NDArray[np.float32]:
        """Geometry: ``(T, C)`` to ``(length, C)``, cut or filled up at both ends alike."""
        beyond = len(value) - self.length
        if beyond >= 0:
            start = beyond // 2
            return value[start : start + self.length]
        result = np.empty((self.length, self.channels), np.float32)
        result[:] = np.asarray(self.mean, np.float32)
        start = -beyond // 2
        result[start : start + len(value)] = value
        return result

    def normalise(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Arithmetic: ``(N, length, C)`` to ``(N, C, length)``, scaled."""
        mean, std = (np.asarray(values, np.float32) for values in (self.mean, self.std))
        result = aligned((len(batch), self.channels, batch.shape[1]))
        result[:] = ((batch - mean) / std).transpose(0, 2, 1)
        return result

    def picture(self, value: NDArray[np.float32]) -> NDArray[np.uint8]:
        """See `InputTransform.picture`: a curve for each channel, one above another."""
        return drawn_curves(value, self.names)

    def to_json(self) -> dict[str, Any]:
        """See `InputTransform.to_json`."""
        return {name: value for name, value in asdict(self).items() if name not in ("names", "rate") or value}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> SeriesTransform:
        """See `InputTransform.from_json`."""
        try:
            return cls(**values)
        except (TypeError, ValueError, OverflowError) as error:
            raise UserError(f"not an input transform of series: {error}") from error


def load_series(path: Path) -> Series:
    """The series in a file: CSV, a row a point in time and a column a channel, or an array ``(T, C)`` or ``(T,)``.

    Args:
        path: ``.csv``, its first row names where it holds anything but numbers; or ``.npy``.

    Raises:
        SeriesError: There is no such file, it is none of these, too large, or has a value that is no finite number.
    """
    try:
        if not path.is_file():
            raise SeriesError("no such file", where=path)
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise SeriesError(f"cannot be read ({getattr(error, 'strerror', error)})", where=path) from error
    return decode_series(data, path.suffix.lower(), where=path)


def decode_series(data: bytes, suffix: str, *, where: object = None) -> Series:
    """The series in the bytes of a file.

    Args:
        data: The whole file.
        suffix: What its name ends in: ``.csv`` or ``.npy``.
        where: What an error calls it.

    Raises:
        SeriesError: As `load_series`.
    """
    if len(data) > MAX_BYTES:
        raise SeriesError(f"more than {MAX_BYTES:,} bytes", where=where)
    if suffix not in SERIES_SUFFIXES:
        raise SeriesError(f"no series: {suffix or 'a file without an ending'}", where=where, mend="give .csv or .npy")
    try:
        series = _csv(data) if suffix == ".csv" else Series(_npy(data))
    except ValueError as error:  # text that is no UTF-8 is one, too
        raise SeriesError(f"not a readable series ({str(error)[:_LONGEST_NAME]})", where=where) from error
    if not np.isfinite(series.values).all():
        row, column = np.argwhere(~np.isfinite(series.values))[0].tolist()
        told = series.names[column] if series.names else f"channel {column + 1}"
        what = f"point {row + 1:,} of {told} is no finite number in single precision"
        raise SeriesError(what, where=where, mend="leave it out, or fill it in")
    return series


def _csv(data: bytes) -> Series:
    text = data.decode("utf-8-sig")
    first = text.partition("\n")[0]
    rows = _rows(text, max(_DELIMITERS, key=first.count))
    numbers, names = array("d"), tuple[str, ...]()
    try:
        head = next(rows, [])
        width = len(head)
        _check_size(1, width)
        try:
            numbers.extend([float(value) for value in head])
        except ValueError:  # a header
            names = tuple(harmless(name.strip()) for name in head)
        for place, row in enumerate(rows, start=2 - bool(names)):
            if len(row) != width:
                raise ValueError(f"point {place:,} has {counted(len(row), 'value')}, not {width}")
            _check_size(place, width)
            numbers.extend([float(value) for value in row])
    except csv.Error as error:
        raise ValueError(str(error)) from error
    if not numbers:
        raise ValueError("it has no numbers")
    if any(len(name) > _LONGEST_NAME for name in names):
        raise ValueError(f"a column has a name of more than {_LONGEST_NAME} characters")
    return Series(_in_single(np.frombuffer(numbers, np.float64).reshape(-1, width)), names)


def _rows(text: str, delimiter: str) -> Iterator[list[str]]:
    return (row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row)


def _npy(data: bytes) -> NDArray[np.float32]:
    # Not by NumPy, whose parser of headers raises errors of many classes: what np.save writes has one form.
    if data[:6] != b"\x93NUMPY" or data[6:7] not in (b"\x01", b"\x02", b"\x03"):
        raise ValueError("no .npy file")
    start = 10 if data[6] == 1 else 12
    end = start + int.from_bytes(data[8:start], "little")
    header = _HEADER.fullmatch(data[start : min(end, start + _LONGEST_HEADER)])
    if header is None:
        raise ValueError("its header is not that of an array of numbers")
    dtype, shape = np.dtype(header["dtype"].decode()), tuple(map(int, re.findall(rb"\d+", header["shape"])))
    if len(shape) not in (1, 2) or not all(shape):
        raise ValueError(f"an array of shape {shape}, not (T, C)")
    _check_size(shape[0], 1 if len(shape) == 1 else shape[1])
    if len(data) - end != math.prod(shape) * dtype.itemsize:
        raise ValueError("it is cut off, or goes on after its end")
    order: Literal["C", "F"] = "F" if header["fortran"] == b"True" else "C"
    return _in_single(np.frombuffer(data, dtype, offset=end).reshape(shape, order=order).reshape(shape[0], -1))


def _check_size(length: int, channels: int) -> None:
    if channels > _MOST_CHANNELS:
        raise ValueError(f"{counted(channels, 'channel')}, more than {_MOST_CHANNELS:,}")
    if length * channels > MAX_VALUES:
        raise ValueError(f"more than {MAX_VALUES:,} values")


def _in_single(values: ArrayLike) -> NDArray[np.float32]:
    with np.errstate(over="ignore", under="ignore"):  # found as infinite, or as zero
        return np.ascontiguousarray(values, dtype=np.float32)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.floating):
        raise TypeError(f"{value!r} is no number")
    return float(value)

"""Series are read once, and kept as they are in a memory-mapped file: what a network takes of them is cut out later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svertka.annotations import Source
from svertka.data.cache.loaded import Advance, Form, load_all
from svertka.data.cache.mapped import MappedArrays
from svertka.errors import UserError
from svertka.runtime.series import SeriesTransform

_CACHE_VERSION = 1  # raise it when reading changes what comes out

_AT_ONCE = 64  # series that are in memory
_STILL = 1e-6  # of the mean: a deviation below that is no more than rounding


@dataclass(frozen=True)
class SeriesValues:
    """The series of a data set.

    Attributes:
        sources: Where they come from.
        transform: See `svertka.data.cache.loaded.Contents`.
        values: Arrays ``(T, C)`` float32 of their own lengths, memory-mapped; None where they were too many to keep,
            and are read whenever they are asked for.
        digests, errors, sizes: See `svertka.data.cache.loaded.Contents`.
    """

    sources: Sequence[Source]
    transform: SeriesTransform
    values: MappedArrays | None
    digests: tuple[str, ...]
    errors: dict[int, str]
    sizes: tuple[tuple[int, int], ...]

    def each(self, positions: NDArray[np.int64]) -> list[NDArray[np.float32]]:
        """A copy of each of the series at these positions, ``(T, C)`` float32."""
        if self.values is not None:
            return [self.values.get(position) for position in positions.tolist()]
        return [self.sources[position].load()[0] for position in positions.tolist()]

    def statistics(self, positions: NDArray[np.int64]) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of the series at these positions by channel; every point in time counts alike."""
        count, mean, squares = 0, np.zeros(self.transform.channels), np.zeros(self.transform.channels)
        for start in range(0, len(positions), _AT_ONCE):
            for series in self.each(positions[start : start + _AT_ONCE]):
                wide = series.astype(np.float64)
                own = wide.mean(axis=0)
                # T. Chan et al., 1983: sums of squares about the mean, put together; values far from zero lose nothing.
                squares += ((wide - own) ** 2).sum(axis=0)
                squares += (own - mean) ** 2 * (count * len(wide) / (count + len(wide)))
                mean += (own - mean) * (len(wide) / (count + len(wide)))
                count += len(wide)
        deviation = np.sqrt(squares / count)
        # A channel that never changes would ask for a division by nought.
        deviation = np.where(deviation > _STILL * np.maximum(1, np.abs(mean)), deviation, 1)
        return tuple(map(_rounded, mean.tolist())), tuple(map(_rounded, deviation.tolist()))


def load_series_values(
    sources: Sequence[Source], transform: SeriesTransform, *, advance: Advance | None = None
) -> SeriesValues:
    """Read all series, or find them read.

    Only the channels of ``transform`` matter. A series that cannot be read, has other channels or a value that is no
    finite number, is named in the result, no error.
    """

    def checked(value: NDArray[Any]) -> NDArray[Any]:
        transform.check(value)
        return value

    form = Form(
        folder="series",
        suffix=".values",
        decides=[_CACHE_VERSION, transform.channels],
        place=checked,
        shape=None,
        absent=(1, transform.channels),
        dtype=np.float32,
        unusable=UserError,
        again="its series are read again",
    )
    values, index = load_all(sources, form, advance)
    assert values is None or isinstance(values, MappedArrays)
    return SeriesValues(sources, transform, values, tuple(index.digests), index.errors, tuple(index.sizes))


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")

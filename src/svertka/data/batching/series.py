"""Series, such as logs of sensors: how they are prepared and handed to a network."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svertka.annotations import Source
from svertka.data.batching.batches import Inputs
from svertka.data.batching.handling import Handling, Wanted, some_values
from svertka.data.cache.loaded import Advance, Contents
from svertka.data.cache.series import SeriesValues, load_series_values
from svertka.data.checks.findings import Finding
from svertka.data.checks.series import findings_of_series
from svertka.data.preparing import Prepared
from svertka.data.splitting.likeness import SIDE, Looks
from svertka.runtime.inputs import InputTransform
from svertka.runtime.series import SeriesTransform

_GOLDEN_VALUES = 1 << 16  # of a series that proves a model file, at most


@dataclass(frozen=True)
class Series:
    """Series, cut or filled up and scaled, ``(N, C, T)``: `svertka.data.batching.batches.Inputs`.

    Attributes:
        values: All series of the data set.
        positions: Where the samples of this part stand among them.
        transform: Is applied.
    """

    values: SeriesValues
    positions: NDArray[np.int64]
    transform: SeriesTransform

    def __len__(self) -> int:
        return len(self.positions)

    def take(self, indices: NDArray[np.int64], epoch: int) -> NDArray[np.float32]:
        """See `svertka.data.batching.batches.Inputs.take`."""
        del epoch
        return self.transform(self.values.each(self.positions[indices]))


class SeriesHandling(Handling):
    """Series with labels. They are not augmented, and only equal ones count as copies."""

    def load(self, sources: Sequence[Source], transform: InputTransform, advance: Advance | None) -> Contents:
        """See `svertka.data.preparing.Preparation.load`."""
        return load_series_values(sources, _of_series(transform), advance=advance)

    def looks(self, contents: Contents, notes: list[str]) -> Looks:
        """See `svertka.data.preparing.Preparation.looks`."""
        del notes
        count = len(contents.digests)
        # Series have no look that could be compared: black squares stand for it.
        blank = np.zeros((count, SIDE, SIDE, 3), np.uint8)
        return Looks(contents.digests, lambda: blank, np.zeros(count, np.int64), compared=False)

    def measured(self, contents: Contents, positions: NDArray[np.int64]) -> InputTransform:
        """See `svertka.data.preparing.Preparation.measured`."""
        series = _values(contents)
        mean, std = series.statistics(positions)
        return dataclasses.replace(series.transform, mean=mean, std=std)

    def inputs(self, prepared: Prepared, part: str, wanted: Wanted) -> Inputs:
        """See `Handling.inputs`."""
        return Series(_values(prepared.contents), prepared.parts[part].positions, _of_series(wanted.transform))

    def golden(self, prepared: Prepared, part: str, transform: InputTransform) -> list[NDArray[Any]]:
        """See `Handling.golden`."""
        most = max(1, _GOLDEN_VALUES // transform.shape[0])
        return [np.ascontiguousarray(value[:most]) for value in some_values(prepared, part)]

    def findings(self, prepared: Prepared) -> list[Finding]:
        """See `Handling.findings`."""
        return findings_of_series(prepared, _values(prepared.contents))


def _values(contents: Contents) -> SeriesValues:
    assert isinstance(contents, SeriesValues)
    return contents


def _of_series(transform: InputTransform) -> SeriesTransform:
    assert isinstance(transform, SeriesTransform)
    return transform

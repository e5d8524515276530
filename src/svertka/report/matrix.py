"""A confusion matrix as a heat map: who is taken for whom, shaded by the share of the row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from svertka.exhibits import Matrix
from svertka.report import _words

TABLE_UP_TO = 30
_SHADES = 10
_SHORT_NAME = 4
_ROOMY_UP_TO = 15


@dataclass(frozen=True)
class Cell:
    """A count that is not zero. ``shade`` is its style, ``detail`` says it in words."""

    row: int
    column: int
    count: int
    shade: str
    detail: str


@dataclass(frozen=True)
class MixUp:
    """Two names that are taken for one another."""

    row: str
    column: str
    count: int
    share: str


@dataclass(frozen=True)
class HeatMap:
    """A matrix ready to be laid out; zeros are left out."""

    as_table: bool
    upright: bool
    dense: bool
    side: int
    cells: Sequence[Cell]
    rows: Sequence[Sequence[Cell | None]]
    mix_ups: Sequence[MixUp]
    total: int


def heat_map(matrix: Matrix) -> HeatMap:
    """Prepare a matrix: a table with counts up to 30 names, a drawing with tooltips above."""
    counts = np.asarray(matrix.counts)
    size = len(matrix.names)
    if counts.shape != (size, size):
        raise ValueError(f"matrix {matrix.title!r}: counts of shape {counts.shape} for {size} names")
    totals = counts.sum(axis=1)
    shares = counts / np.maximum(totals, 1)[:, None]
    cells = [
        _cell(matrix, int(row), int(column), int(totals[row]), float(shares[row, column]))
        for row, column in np.argwhere(counts > 0)
    ]
    as_table = size <= TABLE_UP_TO
    rows: list[list[Cell | None]] = [[None] * size for _ in range(size)] if as_table else []
    if as_table:
        for cell in cells:
            rows[cell.row][cell.column] = cell
    wrong = sorted((c for c in cells if c.row != c.column), key=lambda c: (-c.count, -shares[c.row, c.column]))
    return HeatMap(
        as_table=as_table,
        upright=all(len(name) <= _SHORT_NAME for name in matrix.names),
        dense=size > _ROOMY_UP_TO,
        # The more names, the smaller the cells, but never too small to be hit.
        side=size * max(6, min(16, 720 // max(size, 1))),
        cells=cells,
        rows=rows,
        mix_ups=[
            MixUp(
                matrix.names[c.row],
                matrix.names[c.column],
                c.count,
                f"{_words.percent(float(shares[c.row, c.column]))} of {int(totals[c.row]):,}",
            )
            for c in wrong[: 5 if as_table else 10]
        ],
        total=int(totals.sum()),
    )


def _cell(matrix: Matrix, row: int, column: int, total: int, share: float) -> Cell:
    right = row == column
    # Mistakes are few beside what is right: they are shaded by the root of their share, or none were seen.
    strength = share if right else share**0.5
    shade = max(1, round(strength * _SHADES))
    count = int(matrix.counts[row, column])
    return Cell(
        row=row,
        column=column,
        count=count,
        shade=f"{'right' if right else 'wrong'} s{shade}",
        detail=(
            f"{matrix.row_label} {_words.isolated(matrix.names[row])}, "
            f"{matrix.column_label} {_words.isolated(matrix.names[column])}: "
            f"{count:,} of {total:,} ({_words.percent(share)})"
        ),
    )

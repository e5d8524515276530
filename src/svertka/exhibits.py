"""What a report can show. A task fills these in; the report lays them out and knows nothing of tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Names and values, a line each."""

    title: str
    items: Sequence[tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One line of a plot: ``y`` over ``x``, both of the same length."""

    name: str
    x: Sequence[float]
    y: Sequence[float]


@dataclass(frozen=True, kw_only=True)
class Curves:
    """One or more lines over a common axis. ``mark`` is an x to point out, such as the best epoch."""

    title: str
    x_label: str
    y_label: str
    curves: Sequence[Curve]
    mark: float | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Bars:
    """Labelled amounts of one unit, such as seconds by stage."""

    title: str
    unit: str
    items: Sequence[tuple[str, float]]
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A share with how far it may be from the truth: fractions of one, ``low`` ≤ ``share`` ≤ ``high``."""

    name: str
    share: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Intervals:
    """Shares of several things, such as the accuracy of several ways of learning, over a common axis."""

    title: str
    items: Sequence[Interval]
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows under named columns. A float is shown as a fraction of one with three digits."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | int | float | None]]
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """Square counts over the same names on both sides, such as a confusion matrix: ``counts[row][column]``."""

    title: str
    row_label: str
    column_label: str
    names: Sequence[str]
    counts: NDArray[np.int64]
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """An image, ``(H, W, 3)`` uint8 RGB, with a line in bold and a line below it; it may be several side by side."""

    image: NDArray[np.uint8]
    caption: str
    detail: str = ""
    panels: int = 1


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """Pictures side by side. ``key`` has the names that have a colour in the pictures, with it, such as ``#0072b2``."""

    title: str
    pictures: Sequence[Picture]
    key: Sequence[tuple[str, str]] = ()
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Option:
    """One of several things to look at.

    Attributes:
        name: What it is called.
        detail: A line on it.
        thumbnail: A picture to choose it by, ``(H, W, 3)`` uint8 RGB.
        pictures: What is shown of it.
        label: What its own options are, such as ``channel``.
        options: What can be chosen within it.
    """

    name: str
    detail: str = ""
    thumbnail: NDArray[np.uint8] | None = None
    pictures: Sequence[Picture] = ()
    label: str = ""
    options: Sequence[Option] = ()


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Things of which the reader looks at one at a time. ``label`` is what each of them is, such as ``stage``."""

    title: str
    label: str
    options: Sequence[Option]
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Spot:
    """A small image, ``(H, W, 3)`` uint8 RGB, at a place; those of one ``group`` are framed alike."""

    x: float
    y: float
    image: NDArray[np.uint8]
    name: str
    group: str = ""


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """Small images laid out in the plane."""

    title: str
    spots: Sequence[Spot]
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Text as it stands, such as a recipe."""

    title: str
    text: str
    note: str = ""


Exhibit = Facts | Curves | Bars | Intervals | Table | Matrix | Gallery | Choice | Cloud | Listing

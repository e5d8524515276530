"""Curves drawn by matplotlib, as inline SVG that takes its colours from the page.

Matplotlib draws lines, grid and numbers. Names, axis labels and the legend are the page's own text: they wrap
on a phone, and no name can upset matplotlib (missing glyphs, ``$`` as mathematics).
"""

from __future__ import annotations

import io
import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from svertka.exhibits import Curve, Curves
from svertka.report import _words
from svertka.report._svg import inline

WIDTH, HEIGHT = 440, 250
# Matplotlib wants real colours. These stand for the page's variables and are replaced in the finished SVG.
_GRID, _MARK = "#fe0101", "#fe0102"
_LINES = ("#fe0111", "#fe0112", "#fe0113", "#fe0114")
_VARIABLES = {_GRID: "var(--rule)", _MARK: "var(--muted)"} | {
    colour: f"var(--line-{number})" for number, colour in enumerate(_LINES, 1)
}
_DASHES: tuple[tuple[float, ...], ...] = ((), (5, 2.5), (1, 1.6), (6, 2, 1, 2))
_MARKERS = ("o", "s", "^", "D")
_LINE_WIDTH = 1.8
_FEW = 24
_DECADES = 100.0
# Beyond these a float64 axis has no room for its margins; no loss that is still a loss comes near them.
_SMALLEST, _LARGEST = 1e-60, 1e60

_Line = tuple[NDArray[np.float64], NDArray[np.float64]]

# rcParams are matplotlib's only way to ask for text as text, and they are global.
_settings_lock = threading.Lock()


@dataclass(frozen=True)
class Key:
    """A legend's entry: how the line is drawn, and its value at the place that the legend names."""

    name: str
    value: str
    colour: str
    dash: str
    marker: str


@dataclass(frozen=True)
class Chart:
    """A finished drawing. ``svg`` is None when there is nothing finite to draw."""

    svg: str | None
    keys: Sequence[Key]
    place: str
    scale: str
    missing: str


def draw(curves: Curves, name: str) -> Chart:
    """Draw curves. ``name`` keeps the ids of several drawings on one page apart."""
    lines = [_finite(curve) for curve in curves.curves]
    drawn = [line for line in lines if line[0].size]
    infinite = sum(int((np.abs(np.asarray(curve.y, float)) > _LARGEST).sum()) for curve in curves.curves)
    few = all(x.size <= _FEW for x, _ in lines)
    place = curves.mark if curves.mark is not None and math.isfinite(curves.mark) else None
    keys = [
        _key(curve.name, line, index, place, marked=few or line[0].size == 1)
        for index, (curve, line) in enumerate(zip(curves.curves, lines, strict=True))
    ]
    missing = f"Infinite and therefore not drawn: {infinite:,}." if infinite else ""
    logarithmic = _falls_by_decades([y for _, y in drawn])
    if not drawn:
        return Chart(None, keys, place="", scale="", missing=missing)
    with _settings_lock, matplotlib.rc_context():
        # A user's own matplotlibrc must not change a report.
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({"svg.fonttype": "none", "axes.unicode_minus": True})
        svg = _plot(lines, place, few=few, logarithmic=logarithmic)
    return Chart(
        svg=inline(svg, name=name, variables=_VARIABLES),
        keys=keys,
        place=f"{curves.x_label} {_words.figure(place)}" if place is not None else "",
        scale="log scale" if logarithmic else "",
        missing=missing,
    )


def _finite(curve: Curve) -> _Line:
    # A metric that was not measured in an epoch leaves no hole: the line joins the epochs that were.
    x, y = np.asarray(curve.x, np.float64), np.asarray(curve.y, np.float64)
    if x.shape != y.shape:
        raise ValueError(f"curve {curve.name!r}: {x.size} x for {y.size} y")
    kept = (np.abs(x) <= _LARGEST) & (np.abs(y) <= _LARGEST)
    return x[kept], y[kept]


def _key(name: str, line: _Line, index: int, place: float | None, *, marked: bool) -> Key:
    value = "" if place is None else _words.figure(math.nan if (y := _value_at(line, place)) is None else y)
    colour, dash, marker = _style(index)
    return Key(
        name=name,
        value=value if line[0].size else "no values",
        colour=_VARIABLES[colour],
        dash=" ".join(f"{length * _LINE_WIDTH:g}" for length in dash),
        marker=marker if marked else "",
    )


def _style(index: int) -> tuple[str, tuple[float, ...], str]:
    # Colour and dash move on together, then against each other: sixteen lines before any looks like another.
    turn = (index + index // len(_LINES)) % len(_DASHES)
    return _LINES[index % len(_LINES)], _DASHES[turn], _MARKERS[turn]


def _value_at(line: _Line, place: float) -> float | None:
    x, y = line
    there = np.flatnonzero(np.isclose(x, place, rtol=1e-6, atol=0))
    return float(y[there[-1]]) if there.size else None


def _falls_by_decades(ys: Sequence[NDArray[np.float64]]) -> bool:
    # A loss that falls a hundredfold is a flat line on a linear axis. An accuracy that rises from 0.01 to
    # 0.99 spans as much, but there the linear axis is the honest one.
    return _is_geometric(ys) and all(y[-1] <= y[0] for y in ys)


def _is_geometric(values: Sequence[NDArray[np.float64]]) -> bool:
    # Over decades, and most of them far below the largest: a loss, or the learning rates of a range test, but
    # not a cosine schedule that touches zero at its end.
    if not values:
        return False
    v = np.concatenate(values)
    return bool(v.min() > _SMALLEST and v.max() >= _DECADES * v.min() and np.median(v) <= 0.1 * v.max())


def _plot(lines: Sequence[_Line], place: float | None, *, few: bool, logarithmic: bool) -> str:
    drawing = Figure(figsize=(WIDTH / 72, HEIGHT / 72), dpi=72)
    FigureCanvasSVG(drawing)
    axes = drawing.add_axes((0, 0, 1, 1))
    drawing.patch.set_visible(False)
    axes.patch.set_visible(False)
    for index, (x, y) in enumerate(lines):
        colour, dash, marker = _style(index)
        axes.plot(
            x,
            y,
            color=colour,
            linewidth=_LINE_WIDTH,
            linestyle=(0, dash) if dash else "-",
            marker=marker if few or x.size == 1 else None,
            markersize=4.5,
            zorder=3 + 1 / (index + 1),
        )
    if place is not None:
        axes.axvline(place, color=_MARK, linewidth=1, linestyle=(0, (1.5, 2.5)), zorder=2)
        for index, line in enumerate(lines):
            if (value := _value_at(line, place)) is not None:
                axes.plot([place], [value], marker="o", markersize=7, color=_style(index)[0], zorder=5)
    if logarithmic:
        axes.set_yscale("log")
    if _is_geometric([x for x, _ in lines if x.size]):
        axes.set_xscale("log")
    _settle(axes, whole=all(bool(np.all(x == np.round(x))) for x, _ in lines))
    text = io.StringIO()
    drawing.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue()


def _settle(axes: Axes, *, whole: bool) -> None:
    for side in ("top", "left", "right"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_GRID)
    axes.grid(axis="y", color=_GRID, linewidth=1)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, pad=7, labelsize=13)
    for axis, ticks in ((axes.xaxis, 6), (axes.yaxis, 4)):
        if axis.get_scale() == "log":
            low, high = axis.get_view_interval()
            # Less than two decades show hardly a power of ten: add the twos and fives.
            narrow = math.log10(high / low) < 2.5
            axis.set_major_locator(LogLocator(subs=(1, 2, 5) if narrow else (1,), numticks=ticks + 1))
        else:
            integer = whole and axis is axes.xaxis
            steps = [1, 2, 2.5, 5, 10]
            axis.set_major_locator(MaxNLocator(ticks, integer=integer, steps=steps, min_n_ticks=1))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: _tick(value)))
    low, high = axes.get_ylim()
    longest = max((len(_tick(v)) for v in axes.yaxis.get_majorticklocs() if low <= v <= high), default=1)
    left = min(0.3, (16 + 8 * longest) / WIDTH)
    axes.set_position((left, 0.12, 0.97 - left, 0.84))


def _tick(value: float) -> str:
    text = f"{value:,.6g}" if 1e-4 <= abs(value) < 1e6 or value == 0 else f"{value:.3g}"
    return text.replace("e-0", "e-").replace("e+0", "e").replace("-", "−")

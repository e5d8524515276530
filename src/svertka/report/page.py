"""The report of a run: one HTML file that loads nothing and works without a network, now and in ten years."""

from __future__ import annotations

import base64
import functools
import hashlib
import importlib.resources
import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
from markupsafe import Markup

from svertka.exhibits import (
    Bars,
    Choice,
    Cloud,
    Curves,
    Exhibit,
    Facts,
    Gallery,
    Intervals,
    Listing,
    Matrix,
    Table,
)
from svertka.report import _words
from svertka.report.choice import choices
from svertka.report.cloud import lay_out
from svertka.report.matrix import heat_map
from svertka.report.pictures import gallery
from svertka.runtime.files import write_text

_MOST_NUMBERS = 200
_TALL = 20
_SIDE_BY_SIDE = (Curves, Bars, Facts)
# HTML has no characters for these, not even escaped. File names may hold any of them.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffe\uffff]")


@dataclass(frozen=True, kw_only=True)
class Section:
    """A heading and what stands under it. ``folded`` exhibits are closed until the reader opens them."""

    name: str
    exhibits: Sequence[Exhibit]
    folded: bool = False


@dataclass(frozen=True)
class _Row:
    """A table's row: what is shown, and what it is sorted by."""

    texts: Sequence[str]
    keys: Sequence[str]


@dataclass(frozen=True)
class _Shown:
    """An exhibit with the template's macro for it, its id, its prepared parts and its place on the page."""

    macro: str
    exhibit: Exhibit
    id: str
    part: object
    half: bool


def write_report(
    path: Path,
    *,
    title: str,
    lead: str,
    sections: Sequence[Section],
    headline: Sequence[tuple[str, str]] = (),
) -> None:
    """Write a report as one self-contained HTML file, whole or not at all.

    The same input gives the same bytes.

    Args:
        path: The file, such as ``report.html``.
        title: What the report is about.
        lead: The result in one sentence.
        sections: The chapters, in the order in which they are read.
        headline: A few label and value pairs, shown large under ``lead``.

    Raises:
        UserError: The file cannot be written.
    """
    write_text(path, render_report(title=title, lead=lead, sections=sections, headline=headline))


def render_report(
    *, title: str, lead: str, sections: Sequence[Section], headline: Sequence[tuple[str, str]] = ()
) -> str:
    """Return the text that :func:`write_report` writes."""
    here = importlib.resources.files(__package__)
    style = here.joinpath("report.css").read_text("utf-8")
    script = here.joinpath("report.js").read_text("utf-8")
    text = (
        _environment()
        .get_template("report.html.j2")
        .render(
            title=title,
            lead=_words.unbroken(lead),
            headline=headline,
            sections=[(f"s{number}", section, _shown(section, number)) for number, section in enumerate(sections, 1)],
            style=Markup(style),
            script=Markup(script),
            policy=_policy(style, script),
        )
    )
    # A file name that is not UTF-8 comes from the file system with lone surrogates, which no file can hold.
    text = text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\r\n", "\n")
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)


@functools.cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader(__package__ or "svertka.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_anywhere,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _anywhere(value: object) -> object:
    # Every text of every page comes through here; markup and pictures are ours.
    if type(value) is not str or value.startswith("data:"):
        return value
    return _words.without_folders(value)


def _policy(style: str, script: str) -> str:
    # The second wall: should a hostile name ever escape the template, the browser neither runs nor loads it.
    return (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _shown(section: Section, number: int) -> list[_Shown]:
    shown: list[_Shown] = []
    for kind, run in itertools.groupby(section.exhibits, type):
        group = list(run)
        # Small things of a kind stand in two columns; a single one has the whole width.
        half = kind in _SIDE_BY_SIDE and len(group) > 1 and not section.folded
        for exhibit in group:
            identifier = f"s{number}e{len(shown) + 1}"
            macro, part = _prepared(exhibit, identifier)
            shown.append(_Shown(macro, exhibit, identifier, part, half=half))
    return shown


def _prepared(exhibit: Exhibit, identifier: str) -> tuple[str, object]:
    match exhibit:
        case Facts():
            return "facts", None
        case Curves():
            from svertka.report import charts  # matplotlib takes a second to import

            return "curves", {"chart": charts.draw(exhibit, identifier), "numbers": _numbers(exhibit)}
        case Bars():
            return "bars", _lengths(exhibit)
        case Intervals():
            return "intervals", _spans(exhibit)
        case Table():
            return "table", _table(exhibit)
        case Matrix():
            return "matrix", heat_map(exhibit)
        case Gallery():
            return "gallery", gallery(exhibit.pictures)
        case Choice():
            return "choice", choices(exhibit.options)
        case Cloud():
            return "cloud", lay_out(exhibit)
        case Listing():
            return "listing", None


def _numbers(curves: Curves) -> Sequence[Sequence[str]]:
    """What the curves show, for who cannot see them: a row for each x."""
    places = sorted({float(x) for curve in curves.curves for x in curve.x if math.isfinite(x)})
    if len(places) > _MOST_NUMBERS:
        return []
    values = [dict(zip(map(float, curve.x), curve.y, strict=True)) for curve in curves.curves]
    return [
        [_words.figure(place), *(_words.figure(value.get(place, math.nan)) for value in values)] for place in places
    ]


def _lengths(bars: Bars) -> Sequence[tuple[str, str, str]]:
    """Name, amount, and the bar's length as a percentage of the longest."""
    longest = max((amount for _, amount in bars.items if math.isfinite(amount)), default=0)
    return [
        (
            name,
            _words.figure(amount),
            f"{100 * max(amount, 0) / longest:.2f}%" if longest > 0 and math.isfinite(amount) else "0",
        )
        for name, amount in bars.items
    ]


def _spans(intervals: Intervals) -> dict[str, object]:
    """The ends of the axis, and by item: name, what is written, where its interval begins, its width, its point."""
    first = math.floor(10 * min((item.low for item in intervals.items), default=0.0)) / 10
    last = max(math.ceil(10 * max((item.high for item in intervals.items), default=1.0)) / 10, first + 0.1)

    def along(share: float) -> float:
        return 100 * (share - first) / (last - first)

    spans = [
        (
            item.name,
            f"{_words.percent(item.share)} ({100 * item.low:.1f}–{100 * item.high:.1f})",
            f"{along(item.low):.2f}%",
            f"{along(item.high) - along(item.low):.2f}%",
            f"{along(item.share):.2f}%",
        )
        for item in intervals.items
    ]
    return {"first": f"{first:.0%}", "last": f"{last:.0%}", "spans": spans}


def _table(table: Table) -> dict[str, object]:
    numeric = [
        any(isinstance(row[column], int | float) for row in table.rows)
        and not any(isinstance(row[column], str) for row in table.rows)
        for column in range(len(table.columns))
    ]
    rows = [_Row([_words.cell(entry) for entry in row], [_sort_key(entry) for entry in row]) for row in table.rows]
    return {"numeric": numeric, "rows": rows, "tall": len(rows) > _TALL}


def _sort_key(entry: str | int | float | None) -> str:
    """Numbers as they are, not as they are shown; empty for what is missing and for text."""
    missing = entry is None or isinstance(entry, str) or math.isnan(entry)
    return "" if missing else repr(float(entry or 0))

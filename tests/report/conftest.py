"""Reports to test with: one as a run leaves it, one whose every name is hostile."""

from __future__ import annotations

import math
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from svertka.exhibits import (
    Bars,
    Choice,
    Cloud,
    Curve,
    Curves,
    Exhibit,
    Facts,
    Gallery,
    Interval,
    Intervals,
    Listing,
    Matrix,
    Option,
    Picture,
    Spot,
    Table,
)
from svertka.report.page import Section, render_report

HOSTILE = (
    "<script>alert(1)</script>",
    "\"double\" 'single' onmouseover=alert(1)",
    "</title></style></script><img src=x onerror=alert(1)>",
    "\u202eright to left\u200f שלום",
    "x" * 300,
    "word " * 60,
    "🦊🐻\u200d❄️",
    "nul \x00 bell \x07 escape \x1b[31m",
    "not UTF-8 \udcff",
    "$x_1$ {{ 7 * 7 }} {% raw %} &amp; \\",
)


VOID = {"meta", "link", "img", "br"}


class Page(HTMLParser):
    """Reads a page, and fails where a tag is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.inside: dict[str, str] = {}
        self.words = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {key: value or "" for key, value in attrs}))
        assert len(dict(attrs)) == len(attrs), f"an attribute twice in <{tag}>"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("script", "style"):
            self.inside[self.open[-1]] = data
        else:
            self.words += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]


def _image(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def _choice(text: str) -> Choice:
    inner = [
        Option(name=f"{text} {n}", thumbnail=_image(9, 9, n), pictures=[Picture(image=_image(70, 70, n), caption=text)])
        for n in range(3)
    ]
    outer = [Option(name=f"{text} {n}", detail=text, label=text, options=inner) for n in range(2)]
    return Choice(title=text, label=text, options=outer, note=text)


def _cloud(text: str) -> Cloud:
    spots = [Spot(x=n, y=n * n, image=_image(20, 20, n), name=text, group=f"{text}{n % 2}") for n in range(5)]
    return Cloud(title=text, spots=spots, note=text)


@pytest.fixture(scope="session")
def read() -> Callable[[str], Page]:
    """Parse a page."""
    return Page


@pytest.fixture(scope="session")
def page() -> Callable[..., Page]:
    """Show some exhibits, and parse the page."""

    def show(*exhibits: Exhibit) -> Page:
        return Page(render_report(title="t", lead="l", sections=[Section(name="s", exhibits=exhibits)]))

    return show


@pytest.fixture
def hostile_names() -> tuple[str, ...]:
    return HOSTILE


@pytest.fixture
def realistic() -> dict[str, Any]:
    epochs = list(range(1, 31))
    names = [str(digit) for digit in range(10)]
    counts = np.diag(np.full(10, 34)) + np.eye(10, k=3, dtype=np.int64)
    return {
        "title": "digits · LeNet-5",
        "lead": "LeNet-5 learnt 10 classes from 1,437 images in 8 s: 98.9 % of 360 test images are right.",
        "headline": [("test accuracy", "98.9 %"), ("macro F1", "0.989"), ("training time", "8 s")],
        "sections": [
            Section(
                name="How good it is",
                exhibits=[
                    Table(
                        title="By class",
                        columns=["class", "images", "recall"],
                        rows=[(name, 30 + 7 * (n % 4), 1 - n / 100) for n, name in enumerate(names)],
                    ),
                    Curves(
                        title="Loss",
                        x_label="epoch",
                        y_label="cross-entropy",
                        curves=[
                            Curve(name="training", x=epochs, y=[2.3 * math.exp(-e / 4) for e in epochs]),
                            Curve(name="validation", x=epochs, y=[2.3 * math.exp(-e / 5) for e in epochs]),
                        ],
                        mark=27,
                    ),
                    Curves(
                        title="Accuracy",
                        x_label="epoch",
                        y_label="accuracy",
                        curves=[Curve(name="validation", x=epochs, y=[1 - 0.9 / e for e in epochs])],
                        mark=27,
                    ),
                ],
            ),
            Section(
                name="What goes wrong",
                exhibits=[
                    Matrix(
                        title="Confusion",
                        row_label="actual",
                        column_label="predicted",
                        names=names,
                        counts=counts,
                    ),
                    Gallery(
                        title="Surest mistakes",
                        pictures=[Picture(image=_image(8, 8, n), caption="8, taken for 3") for n in range(8)],
                    ),
                    Gallery(title="Grad-CAM", pictures=[Picture(image=_image(480, 640), caption="a cat")]),
                    Bars(title="Time", unit="s", items=[("reading", 0.4), ("training", 7.1)]),
                    Intervals(title="Ways", items=[Interval(name="svm", share=0.9, low=0.87, high=0.93)]),
                    _choice("stage"),
                    _cloud("map"),
                ],
            ),
            Section(
                name="Details",
                folded=True,
                exhibits=[
                    Listing(title="Recipe", text='net = "lenet5"\nseed = 0\n' + "# long line " * 20),
                    Facts(title="Versions", items=[("Python", "3.11"), ("PyTorch", "2.10")]),
                ],
            ),
        ],
    }


@pytest.fixture
def hostile() -> dict[str, Any]:
    size = len(HOSTILE)
    many = [f"{HOSTILE[n % size]} {n}" for n in range(40)]
    return {
        "title": " ".join(HOSTILE),
        "lead": " ".join(HOSTILE),
        "headline": [(text, text) for text in HOSTILE],
        "sections": [
            Section(
                name=text,
                exhibits=[
                    Facts(title=text, items=[(text, text)]),
                    Table(title=text, columns=[text, text], rows=[(text, 1), (text, 2)], note=text),
                    Bars(title=text, unit=text, items=[(text, 1.0)], note=text),
                    Intervals(title=text, items=[Interval(name=text, share=0.5, low=0.4, high=0.6)], note=text),
                    Listing(title=text, text=text, note=text),
                    _choice(text),
                    _cloud(text),
                    Gallery(
                        title=text,
                        pictures=[Picture(image=_image(8, 8), caption=text, detail=text)],
                        note=text,
                    ),
                ],
            )
            for text in HOSTILE
        ]
        + [
            Section(
                name="Many",
                exhibits=[
                    Matrix(
                        title=HOSTILE[0],
                        row_label=HOSTILE[1],
                        column_label=HOSTILE[2],
                        names=names,
                        counts=np.random.default_rng(0).integers(0, 4, (len(names), len(names))),
                    )
                    for names in (HOSTILE, many)
                ]
                + [
                    Curves(
                        title=HOSTILE[0],
                        x_label=HOSTILE[1],
                        y_label=HOSTILE[2],
                        curves=[Curve(name=text, x=[1, 2], y=[n, n + 1]) for n, text in enumerate(HOSTILE)],
                        mark=2,
                    )
                ],
            )
        ],
    }

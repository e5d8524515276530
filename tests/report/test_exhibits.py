"""Each exhibit as the report shows it, ordinary and odd."""

from __future__ import annotations

import base64
import io
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from svertka.exhibits import (
    Bars,
    Choice,
    Cloud,
    Curve,
    Curves,
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

Read = Callable[[str], Any]
Show = Callable[..., Any]


def curves(*ys: list[float], mark: float | None = None) -> Curves:
    return Curves(
        title="c",
        x_label="epoch",
        y_label="y",
        curves=[Curve(name=f"line {n}", x=list(range(1, len(y) + 1)), y=y) for n, y in enumerate(ys)],
        mark=mark,
    )


@pytest.mark.parametrize(
    "ys",
    [
        [[0.5]],
        [[math.nan, 0.5, math.nan, 0.7]],
        [[1.0, math.inf, 3.0]],
        [[0.0, 0.0]],
        [[1e300, 1e-300]],
        [[1e59, -1e59]],
        [[5.0] * 3, [math.nan] * 3, [-1.0, 2.0, math.nan]],
        [[1.0, 2.0]] * 9,
    ],
)
def test_odd_curves_are_drawn(page: Show, ys: list[list[float]]) -> None:
    found = page(curves(*ys, mark=2))
    assert len(found.all("svg")) == 1 + len(ys)
    assert "nan" not in " ".join(attributes.get("d", "") for attributes in found.all("path"))


@pytest.mark.parametrize("ys", [[], [[]], [[math.nan, math.nan]], [[1e300, -math.inf]]])
def test_curves_without_values_say_so(page: Show, ys: list[list[float]]) -> None:
    assert "None." in page(curves(*ys)).words


def test_a_falling_loss_is_logarithmic_and_a_rising_accuracy_is_not(page: Show) -> None:
    falling = [3.0 * 0.7**n for n in range(30)]
    assert "log scale" in page(curves(falling)).words
    assert "log scale" not in page(curves(falling[::-1])).words
    assert "log scale" not in page(curves([*falling, 0.0])).words
    assert "log scale" not in page(curves([0.9, 0.5, 0.4])).words
    cosine = [0.01 * (1 + math.cos(math.pi * n / 30)) + 1e-6 for n in range(31)]
    assert "log scale" not in page(curves(cosine)).words


def test_lines_differ_without_colour_and_take_colours_from_the_page(page: Show) -> None:
    found = page(curves(*[[float(n), n + 1.0] for n in range(4)]))
    dashes = {a.get("stroke-dasharray") for a in found.all("path") if a.get("stroke", "").startswith("var(--line")}
    assert len(dashes) >= 4
    colours = {a[key] for _, a in found.tags for key in ("stroke", "fill") if key in a}
    assert colours <= {
        "none",
        "#000000",
        *(f"var(--line-{n})" for n in range(1, 5)),
        "var(--rule)",
        "var(--muted)",
    }


def test_legend_reads_the_marked_place(page: Show) -> None:
    words = page(curves([0.5, 0.25, 0.125], [1.0, math.nan, 3.0], mark=2)).words
    assert re.search(r"at\s+epoch 2\s+line 0\s+0\.250\s+line 1\s+–", words)


def test_tables_show_and_sort_by_the_right_thing(page: Show) -> None:
    rows = [("a", 12345, 0.98765, None), ("b", -1, math.nan, None), ("c", 0, 1.0, True)]
    found = page(Table(title="t", columns=["name", "count", "share", "none"], rows=rows))
    assert re.search(r"a\s*12,345\s*0\.988\s*–", found.words)
    assert re.search(r"b\s*−1\s*–\s*–", found.words)
    keys = [cell["data-key"] for cell in found.all("td") if "data-key" in cell]
    assert keys == ["12345.0", "0.98765", "", "-1.0", "", "", "0.0", "1.0", "1.0"]


def test_matrix_is_shaded_by_its_rows(page: Show) -> None:
    counts = np.array([[99, 1, 0], [0, 0, 0], [5, 0, 5]])
    found = page(Matrix(title="m", row_label="actual", column_label="predicted", names=list("abc"), counts=counts))
    cells = [cell.get("class", "") for cell in found.all("td")][:9]
    assert cells == ["right s10", "wrong s1", "", "", "", "", "wrong s7", "", "right s5"]
    titles = [cell["title"] for cell in found.all("td") if "title" in cell]
    assert "actual \u2068c\u2069, predicted \u2068a\u2069: 5 of 10 (50.0\xa0%)" in titles


def test_a_matrix_of_many_names_is_drawn_sparsely(
    read: Read,
) -> None:
    size = 1000
    counts = np.diag(np.full(size, 45)) + np.eye(size, k=1, dtype=np.int64)
    names = [f"class {n}" for n in range(size)]
    text = render_report(
        title="t",
        lead="l",
        sections=[
            Section(
                name="s",
                exhibits=[Matrix(title="m", row_label="a", column_label="b", names=names, counts=counts)],
            )
        ],
    )
    assert len(text) < 1_000_000
    cells = [path for path in read(text).all("path") if "class" in path]
    assert len(cells) == np.count_nonzero(counts)


@pytest.mark.parametrize(
    ("height", "width", "size", "kind"),
    [
        (8, 8, (8, 8), "PNG"),
        (28, 28, (28, 28), "PNG"),
        (480, 640, (320, 240), "WEBP"),
        (3000, 2, (1, 320), "WEBP"),
    ],
)
def test_pictures_are_embedded_small(page: Show, height: int, width: int, size: tuple[int, int], kind: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    (image,) = page(Gallery(title="g", pictures=[Picture(image=pixels, caption="c")])).all("img")
    with Image.open(io.BytesIO(base64.b64decode(image["src"].partition(",")[2]))) as embedded:
        assert embedded.size == size
        assert embedded.format == kind
        if kind == "PNG":
            assert np.array_equal(np.asarray(embedded.convert("RGB")), pixels)
    assert (image.get("class") == "pixelated") == (kind == "PNG")


def test_bars_are_as_long_as_their_amounts(page: Show) -> None:
    found = page(Bars(title="b", unit="s", items=[("a", 1.0), ("b", 4.0), ("c", math.nan), ("d", 0.0)]))
    assert [bar["width"] for bar in found.all("rect") if "class" not in bar] == [
        "25.00%",
        "100.00%",
        "0",
        "0.00%",
    ]


def test_empty_exhibits_say_so(page: Show) -> None:
    found = page(
        Facts(title="f", items=[]),
        Bars(title="b", unit="s", items=[]),
        Intervals(title="i", items=[]),
        Table(title="t", columns=["c"], rows=[]),
        Gallery(title="g", pictures=[]),
        Choice(title="c", label="l", options=[]),
        Cloud(title="c", spots=[]),
        Matrix(title="m", row_label="a", column_label="b", names=[], counts=np.zeros((0, 0), np.int64)),
    )
    assert found.words.count("None.") == 8


def test_a_listing_keeps_its_lines(page: Show) -> None:
    assert "\nfirst\r\n\n  last".replace("\r", "") in page(Listing(title="l", text="first\r\n\n  last")).words


def test_wrong_shapes_are_refused(page: Show) -> None:
    with pytest.raises(ValueError, match="3 x for 2 y"):
        page(Curves(title="c", x_label="x", y_label="y", curves=[Curve(name="n", x=[1, 2, 3], y=[1, 2])]))
    with pytest.raises(ValueError, match="for 2 names"):
        page(Matrix(title="m", row_label="a", column_label="b", names=["a", "b"], counts=np.ones((3, 3), np.int64)))


def test_intervals_stand_where_they_are(page: Show) -> None:
    items = [Interval(name="svm", share=0.75, low=0.7, high=0.8), Interval(name="net", share=0.9, low=0.85, high=0.95)]
    found = page(Intervals(title="i", items=items, note="n"))
    assert re.search(r"svm\s+75\.0\xa0% \(70\.0–80\.0\)", found.words)
    assert re.search(r"70%\s*100%", found.words)
    ranges = [(rect["x"], rect["width"]) for rect in found.all("rect") if rect.get("class") == "range"]
    assert ranges == [("0.00%", "33.33%"), ("50.00%", "33.33%")]
    assert [circle["cx"] for circle in found.all("circle")] == ["16.67%", "66.67%"]


def test_intervals_of_certainty_have_an_axis(page: Show) -> None:
    found = page(Intervals(title="i", items=[Interval(name="all", share=1.0, low=1.0, high=1.0)]))
    assert found.all("circle")
    assert "nan" not in found.words


def test_pictures_side_by_side_are_each_as_large_as_one(page: Show) -> None:
    pixels = np.zeros((700, 4 * 700, 3), np.uint8)
    shown = page(Gallery(title="g", pictures=[Picture(image=pixels, caption="c", panels=4)]))
    (image,) = shown.all("img")
    with Image.open(io.BytesIO(base64.b64decode(image["src"].partition(",")[2]))) as embedded:
        assert embedded.size == (4 * 320, 320)
    assert any(figure.get("class") == "panels" for figure in shown.all("figure"))


def test_a_choice_shows_all_without_script(page: Show) -> None:
    pixels = np.zeros((100, 80, 3), np.uint8)
    inner = [
        Option(name=f"channel {n}", thumbnail=pixels, pictures=[Picture(image=pixels, caption="c")]) for n in (1, 2)
    ]
    found = page(
        Choice(
            title="c",
            label="stage",
            options=[Option(name="conv1", detail="why", label="channel", options=inner), Option(name="conv2")],
        )
    )
    assert [div["data-choice"] for div in found.all("div") if "data-choice" in div] == ["stage", "channel"]
    assert sum(div.get("class") == "option" for div in found.all("div")) == 4
    assert re.search(r"conv1\s+why\s+channel 1\s+c\s+channel 2\s+c\s+conv2", found.words)
    sizes = [(image["width"], image["height"]) for image in found.all("img")]
    assert sizes == [("38", "48"), ("80", "100")] * 2


def test_a_cloud_lays_images_out(page: Show) -> None:
    pixels = np.zeros((100, 100, 3), np.uint8)
    places = [(-1.0, 3.0, "a"), (1.0, 3.0, "b"), (0.0, 5.0, "a")]
    spots = [Spot(x=x, y=y, image=pixels, name=f"file {x}", group=group) for x, y, group in places]
    found = page(Cloud(title="c", spots=spots))
    corners = [(float(image["x"]), float(image["y"])) for image in found.all("image")]
    assert corners == [(0, 0), (972, 0), (486, 722)]
    frames = [rect["stroke"] for rect in found.all("rect")]
    assert frames[0] == frames[2] != frames[1]
    assert "file -1.0" in found.words
    one = page(Cloud(title="c", spots=spots[:1]))
    assert one.all("image")[0]["x"] == "486.0"

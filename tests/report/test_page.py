"""The report as text: whole, always the same, inert."""

from __future__ import annotations

import base64
import hashlib
import html
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svertka.errors import UserError
from svertka.exhibits import Facts, Listing, Matrix, Table
from svertka.report.page import Section, render_report, write_report

Read = Callable[[str], Any]
Show = Callable[..., Any]


def test_is_whole_and_names_everything_once(read: Read, realistic: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(path, **realistic)
    text = path.read_text("utf-8")
    found = read(text)
    identifiers = [attributes["id"] for _, attributes in found.tags if "id" in attributes]
    assert len(set(identifiers)) == len(identifiers)
    used = re.findall(r'(?:url\(#|href="#|aria-labelledby=")([^")]+)', text)
    assert used
    assert set(used) <= set(identifiers)
    assert text.startswith("<!DOCTYPE html>")
    assert [name for name, _ in found.tags if name in ("h1", "h2")] == ["h1", "h2", "h2", "h2"]
    assert all(re.findall(r'<figure[^>]*>\s*<img [^>]*alt="([^"]*)"', text))
    assert all("alt" in image for image in found.all("img"))  # empty beside its own name, on a tab
    assert len(text) < 300_000


def test_same_input_gives_same_bytes_whatever_the_matplotlib_style(realistic: dict[str, Any]) -> None:
    first = render_report(**realistic)
    before = dict(matplotlib.rcParams)
    assert render_report(**realistic) == first
    assert dict(matplotlib.rcParams) == before
    with matplotlib.rc_context({"lines.linewidth": 9, "axes.grid": True, "svg.fonttype": "path"}):
        assert render_report(**realistic) == first


def test_loads_nothing(read: Read, realistic: dict[str, Any]) -> None:
    text = render_report(**realistic)
    assert "http:" not in text
    assert "https:" not in text
    assert "@import" not in text
    for _, attributes in read(text).tags:
        for key in ("src", "href", "srcset", "action", "data"):
            assert attributes.get(key, "#").startswith(("data:", "#"))


def test_policy_allows_just_the_style_and_script_of_the_page(read: Read, realistic: dict[str, Any]) -> None:
    found = read(render_report(**realistic))
    policy = next(m["content"] for m in found.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    for tag in ("style", "script"):
        digest = hashlib.sha256(found.inside[tag].encode()).digest()
        assert f"{tag}-src 'sha256-{base64.b64encode(digest).decode()}'" in policy
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert not any("style" in attributes for _, attributes in found.tags)


def test_hostile_names_stay_text(read: Read, hostile: dict[str, Any], hostile_names: tuple[str, ...]) -> None:
    found = read(render_report(**hostile))
    names = [name for name, _ in found.tags]
    head = names[: names.index("body")]
    assert head == ["html", "head", *["meta"] * 5, "link", "title", "style"]
    assert names.count("script") == names.count("style") == 1
    assert all(image["src"].startswith("data:image/") for image in found.all("img"))
    assert not any(key.startswith("on") for _, attributes in found.tags for key in attributes)
    for name in hostile_names:
        shown = re.sub("[\x00-\x1f]", "\ufffd", name).replace("\udcff", "\\udcff")
        assert shown in found.words


@settings(max_examples=30, deadline=None)
@given(st.text(st.characters(), max_size=30))
def test_no_text_changes_the_structure(page: Show, text: str) -> None:
    found = page(
        Facts(title=text, items=[(text, text)]),
        Table(title="t", columns=[text], rows=[(text,)]),
        Matrix(title="m", row_label="a", column_label="b", names=[text], counts=np.ones((1, 1), np.int64)),
    )
    plain = page(
        Facts(title="x", items=[("x", "x")]),
        Table(title="t", columns=["x"], rows=[("x",)]),
        Matrix(title="m", row_label="a", column_label="b", names=["x"], counts=np.ones((1, 1), np.int64)),
    )
    assert [tag for tag, _ in found.tags] == [tag for tag, _ in plain.tags]


def test_a_folder_that_is_not_there_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be written"):
        write_report(tmp_path / "nowhere" / "report.html", title="t", lead="l", sections=[])


def test_needs_neither_torch_nor_pyplot() -> None:
    code = "import sys, svertka.report.page; print(*{'torch', 'matplotlib.pyplot'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/tmp/pytest-1/data", "data"),
        ("read from /home/jane/photos/2024, twice", "read from 2024, twice"),
        ('weights = "/srv/models/a.safetensors"', 'weights = "a.safetensors"'),
        ("C:\\Users\\jane\\photos", "photos"),
        (str(Path.home() / "my photos" / "cat"), "my photos/cat"),
        ("cats/1.png = dogs/2.png", "cats/1.png = dogs/2.png"),
        ("https://example.org/a/b/c", "https://example.org/a/b/c"),
        ("and/or; 3 / 4; 12 img/s", "and/or; 3 / 4; 12 img/s"),
        ("…/a/b/c", "…/a/b/c"),
    ],
)
def test_no_absolute_path_is_on_a_page(text: str, shown: str) -> None:
    made = render_report(
        title=text,
        lead=text,
        headline=[(text, text)],
        sections=[
            Section(
                name=text,
                exhibits=[
                    Facts(title=text, items=[(text, text)]),
                    Table(title="t", columns=[text], rows=[(text,)], note=text),
                    Listing(title="l", text=text),
                    Matrix(title="m", row_label=text, column_label="c", names=[text], counts=np.ones((1, 1), np.int64)),
                ],
            )
        ],
    )
    shown_text = html.unescape(made)
    assert shown in shown_text
    assert text == shown or text not in shown_text

"""Counts agree with what they count: the helper, and a look at every message for one that goes without it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from svertka.wording import counted, inflected

SOURCES = sorted((Path(__file__).parents[1] / "src").rglob("*.py"))
NOUNS = (
    "annotations|boxes|channels|classes|colours|copies|entries|epochs|errors|features|files|filters|folds|frames|groups|"
    "images|inputs|keypoints|labels|layers|maps|masks|members|models|objects|parts|pictures|pieces|records|samples|"
    "shards|stages|steps|tasks|threads|warnings"
)
BEFORE = re.compile(rf" ?([a-z]+ )?({NOUNS})\b(?! (a|per) second)")
# Names that hold a number of things, wherever they stand in a message.
COUNTS = ("channels", "classes", "count", "done", "epochs", "images", "parts", "several", "steps", "threads", "total")

LIMITS = ("limits.files", "_COMPARED", "_SHARDS", "_MOST_MODULES")  # many, always


def plurals_after_a_number(tree: ast.Module) -> list[str]:
    """In f-strings, a plural that follows a value, with at most one word between."""
    found = []
    for text in (node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)):
        for value, after in zip(text.values, text.values[1:], strict=False):
            if not (isinstance(value, ast.FormattedValue) and isinstance(after, ast.Constant)):
                continue
            if isinstance(after.value, str) and BEFORE.match(after.value) and _is_number(value):
                found.append(ast.unparse(value.value))
    return [name for name in found if name not in LIMITS]


def _is_number(value: ast.FormattedValue) -> bool:
    number, shown = value.value, ast.unparse(value.format_spec) if value.format_spec else ""
    measures = isinstance(number, ast.Call) and ast.unparse(number.func) in ("len", "sum")
    return "%" not in shown and (measures or shown == "f','" or (isinstance(number, ast.Name) and number.id in COUNTS))


@pytest.mark.parametrize(
    ("count", "one", "text"),
    [
        (0, "image", "0 images"),
        (1, "image", "1 image"),
        (2, "image", "2 images"),
        (1234, "box", "1,234 boxes"),
        (3, "class", "3 classes"),
        (3, "entry", "3 entries"),
        (3, "day", "3 days"),
        (12, "epoch", "12 epochs"),
        (2, "batch", "2 batches"),
        (1, "entry", "1 entry"),
        (2, "golden input", "2 golden inputs"),
    ],
)
def test_a_count_agrees_with_its_noun(count: int, one: str, text: str) -> None:
    assert counted(count, one) == text


def test_a_verb_agrees_too() -> None:
    assert counted(1, "image has", "images have") == "1 image has"
    assert counted(0, "image has", "images have") == "0 images have"
    assert inflected(1, "is", "are") == "is"


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('f"{len(files):,} files"', ["len(files)"]),
        ('f"{count} test images"', ["count"]),
        ("f\"{counted(3, 'file')} of images\"", []),
        ('f"{rate:.0%} images"', []),
        ('f"{name} images"', []),
    ],
)
def test_a_plural_after_a_number_is_seen(line: str, found: list[str]) -> None:
    assert plurals_after_a_number(ast.parse(line)) == found


def test_no_message_has_a_plural_after_a_bare_number() -> None:
    found = {path.name: names for path in SOURCES if (names := plurals_after_a_number(ast.parse(path.read_text())))}
    assert not found

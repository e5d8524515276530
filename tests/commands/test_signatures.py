"""Each command is a function with the same arguments, spelt alike; what is typed wrong is answered with the nearest."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import svertka
from svertka.errors import UserError
from svertka.spelling import names_of, numbers_of, paths_of, seconds_of
from svertka.training.recipe import Recipe
from svertka.wording import rate_text

COMMANDS = [
    name for name in svertka.__all__ if name not in ("Recipe", "UserError", "ledger", "open_dataset", "register")
]
OF_PYTHON = {"progress", "ready"}  # what a command line decides by --json, or prints
OF_COMMAND_LINE = {"json", "ledger", "flags"}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_function_has_the_parameters_of_its_command(name: str) -> None:
    called = {"list_nets": "nets"}.get(name, name)
    command = getattr(importlib.import_module(f"svertka.cli.{called}"), called)
    flags = set(inspect.signature(command).parameters) - OF_COMMAND_LINE
    parameters = set(inspect.signature(getattr(svertka, name)).parameters) - OF_PYTHON - {"changes"}
    assert flags == parameters


def test_everything_public_is_listed() -> None:
    assert set(svertka.__all__) <= set(dir(svertka))
    for name in COMMANDS:
        assert getattr(svertka, name) is getattr(svertka, name)
        assert getattr(svertka, name).__doc__


@pytest.mark.parametrize(
    ("name", "keyword", "near"),
    [
        ("train", "epochz", "epochs"),
        ("train", "outt", "out"),
        ("predict", "threshhold", "threshold"),
        ("explain", "methods", "method"),
        ("compare", "nets", "net"),
        ("bench", "engines", "engine"),
    ],
)
def test_a_wrong_keyword_is_answered_with_the_nearest(name: str, keyword: str, near: str) -> None:
    with pytest.raises(TypeError, match=rf"svertka\.{name}\(\) has no parameter '{keyword}'; did you mean {near}"):
        getattr(svertka, name)("nowhere", **{keyword: 1})
    with pytest.raises(UserError):
        getattr(svertka, name)("nowhere", **{keyword: 1})


CLASSES = [
    name
    for name in svertka.__all__
    if isinstance(getattr(svertka, name), type) and not issubclass(getattr(svertka, name), Exception)
]


@pytest.mark.parametrize("name", CLASSES)
def test_a_wrong_keyword_of_a_class_is_answered_with_the_nearest(name: str) -> None:
    kind = getattr(svertka, name)
    first = dataclasses.fields(kind)[0].name
    words = rf"svertka\.{name}\(\) has no parameter '{first}z'; did you mean {first}"
    with pytest.raises(TypeError, match=words):
        kind(**{f"{first}z": 1})
    with pytest.raises(UserError, match=words):
        dataclasses.replace(kind(), **{f"{first}z": 1})
    assert [*inspect.signature(kind).parameters] == [field.name for field in dataclasses.fields(kind)]


def test_spellings() -> None:
    assert [seconds_of(text) for text in (3, "3", "90s", "1.5m", "2h")] == [3, 3, 90, 90, 7200]
    with pytest.raises(UserError, match="3 days is no time"):
        seconds_of("3 days")
    assert paths_of("a/b.jpg") == paths_of(Path("a/b.jpg")) == paths_of(["a/b.jpg"]) == [Path("a/b.jpg")]
    assert names_of("flip,crop") == names_of(["flip", "crop"]) == names_of(("flip,crop",)) == ("flip", "crop")
    assert names_of("none") == names_of(["none"]) == names_of(()) == ()
    assert [rate_text(rate) for rate in (1234.5, 10, 3.21, 0.3, 0.004)] == [
        f"{text} images/s" for text in ("1,234", "10", "3.2", "0.3", "0.004")
    ]
    assert numbers_of(8) == numbers_of("8") == numbers_of([8]) == (8,)
    assert numbers_of("1,8") == (1, 8)
    with pytest.raises(UserError, match="'x' is no whole number"):
        numbers_of("x")


def test_a_recipe_takes_what_the_command_line_takes() -> None:
    recipe = Recipe().changed(
        {"budget": "3m", "augment": "flip,crop", "views": "identity", "split": Path("a/split.csv")}
    )
    assert (recipe.budget, recipe.augment, recipe.views, recipe.split) == (
        180,
        ("flip", "crop"),
        ("identity",),
        "a/split.csv",
    )
    assert Recipe().changed({"augment": "none"}).augment == ()
    assert Recipe.of(dataclasses.asdict(recipe)) == recipe


def test_one_image_is_one_image(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(np.full((5, 6, 3), 90, np.uint8)).save(tmp_path / "a.png")
    monkeypatch.chdir(tmp_path)
    for given in ("a.png", Path("a.png"), ["a.png"], tmp_path / "a.png", str(tmp_path)):
        (prediction,) = svertka.predict(tiny_model, given)
        assert prediction.result is not None


def test_the_likeliest_come_first_and_no_more(tiny_model: Path, tmp_path: Path) -> None:
    Image.fromarray(np.full((5, 6, 3), 90, np.uint8)).save(tmp_path / "a.png")
    (whole,), (first,) = (svertka.predict(tiny_model, tmp_path, top=top) for top in (None, 1))
    assert len(whole.to_json()["classes"]) == 3
    assert first.to_json()["classes"] == whole.to_json()["classes"][:1]
    with pytest.raises(UserError, match="top is 0"):
        svertka.predict(tiny_model, tmp_path, top=0)
    with pytest.raises(UserError, match="--threshold is about labels and boxes"):
        svertka.predict(tiny_model, tmp_path, threshold=0.5)
    for threads in (0, 100_000):
        with pytest.raises(UserError, match=f"threads is {threads}; --threads is between 1 and 1,024"):
            svertka.predict(tiny_model, tmp_path, threads=threads)
    for odd in ("", 5, None):
        with pytest.raises(UserError, match="a path or name"):
            svertka.predict(tiny_model, odd)
    assert svertka.predict(tiny_model, str(tmp_path / "a.png").encode())[0].result is not None
    assert svertka.predict(tiny_model, tmp_path, threads=1)[0].to_json() == whole.to_json()

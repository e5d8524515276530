"""The card: there and back to the byte, and every kind of damage refused in one line."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from svertka.errors import UserError
from svertka.runtime.card import CARD_VERSION, Card
from svertka.runtime.preprocess import Preprocess
from svertka.zoo.modelfile import read_card


@pytest.fixture
def text(tiny_model: Path) -> str:
    return read_card(tiny_model).to_json()


def test_there_and_back_to_the_byte(text: str) -> None:
    card = Card.from_json(text, where="here")
    assert card.to_json() == text
    assert card.classes == ("cat", "dog", "hippopotamus")
    assert isinstance(card.preprocess, Preprocess)
    assert card.golden[0].image.dtype == np.uint8
    assert card.golden[0].outputs["logits"].dtype == np.float32


def test_names_in_any_script_are_kept(text: str) -> None:
    card = Card.from_json(text.replace("hippopotamus", "бегемот 🦛"), where="here")
    assert card.classes[2] == "бегемот 🦛"
    assert "бегемот 🦛" in card.to_json()


def test_another_version_says_what_to_do(text: str) -> None:
    values = json.loads(text)
    values["version"] = CARD_VERSION + 1
    values["something"] = "new"
    with pytest.raises(UserError, match=f"version {CARD_VERSION + 1}, .* install the release") as caught:
        Card.from_json(json.dumps(values), where="here")
    assert str(caught.value).startswith("here: ")


ARRAY = {"dtype": "uint8", "shape": [1, 1, 3], "base64": base64.b64encode(b"abc").decode()}


def golden(**changes: Any) -> dict[str, Any]:
    return {"golden": [{"image": ARRAY, "outputs": {"logits": numbers(0, 0, 0)}} | changes]}


def numbers(*values: float) -> dict[str, Any]:
    data = np.array(values, np.float32).tobytes()
    return {"dtype": "float32", "shape": [len(values)], "base64": base64.b64encode(data).decode()}


def preprocess(**changes: Any) -> dict[str, Any]:
    return {"preprocess": {"height": 4, "width": 4} | changes}


def test_the_golden_of_these_tests_is_whole(text: str) -> None:
    assert Card.from_json(json.dumps(json.loads(text) | golden()), where="here").golden[0].image.tolist() == [
        [[97, 98, 99]]
    ]


ALIEN: list[dict[str, Any]] = [
    {"net": 7},
    {"net": None},
    {"task": ["classification"]},
    {"licence": {}},
    {"weights": 0},
    {"classes": "cat"} | {"classes": None},
    {"classes": [1, 2]},
    {"classes": {"a": 1}} | {"classes": 5},
    {"classes": ["\ud800"]},
    {"arguments": []},
    {"provenance": "x"},
    {"metrics": 1},
    {"metrics": {"val": float("nan")}},
    {"metrics": {"val": float("inf")}},
    {"provenance": {"data": "\udcff"}},
    {"preprocess": None},
    {"preprocess": {"height": 0, "width": 1}},
    {"preprocess": {"height": 1.5, "width": 1}},
    {"golden": None},
    {"golden": [None]},
    golden(image=None),
    golden(outputs={}),
    golden(outputs=[]),
    golden(outputs={"logits": ARRAY}),
    golden(image=ARRAY | {"dtype": "object"}),
    golden(image=ARRAY | {"dtype": "float32"}),
    golden(image=ARRAY | {"dtype": []}),
    golden(image=ARRAY | {"shape": [3]}),
    golden(image=ARRAY | {"shape": [1, 1, 4]}),
    golden(image=ARRAY | {"shape": [-1, 1, 3]}),
    golden(image=ARRAY | {"shape": [float("inf"), 1, 3]}),
    golden(image=ARRAY | {"shape": ["1", 1, 3]}),
    golden(image=ARRAY | {"shape": None}),
    golden(image=ARRAY | {"shape": [0, 1, 3], "base64": ""}),
    golden(image=ARRAY | {"base64": "YWJ"}),
    golden(image=ARRAY | {"base64": "YW Jj"}),
    golden(image=ARRAY | {"base64": 3}),
    golden(outputs={"logits": numbers(0, 0, float("nan"))}),
    golden(outputs={"logits": numbers(0, 0, float("inf"))}),
    golden(outputs={"other": numbers(float("nan"))}),
    golden(outputs={"logits": numbers(0, 0)}),
    golden(outputs={"logits": numbers(0, 0, 0, 0)}),
    golden(outputs={"logits": numbers(0) | {"shape": []}}),
    golden(outputs={"scores": numbers(0, 0)}),
    {"golden": golden()["golden"] * 65},
    {"classes": []},
    {"classes": "cat"},
    {"classes": ["cat", "dog", "h" * 4097]},
    {"net": "n" * 201},
    {"provenance": {"many": [0] * 500_001}},
    *(
        preprocess(**{name: value})
        for name in ("height", "width", "channels", "shorter", "margin", "regions")
        for value in (True, 65535, 1e9, -1, float("nan"), "4", 4.0)
    ),
    preprocess(fit="crop", shorter=4096),
    *(preprocess(**{name: value}) for name in ("mean", "std") for value in ("111", [True] * 3, ["1"] * 3, [1e400] * 3)),
    {"deployment": {"tolerance": True}},
    {"deployment": {"piece": True}},
    {"thresholds": [0.5]},
    {"thresholds": [0.5, 0.5, 1.5]},
    {"thresholds": [0.5, 0.5, "0.5"]},
    {"thresholds": [0.5, 0.5, float("nan")]},
    {"thresholds": 0.5},
    {"thresholds": None},
    {"reject_limit": -1.0},
    {"reject_limit": "1"},
    {"reject_limit": True},
    {"reject_limit": None},
    {"reject_limit": [1.0]},
    {"alien": 1},
]


@pytest.mark.parametrize("change", ALIEN, ids=lambda change: json.dumps(change)[:60])
def test_alien_values_are_refused_in_one_line_that_names_the_file(text: str, change: dict[str, Any]) -> None:
    with pytest.raises(UserError) as caught:
        Card.from_json(json.dumps(json.loads(text) | change), where="here")
    assert str(caught.value).startswith("here: ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-1],
        lambda text: text[1:],
        lambda _: "",
        lambda _: "null",
        lambda _: "[]",
        lambda _: '"card"',
        lambda _: "{}",
        lambda _: "[" * 100_000,
        lambda text: text.replace('"version"', '"revision"'),
        lambda text: text.replace('"licence"', '"license"'),
    ],
    ids=["cut", "headless", "empty", "null", "list", "text", "object", "deep", "no version", "no licence"],
)
def test_damage_is_refused_in_one_line(text: str, damage: Callable[[str], str]) -> None:
    with pytest.raises(UserError, match="here: its card is damaged"):
        Card.from_json(damage(text), where="here")


def test_a_card_with_a_number_that_json_cannot_hold_is_not_written(tiny_model: Path) -> None:
    import dataclasses

    card = dataclasses.replace(read_card(tiny_model), metrics={"loss": float("nan")})
    with pytest.raises(ValueError, match="JSON"):
        card.to_json()


def test_thresholds_travel_and_a_card_without_them_is_read(text: str) -> None:
    assert "thresholds" not in json.loads(text)
    assert Card.from_json(text, where="here").thresholds == ()
    with_them = json.dumps(json.loads(text) | {"thresholds": [0.1, 1 / 3, 1]})
    card = Card.from_json(with_them, where="here")
    assert card.thresholds == (0.1, 1 / 3, 1.0)
    assert Card.from_json(card.to_json(), where="here").to_json() == card.to_json()


def test_the_limit_travels_and_a_card_without_it_is_read(text: str) -> None:
    assert "reject_limit" not in json.loads(text)
    assert Card.from_json(text, where="here").reject_limit is None
    card = Card.from_json(json.dumps(json.loads(text) | {"reject_limit": 1 / 3}), where="here")
    assert card.reject_limit == 1 / 3
    assert Card.from_json(card.to_json(), where="here").to_json() == card.to_json()

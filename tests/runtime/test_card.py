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
from svertka.runtime.card import Card, image_input
from svertka.runtime.card_versions import CARD_VERSION
from svertka.runtime.preprocess import Preprocess
from svertka.runtime.series import SeriesTransform
from svertka.zoo.modelfile import read_card


@pytest.fixture
def text(tiny_model: Path) -> str:
    return read_card(tiny_model).to_json()


def test_there_and_back_to_the_byte(text: str) -> None:
    card = Card.from_json(text, where="here")
    assert card.to_json() == text
    assert card.classes == ("cat", "dog", "hippopotamus")
    assert isinstance(card.input, Preprocess)
    assert image_input(card) == card.input
    assert card.golden[0].input.dtype == np.uint8
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


def as_version1(values: dict[str, Any]) -> dict[str, Any]:
    """A card of an image classifier, as JSON, in the version before: the tests' own, written from what was."""
    old = {name: value for name, value in values.items() if name not in ("input", "output", "golden")}
    taken = {name: value for name, value in values["input"].items() if name != "media"}
    golden = [{"image": item["input"], "outputs": item["outputs"]} for item in values["golden"]]
    return old | {"version": 1, "preprocess": taken, "classes": values["output"]["classes"], "golden": golden}


def as_version2(change: dict[str, Any]) -> dict[str, Any]:
    """A change to a card of version 1 as one to a card of version 2."""
    new = {name: value for name, value in change.items() if name not in ("preprocess", "classes", "golden")}
    if "classes" in change:
        new["output"] = {"classes": change["classes"]}
    if "preprocess" in change:
        taken = change["preprocess"]
        new["input"] = {"media": "image"} | taken if isinstance(taken, dict) else taken
    if "golden" in change:
        golden = change["golden"]
        if isinstance(golden, list):
            golden = [item and {"input": item["image"], "outputs": item["outputs"]} for item in golden]
        new["golden"] = golden
    return new


@pytest.fixture
def first(text: str) -> str:
    """The same card in version 1."""
    return json.dumps(as_version1(json.loads(text)))


def test_a_card_of_version_1_is_read_and_written_in_version_2(text: str, first: str) -> None:
    assert Card.from_json(first, where="here").to_json() == text
    assert json.loads(text)["version"] == 2
    assert "preprocess" not in json.loads(text)


ARRAY = {"dtype": "uint8", "shape": [1, 1, 3], "base64": base64.b64encode(b"abc").decode()}


def golden(**changes: Any) -> dict[str, Any]:
    return {"golden": [{"image": ARRAY, "outputs": {"logits": numbers(0, 0, 0)}} | changes]}


def numbers(*values: float) -> dict[str, Any]:
    data = np.array(values, np.float32).tobytes()
    return {"dtype": "float32", "shape": [len(values)], "base64": base64.b64encode(data).decode()}


def preprocess(**changes: Any) -> dict[str, Any]:
    return {"preprocess": {"height": 4, "width": 4} | changes}


def test_the_golden_of_these_tests_is_whole(text: str, first: str) -> None:
    for changed in (json.loads(first) | golden(), json.loads(text) | as_version2(golden())):
        card = Card.from_json(json.dumps(changed), where="here")
        assert card.golden[0].input.tolist() == [[[97, 98, 99]]]


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
def test_alien_values_are_refused_in_one_line_that_names_the_file(
    text: str, first: str, change: dict[str, Any]
) -> None:
    for changed in (json.loads(first) | change, json.loads(text) | as_version2(change)):
        with pytest.raises(UserError) as caught:
            Card.from_json(json.dumps(changed), where="here")
        assert str(caught.value).startswith("here: ")
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 400


SERIES: dict[str, Any] = {"media": "series", "channels": 3, "length": 4, "mean": [0, 0, 0], "std": [1, 1, 1]}

ALIEN_NOW: list[dict[str, Any]] = [
    {"preprocess": {"height": 4, "width": 4}},
    {"classes": ["cat", "dog", "hippopotamus"]},
    {"input": {"height": 4, "width": 4}},
    {"input": {"media": ["image"], "height": 4, "width": 4}},
    {"input": SERIES},  # and the golden input is an image
    {"input": SERIES, "golden": [], "deployment": {"pixels": True}},
    *({"input": SERIES | {name: value}, "golden": []} for name in ("channels", "length") for value in (0, True, 1e9)),
    {"input": SERIES | {"length": 1 << 24}, "golden": []},
    {"input": SERIES | {"mean": [0, 0]}, "golden": []},
    {"input": SERIES | {"std": [1, 1, 0]}, "golden": []},
    {"input": SERIES | {"std": [1, 1, 1e-50]}, "golden": []},
    {"input": SERIES | {"mean": [0, 0, 1e39]}, "golden": []},
    {"input": SERIES | {"names": ["x"]}, "golden": []},
    {"input": SERIES | {"names": ["x", "y", 3]}, "golden": []},
    {"input": SERIES | {"rate": -1}, "golden": []},
    {"input": SERIES | {"alien": 1}, "golden": []},
    {"output": {}},
    {"output": None},
    {"output": {"alien": 1}},
    {"output": {"classes": ["a", "b", "c"], "vector": True}},
    {"output": {"vector": -1}},
    {"output": {"vector": 1 << 21}},
    {"output": {"channels": 1.5}},
    {"output": {"values": "height"}},
    {"output": {"keypoints": [1]}},
    {"output": {"values": ["x" * 4097]}},
    {"golden": [{"image": ARRAY, "outputs": {"logits": numbers(0, 0, 0)}}]},
]


@pytest.mark.parametrize("change", ALIEN_NOW, ids=lambda change: json.dumps(change)[:60])
def test_alien_values_of_version_2_are_refused_in_one_line(text: str, change: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"^here: its card is damaged \("):
        Card.from_json(json.dumps(json.loads(text) | change), where="here")


@pytest.mark.parametrize("change", [{"input": SERIES}, {"output": {"vector": 3}}, {"preprocess": SERIES}])
def test_names_of_version_2_do_not_belong_on_a_card_of_version_1(first: str, change: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="its card is damaged"):
        Card.from_json(json.dumps(json.loads(first) | change), where="here")


@pytest.mark.parametrize(
    ("output", "found", "said"),
    [
        ({"vector": 3}, {"vector": numbers(0, 0, 0)}, None),
        ({"vector": 3}, {"logits": numbers(0, 0)}, None),
        ({"vector": 4}, {"vector": numbers(0, 0, 0)}, r"golden vector of shape \[3\] for a vector of 4 numbers"),
        ({"values": ["x", "y"]}, {"values": numbers(0, 0, 0)}, r"golden values of shape \[3\] for 2 values"),
        ({"keypoints": ["tip"]}, {"keypoints": numbers(0, 0)}, r"golden keypoints of shape \[2\] for 1 keypoint"),
        ({"channels": 3}, {"picture": numbers(0, 0, 0, 0)}, r"golden picture of shape \[4\] for 3 channels"),
        ({"channels": 1}, {"picture": numbers(0) | {"shape": []}}, r"golden picture of shape \[\] for 1 channel"),
    ],
)
def test_golden_outputs_are_what_the_card_says_of_them(
    text: str, output: dict[str, Any], found: dict[str, Any], said: str | None
) -> None:
    changed = json.dumps(json.loads(text) | {"output": output, "golden": [{"input": ARRAY, "outputs": found}]})
    if said is None:
        card = Card.from_json(changed, where="here")
        assert Card.from_json(card.to_json(), where="here").output == card.output
        assert card.classes == ()
    else:
        with pytest.raises(UserError, match=said):
            Card.from_json(changed, where="here")


def test_a_card_of_series_there_and_back(text: str) -> None:
    series = np.arange(6, dtype=np.float32).reshape(2, 3)
    given = {"dtype": "float32", "shape": [2, 3], "base64": base64.b64encode(series.tobytes()).decode()}
    golden = [{"input": given, "outputs": {"logits": numbers(0, 0, 0)}}]
    taken = SERIES | {"names": ["x", "y", "z"], "rate": 50.0}
    card = Card.from_json(json.dumps(json.loads(text) | {"input": taken, "golden": golden}), where="here")
    assert card.input == SeriesTransform(
        channels=3, length=4, mean=(0, 0, 0), std=(1, 1, 1), names=("x", "y", "z"), rate=50
    )
    assert np.array_equal(card.golden[0].input, series)
    assert Card.from_json(card.to_json(), where="here").to_json() == card.to_json()
    with pytest.raises(UserError, match=r"^there: perceptron takes series, and this is for networks that take images$"):
        image_input(card, where="there")


VERSION1 = Path(__file__).parent / "version1"
"""A perceptron as a release with cards of version 1 wrote it: trained on 4×4 pixels, and exported."""


@pytest.mark.parametrize("name", ["model.safetensors", "model.onnx"])
def test_model_files_with_cards_of_version_1_are_opened_and_verified(name: str) -> None:
    pytest.importorskip("onnxscript")
    from svertka import verify
    from svertka.workflows.models import open_predictor

    file = VERSION1 / name
    assert b'"version": 1' in file.read_bytes().replace(b"\\", b"")
    found = verify(file)
    assert found.golden == 4
    assert found.ok
    predictor = open_predictor(file)
    assert predictor.card.classes == ("blue", "red")
    assert predictor.card.input.shape == (1, 4, 4)
    assert predictor(predictor.card.golden[0].input).line().startswith("blue")


def test_a_model_file_of_version_1_that_is_saved_again_has_a_card_of_version_2(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    from svertka.deploy.onnx import export_onnx
    from svertka.runtime.onnx_card import read_onnx_card
    from svertka.zoo.modelfile import load_model, save_model

    net, card = load_model(VERSION1 / "model.safetensors")
    again, graph = tmp_path / "model.safetensors", tmp_path / "model.onnx"
    assert save_model(again, net.state_dict(), card).weights == card.weights
    export_onnx(net, card, graph)
    assert b'"version": 2' in again.read_bytes().replace(b"\\", b"")
    assert read_card(again).to_json() == read_onnx_card(graph).to_json()


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

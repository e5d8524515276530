"""How an exported graph is run: on the card, checked when read, and read without an engine."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from svertka.errors import UserError
from svertka.runtime.agreement import difference
from svertka.runtime.card import CARD_KEY, Card
from svertka.runtime.deployment import AGREEMENT, Deployment
from svertka.runtime.engines import OnnxRuntimeEngine
from svertka.runtime.onnx_card import read_onnx_card

PLAN = Deployment(engine="openvino", precision="int8", piece=4, tolerance=0.25)


@pytest.mark.parametrize(
    "wrong",
    [
        {"engine": "tensorrt"},
        {"precision": "fp8"},
        {"piece": -1},
        {"piece": 1.5},
        {"piece": True},
        {"piece": 10**9},
        {"tolerance": 0},
        {"tolerance": float("nan")},
        {"tolerance": "0.1"},
        {"pixels": 1},
        {"engine": ["openvino"]},
        {"more": 1},
    ],
    ids=str,
)
def test_a_plan_that_makes_no_sense_is_a_damaged_card(wrong: dict[str, Any], tiny_onnx: Path) -> None:
    card = dataclasses.replace(read_onnx_card(tiny_onnx), deployment=PLAN)
    values = json.loads(card.to_json())
    values["deployment"].update(wrong)
    with pytest.raises(UserError, match="card is damaged"):
        Card.from_json(json.dumps(values), where="a file")


def test_a_plan_travels_and_a_card_without_one_says_nothing_of_it(tiny_onnx: Path) -> None:
    card = read_onnx_card(tiny_onnx)
    assert card.deployment is None
    assert card.tolerance == AGREEMENT
    assert "deployment" not in json.loads(card.to_json())
    planned = dataclasses.replace(card, deployment=PLAN)
    again = Card.from_json(planned.to_json(), where="a file")
    assert again.deployment == PLAN
    assert again.tolerance == 0.25
    assert again.to_json() == planned.to_json()


def test_the_card_is_what_an_engine_finds(tiny_onnx: Path) -> None:
    assert read_onnx_card(tiny_onnx).to_json() == OnnxRuntimeEngine(tiny_onnx).card.to_json()


def test_other_metadata_and_large_weights_are_passed_by(tiny_onnx: Path, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load(tiny_onnx)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros(3_000_000, np.float32), "large"))
    card = model.metadata_props[0].value
    onnx.helper.set_model_props(model, {"a": "b", CARD_KEY: card, "c": ""})
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    assert read_onnx_card(path).to_json() == card


def test_a_file_cut_off_anywhere_is_a_mistake_in_one_line(tiny_onnx: Path, tmp_path: Path) -> None:
    data = tiny_onnx.read_bytes()
    path = tmp_path / "model.onnx"
    for length in [*range(0, len(data), 97), len(data) - 1]:
        path.write_bytes(data[:length])
        with pytest.raises(UserError) as caught:
            read_onnx_card(path)
        assert "\n" not in str(caught.value)


def test_bytes_that_were_changed_are_a_mistake_or_the_same_card(tiny_onnx: Path, tmp_path: Path) -> None:
    data, rng = tiny_onnx.read_bytes(), np.random.default_rng(0)
    path = tmp_path / "model.onnx"
    refused = 0
    for _ in range(400):
        changed = bytearray(data)
        for place in rng.integers(0, len(data), 3):
            changed[place] = rng.integers(0, 256)
        path.write_bytes(changed)
        try:
            read_onnx_card(path)
        except UserError:
            refused += 1
    assert refused > 50


def test_no_file_and_no_card_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such model file"):
        read_onnx_card(tmp_path / "none.onnx")
    (tmp_path / "empty.onnx").write_bytes(b"")
    with pytest.raises(UserError, match="it holds no graph"):
        read_onnx_card(tmp_path / "empty.onnx")
    (tmp_path / "graph.onnx").write_bytes(b"\x3a\x00")  # an empty graph
    with pytest.raises(UserError, match="without a card"):
        read_onnx_card(tmp_path / "graph.onnx")
    (tmp_path / "endless.onnx").write_bytes(b"\xff" * 30)
    with pytest.raises(UserError, match="not a readable ONNX model"):
        read_onnx_card(tmp_path / "endless.onnx")


def test_the_difference_is_the_largest_of_all_outputs() -> None:
    found = {"a": np.array([1.0, 2.0]), "b": np.array([[3.0]]), "more": np.zeros(9)}
    assert difference(found, {"a": np.array([1.0, 2.5]), "b": np.array([[2.0]])}) == 1.0

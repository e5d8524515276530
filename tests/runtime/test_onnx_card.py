"""An exported graph is opened only where its card suits it and its weights are finite, whatever engine reads it."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from svertka.errors import UserError
from svertka.runtime.card import CARD_KEY
from svertka.runtime.engines import OnnxRuntimeEngine, OpenVinoEngine, open_engine
from svertka.runtime.onnx_card import read_onnx_card
from svertka.runtime.openvino_core import openvino_is_installed
from svertka.wording import counted


@pytest.fixture
def changed(tiny_onnx: Path, tmp_path: Path) -> Callable[..., Path]:
    """``tiny_onnx`` with another card or graph."""
    onnx = pytest.importorskip("onnx")

    def change(card: dict[str, Any] | None = None, graph: Callable[[Any], object] | None = None) -> Path:
        model = onnx.load(tiny_onnx)
        values = json.loads(read_onnx_card(tiny_onnx).to_json())
        for key, value in (card or {}).items():
            values[key] = values.get(key, {}) | value if isinstance(value, dict) else value
        onnx.helper.set_model_props(model, {CARD_KEY: json.dumps(values)})
        if graph is not None:
            graph(model.graph)
        path = tmp_path / "model.onnx"
        path.write_bytes(model.SerializeToString())
        return path

    return change


def refused(path: Path) -> str:
    lines = []
    for opened in (open_engine, OnnxRuntimeEngine, read_onnx_card):
        with pytest.raises(UserError) as caught:
            opened(path)
        lines.append(str(caught.value))
    assert len(set(lines)) == 1
    assert lines[0].startswith(f"{path}: ")
    return lines[0]


@pytest.mark.parametrize("size", [{"height": 7, "width": 7}, {"height": 3}, {"height": 4096, "width": 4096}])
def test_a_card_of_another_size_than_the_graph(size: dict[str, int], changed: Callable[..., Path]) -> None:
    line = refused(changed({"input": size}))
    assert line.endswith("its graph takes any×3×4×4; export it again")


def test_a_card_of_other_channels_or_pixels(changed: Callable[..., Path]) -> None:
    grey = {"channels": 1, "mean": [0.0], "std": [1.0]}
    assert "its card is for images of any×1×4×4" in refused(changed({"input": grey}))
    assert "its card is for images of any×any×any×3" in refused(changed({"deployment": {"pixels": True}}))


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_card_of_other_classes(count: int, changed: Callable[..., Path]) -> None:
    line = refused(changed({"output": {"classes": list(map(str, range(count)))}, "golden": []}))
    assert f"its card names {counted(count, 'class')}, its graph gives logits of any×3" in line


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("raw", [True, False])
def test_weights_that_are_not_finite(value: float, raw: bool, changed: Callable[..., Path]) -> None:
    onnx = pytest.importorskip("onnx")

    def spoil(graph: Any) -> None:
        weight = next(one for one in graph.initializer if one.name.endswith("bias"))
        numbers = onnx.numpy_helper.to_array(weight).copy()
        numbers[1] = value
        if raw:
            weight.CopyFrom(onnx.numpy_helper.from_array(numbers, weight.name))
        else:
            weight.ClearField("raw_data")
            weight.float_data.extend(numbers.tolist())

    assert "bias' holds numbers that are not finite" in refused(changed(graph=spoil))


def test_damage_raises_nothing_else_and_prints_nothing(
    tiny_onnx: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    whole, chance, path = tiny_onnx.read_bytes(), random.Random(0), tmp_path / "model.onnx"
    engines = [OnnxRuntimeEngine, OpenVinoEngine] if openvino_is_installed() else [OnnxRuntimeEngine]
    refusals: list[str] = []
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(chance.choice([1, 3, 30])):
            data[chance.randrange(len(data))] = chance.choice([0, 0xC3, 0xFE, chance.randrange(256)])
        path.write_bytes(data)
        for engine in engines:
            try:
                engine(path)
            except UserError as error:
                refusals.append(str(error))
    assert refusals
    assert all(map(str.isprintable, refusals))
    assert capfd.readouterr().out == ""


@pytest.mark.skipif(os.name != "posix", reason="where names are bytes")
def test_a_name_that_is_no_text(tiny_onnx: Path, tmp_path: Path) -> None:
    images = np.zeros((2, 3, 4, 4), np.float32)
    for name in (b"\xff\xe9.onnx", "модель🦛.onnx".encode()):
        path = tmp_path / os.fsdecode(name)
        path.write_bytes(tiny_onnx.read_bytes())
        expected = OnnxRuntimeEngine(path).run(images)["logits"]
        if openvino_is_installed():
            np.testing.assert_allclose(OpenVinoEngine(path).run(images)["logits"], expected, atol=1e-5)


def test_what_an_engine_raises_of_a_batch_is_a_refusal(tiny_onnx: Path) -> None:
    engines = [OnnxRuntimeEngine, OpenVinoEngine] if openvino_is_installed() else [OnnxRuntimeEngine]
    for engine in engines:
        with pytest.raises(UserError, match="not a readable ONNX model"):
            engine(tiny_onnx).run(np.zeros((1, 3, 9, 5), np.float32))

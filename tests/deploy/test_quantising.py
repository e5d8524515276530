"""Quantising: 7-bit weights, both engines alike, layers left out when asked, and the sensitive ones found."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from svertka.deploy.onnx import with_card
from svertka.deploy.parity import largest_difference, one_by_one
from svertka.deploy.quantising import by_sensitivity, quantise
from svertka.layers.net import Net
from svertka.runtime.agreement import difference
from svertka.runtime.card import Card
from svertka.runtime.engines import OnnxRuntimeEngine, OpenVinoEngine

onnx = pytest.importorskip("onnx")
pytest.importorskip("nncf")


def each(images: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    return [image[None] for image in images]


@pytest.fixture(scope="module")
def quantised(small_graph: Path, small_images: NDArray[np.float32]) -> Any:
    return quantise(small_graph.read_bytes(), each(small_images))


def convolutions(model: Any) -> dict[str, list[str]]:
    return {node.name: list(node.input) for node in model.graph.node if node.op_type == "Conv"}


def test_every_convolution_is_quantised_and_no_weight_has_more_than_seven_bits(
    small_graph: Path, quantised: Any
) -> None:
    before = convolutions(onnx.load(small_graph))
    after = convolutions(quantised)
    assert before.keys() == after.keys()
    made = {output: node for node in quantised.graph.node for output in node.output}
    held = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in quantised.graph.initializer}
    for inputs in after.values():
        assert [made[name].op_type for name in inputs[:2]] == ["DequantizeLinear"] * 2
        weights = held[made[inputs[1]].input[0]]
        assert weights.dtype == np.int8
        assert np.abs(weights.astype(int)).max() <= 64
        assert np.abs(weights.astype(int)).max() > 32  # and they use them


def test_batch_normalisation_was_folded_before(small_graph: Path) -> None:
    assert "BatchNormalization" not in {node.op_type for node in onnx.load(small_graph).graph.node}


def test_engines_add_less_to_the_error_than_quantising_does(
    small: tuple[Net, Card],
    small_graph: Path,
    quantised: Any,
    small_images: NDArray[np.float32],
    tmp_path: Path,
) -> None:
    path = tmp_path / "int8.onnx"
    path.write_bytes(with_card(quantised, small[1]))
    exact = one_by_one(OnnxRuntimeEngine(small_graph), small_images)
    literal = one_by_one(OnnxRuntimeEngine(path, literal=True), small_images)
    error = difference(literal, exact)
    assert 0 < error < 0.2 * np.abs(exact["logits"]).max()
    assert largest_difference(OnnxRuntimeEngine(path), small_images, literal) <= error
    pytest.importorskip("openvino")
    for piece in (0, 1, 4):
        assert largest_difference(OpenVinoEngine(path, piece=piece), small_images, literal) <= error


def test_what_is_to_be_left_is_left(small_graph: Path, small_images: NDArray[np.float32]) -> None:
    before = convolutions(onnx.load(small_graph))
    left = sorted(before)[3]
    model = quantise(small_graph.read_bytes(), each(small_images[:4]), leave=[left])
    made = {output: node.op_type for node in model.graph.node for output in node.output}
    kinds = {name: made.get(inputs[1]) for name, inputs in convolutions(model).items()}
    assert {name for name, kind in kinds.items() if kind != "DequantizeLinear"} == {left}


def test_the_layer_that_quantising_hurts_most_comes_first() -> None:
    # The second convolution reads one channel a thousand times larger than the others, and weighs it accordingly less:
    # the steps of its input are larger than all that the others say.
    rng = np.random.default_rng(0)
    weights = {name: rng.normal(size=(8, 8, 1, 1)).astype(np.float32) for name in ("w1", "w2", "w3")}
    weights["w1"][0] *= 1000
    weights["w2"][:, 0] /= 1000
    names = ["images", "a", "b", "logits"]
    nodes = [
        onnx.helper.make_node("Conv", [names[n], f"w{n + 1}"], [names[n + 1]], name=f"conv{n + 1}") for n in range(3)
    ]
    shape = ["batch", 8, 6, 6]
    graph = onnx.helper.make_graph(
        nodes,
        "three",
        [onnx.helper.make_tensor_value_info("images", 1, shape)],
        [onnx.helper.make_tensor_value_info("logits", 1, shape)],
        [onnx.numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)
    images = each(rng.normal(size=(6, 8, 6, 6)).astype(np.float32))
    told: list[tuple[int, int]] = []
    data = model.SerializeToString()
    order = by_sensitivity(data, quantise(data, images), images, advance=lambda *place: told.append(place))
    assert order[0] == "conv2"
    assert sorted(order) == ["conv1", "conv2", "conv3"]
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_nothing_is_reported_to_anyone() -> None:
    # In a process of its own: the library says nothing where it sees pytest.
    program = """
import openvino
from svertka.deploy.quantising import _nncf
_nncf()
from nncf.telemetry.wrapper import telemetry
print(type(telemetry).__module__)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["unittest.mock"]

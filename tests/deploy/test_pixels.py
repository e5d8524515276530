"""Preprocessing in the graph: at most a level in 255 from what pillow gives, whatever the image's size."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from svertka.deploy.onnx import onnx_bytes
from svertka.deploy.pixels import taking_pixels, with_preparation
from svertka.errors import UserError
from svertka.layers.net import Net
from svertka.runtime.card import Card
from svertka.runtime.engines import OnnxRuntimeEngine, OpenVinoEngine
from svertka.runtime.predictor import Predictor
from svertka.runtime.preprocess import Preprocess

onnx = pytest.importorskip("onnx")
SIZES = [(57, 83), (300, 41), (16, 24), (24, 24), (5, 9), (1, 150), (400, 3)]
FITS: list[dict[str, Any]] = [
    {"fit": "stretch", "height": 24, "width": 16},
    {"fit": "crop", "height": 24, "width": 20, "shorter": 29},
    {"fit": "pad", "height": 16, "width": 24},
]


def prepared(preprocess: Preprocess) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    import onnxruntime

    shape = ["batch", preprocess.channels, preprocess.height, preprocess.width]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["images"], ["same"])],
        "same",
        [onnx.helper.make_tensor_value_info("images", 1, shape)],
        [onnx.helper.make_tensor_value_info("same", 1, shape)],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)
    whole = with_preparation(model, preprocess)
    onnx.checker.check_model(whole)
    session = onnxruntime.InferenceSession(whole.SerializeToString(), providers=["CPUExecutionProvider"])
    return lambda image: session.run(None, {"pixels": image[None]})[0]


def picture(height: int, width: int) -> NDArray[np.uint8]:
    # Of middling pixels: no kernel overshoots black or white, where the order of the axes would matter.
    return np.random.default_rng(height).integers(64, 192, (height, width, 3), np.uint8)


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("fit", FITS, ids=lambda fit: fit["fit"])
def test_pixels_are_those_of_pillow(fit: dict[str, Any], interpolation: Any) -> None:
    preprocess = Preprocess(**fit, interpolation=interpolation, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.25))
    run = prepared(preprocess)
    for height, width in SIZES:
        if interpolation == "nearest" and not (height % 2 and width % 2):
            continue  # half-way between two pixels, either is the nearest
        image = picture(height, width)
        found, expected = run(image), preprocess([image])
        assert found.shape == expected.shape
        levels = np.abs(found - expected) * 255 * np.reshape(preprocess.std, (1, 3, 1, 1))
        # Rounded twice, and pillow does not always begin with the same axis.
        assert levels.max() < (0.01 if interpolation == "nearest" else 2.01), (height, width)
        assert (levels > 0.5).mean() < 0.4, (height, width)


@pytest.mark.parametrize("change", [{"channels": 1, "mean": (0.5,), "std": (0.25,)}, {"order": "bgr"}], ids=str)
def test_grey_and_reversed_channels_come_out_alike(change: dict[str, Any]) -> None:
    preprocess = Preprocess(height=20, width=12, **change)
    image = picture(33, 47)
    found = prepared(preprocess)(image)
    apart = np.abs(found - preprocess([image])) * 255 * np.reshape(preprocess.std, (1, -1, 1, 1))
    assert apart.max() < 1.01
    assert (apart > 0.5).mean() < 0.05


def test_images_that_are_taken_whole_are_refused() -> None:
    with pytest.raises(UserError, match="in pieces"):
        with_preparation(None, Preprocess(height=64, width=64, fit="whole"))


def test_a_graph_that_takes_pixels_predicts_the_same_and_says_how_far_it_may_be(
    small: tuple[Net, Card], tmp_path: Path
) -> None:
    net, card = small
    images = [golden.input for golden in card.golden] + [picture(height, width) for height, width in SIZES[:4]]
    data, changed, apart = taking_pixels(onnx_bytes(net, card), card, images)
    path = tmp_path / "pixels.onnx"
    path.write_bytes(data)
    engine = OnnxRuntimeEngine(path)
    assert engine.card.to_json() == changed.to_json()
    assert changed.deployment is not None
    assert changed.deployment.pixels
    assert apart <= changed.tolerance < 0.5
    plain = tmp_path / "plain.onnx"
    plain.write_bytes(onnx_bytes(net, card))
    expected = Predictor(OnnxRuntimeEngine(plain), card).raw(images)["logits"]
    found = Predictor(engine, changed).raw(images)["logits"]
    assert np.abs(found - expected).max() <= changed.tolerance
    pytest.importorskip("openvino")
    found = Predictor(OpenVinoEngine(path), changed).raw(images)["logits"]
    assert np.abs(found - expected).max() <= changed.tolerance

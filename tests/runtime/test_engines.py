"""Engines: the same answers in whatever pieces, from several threads at once, and from what is installed."""

from __future__ import annotations

import dataclasses
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from svertka.errors import UserError
from svertka.runtime.card import CARD_KEY
from svertka.runtime.deployment import Deployment
from svertka.runtime.engines import OnnxRuntimeEngine, OpenVinoEngine, open_engine
from svertka.runtime.onnx_card import read_onnx_card

IMAGES = np.random.default_rng(0).normal(size=(11, 3, 4, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def planned(tiny_onnx: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``tiny_onnx`` whose card says that OpenVINO runs it best, in pieces of two."""
    onnx = pytest.importorskip("onnx")
    card = dataclasses.replace(read_onnx_card(tiny_onnx), deployment=Deployment(engine="openvino", piece=2))
    model = onnx.load(tiny_onnx)
    onnx.helper.set_model_props(model, {CARD_KEY: card.to_json()})
    path = tmp_path_factory.mktemp("planned") / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("piece", [0, 1, 2, 4])
def test_pieces_and_threads_change_nothing(piece: int, threads: int, tiny_onnx: Path) -> None:
    pytest.importorskip("openvino")
    expected = OnnxRuntimeEngine(tiny_onnx).run(IMAGES)["logits"]
    engine = OpenVinoEngine(tiny_onnx, piece=piece, threads=threads)
    for count in range(1, len(IMAGES) + 1):
        found = engine.run(IMAGES[:count])["logits"]
        np.testing.assert_allclose(found, expected[:count], atol=1e-5)
    np.testing.assert_allclose(engine.run(IMAGES[::-1][:5])["logits"], expected[::-1][:5], atol=1e-5)


def test_answers_are_the_caller_s_own(tiny_onnx: Path) -> None:
    pytest.importorskip("openvino")
    engine = OpenVinoEngine(tiny_onnx, piece=1, threads=2)
    first = engine.run(IMAGES[:4])["logits"]
    kept = first.copy()
    engine.run(IMAGES[4:8])
    np.testing.assert_array_equal(first, kept)


def test_several_threads_may_ask_at_once(tiny_onnx: Path) -> None:
    pytest.importorskip("openvino")
    engine = OpenVinoEngine(tiny_onnx, piece=2, threads=2)
    expected = OnnxRuntimeEngine(tiny_onnx).run(IMAGES)["logits"]

    def ask(number: int) -> bool:
        start, count = number % 5, 1 + number % 6
        found = engine.run(IMAGES[start : start + count])["logits"]
        return bool(np.allclose(found, expected[start : start + count], atol=1e-5))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(ask, range(120)))


def test_the_card_says_which_engine_runs_it(planned: Path, tiny_onnx: Path) -> None:
    pytest.importorskip("openvino")
    engine, card = open_engine(planned)
    assert engine.name == "openvino"
    assert card.deployment == Deployment(engine="openvino", piece=2)
    assert open_engine(tiny_onnx)[0].name == "onnxruntime"


def test_without_that_engine_another_runs_the_same_graph(planned: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    engine, card = open_engine(planned)
    assert engine.name == "onnxruntime"
    assert card.deployment is not None
    with pytest.raises(UserError, match="OpenVINO is not installed"):
        OpenVinoEngine(planned)


def test_a_graph_run_literally_gives_the_same(tiny_onnx: Path) -> None:
    found = OnnxRuntimeEngine(tiny_onnx, literal=True).run(IMAGES)["logits"]
    np.testing.assert_allclose(found, OnnxRuntimeEngine(tiny_onnx).run(IMAGES)["logits"], atol=1e-5)

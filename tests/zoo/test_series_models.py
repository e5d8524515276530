"""A 1-D network over series: saved, opened, tried, exported, and the same in every engine."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

import svertka
from svertka import plugins
from svertka.errors import UserError
from svertka.layers.trunk import Classifier, Trunk
from svertka.runtime.card import Card, Golden
from svertka.runtime.engines import OnnxRuntimeEngine, OpenVinoEngine
from svertka.runtime.onnx_card import read_onnx_card
from svertka.runtime.openvino_core import openvino_is_installed
from svertka.runtime.outputs import OutputSpec
from svertka.runtime.predictor import Predictor
from svertka.runtime.preprocess import Preprocess
from svertka.runtime.series import SeriesTransform
from svertka.workflows.models import open_predictor
from svertka.zoo import registry
from svertka.zoo.engine import TorchEngine
from svertka.zoo.modelfile import load_model, save_model
from svertka.zoo.records import NetRecord

LENGTH = 24
TRANSFORM = SeriesTransform(channels=3, length=LENGTH, mean=(1.0, -2.0, 0.0), std=(2.0, 0.5, 1.0), rate=50.0)


class Waves(Classifier):
    """Two convolutions over time, and the mean of what they find."""

    def __init__(self, *, classes: int = 2, in_channels: int = 3) -> None:
        stages = {
            "c1": nn.Sequential(nn.Conv1d(in_channels, 32, 5, stride=2), nn.BatchNorm1d(32), nn.ReLU()),
            "c2": nn.Sequential(nn.Conv1d(32, 8, 5), nn.ReLU()),
        }
        head = nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, classes))
        super().__init__(Trunk(stages, in_channels=in_channels), head, classes=classes)


NET = NetRecord(name="waves", builder=Waves, image_size=LENGTH, smallest=13)


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "_state", plugins._State())
    svertka.register(NET)


def series(length: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((length, 3), np.float32)


def card_of(net: Classifier, **changed: Any) -> Card:
    predictor = Predictor(TorchEngine(net), Card(**values(golden=())))
    golden = [series(length) for length in (LENGTH, LENGTH - 7, LENGTH + 9)]
    proof = tuple(Golden(one, {"logits": predictor.raw([one])["logits"][0]}) for one in golden)
    return Card(**values(golden=proof) | changed)


def values(**changed: Any) -> dict[str, Any]:
    return {
        "net": "waves",
        "arguments": {},
        "task": "classification",
        "input": TRANSFORM,
        "output": OutputSpec(classes=("calm", "storm")),
        "licence": "CC0-1.0",
        "provenance": {},
        "metrics": {},
        "weights": "",
    } | changed


@pytest.fixture
def net() -> Classifier:
    torch.manual_seed(0)
    net = registry.build("waves", {})
    with torch.no_grad():
        net.train()(torch.randn(16, 3, LENGTH))  # statistics of their own
    return net.eval()


@pytest.fixture
def model(net: Classifier, tmp_path: Path) -> Path:
    path = tmp_path / "waves.safetensors"
    save_model(path, net.state_dict(), card_of(net))
    return path


def test_a_model_of_series_is_saved_and_opened(model: Path, tmp_path: Path) -> None:
    predictor = open_predictor(model)
    assert predictor.card.input == TRANSFORM
    assert predictor.golden_difference() == 0
    given = series(40, seed=3)
    np.save(tmp_path / "given.npy", given)
    (tmp_path / "given.csv").write_text("x,y,z\n" + "\n".join(",".join(map(repr, row)) for row in given.tolist()))
    expected = predictor.predict([given])[0].to_json()
    for same in (given, given.astype(np.float64), tmp_path / "given.npy", str(tmp_path / "given.csv")):
        assert predictor(same).to_json() == expected
    for wrong in (given[:, :2], given[:0], np.full((4, 3), np.nan, np.float32), "calm", None, tmp_path / "given.txt"):
        with pytest.raises(UserError):
            predictor(wrong)


def test_an_exported_model_of_series_is_the_same_in_every_engine(model: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    graph = tmp_path / "waves.onnx"
    assert svertka.export(model, out=graph).max_abs_diff < 1e-5
    onnx = pytest.importorskip("onnx")
    (taken,) = onnx.load(graph).graph.input
    sides = taken.type.tensor_type.shape.dim
    assert taken.name == "series"
    assert [side.dim_value for side in sides[1:]] == [3, LENGTH]
    assert sides[0].dim_param
    card = read_onnx_card(graph)
    assert card.to_json() == load_model(model)[1].to_json()
    assert svertka.verify(graph).ok
    assert {check.name for check in svertka.verify(graph).engines} >= {"onnxruntime"}
    batch = card.input([series(30, seed=seed) for seed in range(5)])
    net, _ = load_model(model)
    expected = TorchEngine(net).run(batch)["logits"]
    engines = [OnnxRuntimeEngine(graph)]
    if openvino_is_installed():
        engines += [OpenVinoEngine(graph), OpenVinoEngine(graph, piece=2)]
    for engine in engines:
        np.testing.assert_allclose(engine.run(batch)["logits"], expected, atol=1e-5)
    card = dataclasses.replace(card, input=dataclasses.replace(TRANSFORM, length=LENGTH + 1))
    from svertka.deploy.onnx import with_card

    graph.write_bytes(with_card(onnx.load(graph), card))
    with pytest.raises(UserError, match=r"its card is for series of any×3×25, its graph takes any×3×24"):
        read_onnx_card(graph)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"input": dataclasses.replace(TRANSFORM, length=12)}, "series of 3×12, which it cannot take"),
        ({"input": SeriesTransform(channels=2, length=24, mean=(0, 0), std=(1, 1))}, "series of 2×24, which it cannot"),
        ({"input": dataclasses.replace(TRANSFORM, length=5_000_000)}, "series of 3×5000000, one of which takes"),
        ({"input": Preprocess(height=24, width=24)}, "images of 3×24×24, which it cannot take"),
        ({"output": OutputSpec(classes=("a", "b", "c"))}, "classes 3, not 2"),
        ({"net": "lenet5", "arguments": {"classes": 2, "in_channels": 3}}, "series of 3×24, which it cannot take"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_card_that_does_not_suit_the_network(tmp_path: Path, changed: Any, said: str) -> None:
    path = tmp_path / "waves.safetensors"
    card = Card(**values(golden=()) | changed)
    state = registry.build(card.net, card.arguments).state_dict()
    save_model(path, state, card)
    with pytest.raises(UserError, match=f"its card does not suit {card.net}: {said}"):
        load_model(path)


COMMANDS: dict[str, Callable[[Path, Path], object]] = {
    "explain": lambda model, _: svertka.explain(model, out=model.parent / "page"),
    "bench": lambda model, folder: svertka.bench([model], out=folder / "bench"),
    "prune": lambda model, folder: svertka.prune(model, folder, out=folder / "pruned", sparsity=0.5),
    "export with data": lambda model, folder: svertka.export(model, out=folder / "x.onnx", data=folder),
    "export with pixels": lambda model, folder: svertka.export(model, out=folder / "x.onnx", pixels=True),
    "export of any size": lambda model, folder: svertka.export(model, out=folder / "x.onnx", any_size=True),
    "serve": lambda model, _: svertka.serve([model], port=0),
    "train": lambda model, folder: svertka.train(folder, weights=str(model), out=folder / "run"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_done_to_images_alone_refuses_series_in_one_line(command: str, model: Path) -> None:
    with pytest.raises(UserError, match="waves takes series, and this is for networks that take images"):
        COMMANDS[command](model, model.parent)

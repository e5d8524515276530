"""The same image is the same to the trainer, to every engine, and to the server, whatever kind of file it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sites import served

import svertka
from svertka.data.batching.batches import Loader, Part, Pixels
from svertka.data.cache.images import load_images
from svertka.data.samples import ImageFile
from svertka.runtime.card import Card
from svertka.runtime.decoders.classification import classification
from svertka.runtime.engines import OnnxRuntimeEngine, OpenVinoEngine, open_engine
from svertka.runtime.image import read_image
from svertka.runtime.predictor import Predictor
from svertka.zoo.modelfile import load_model

TOLERANCE = 1e-3
COUNT = 100


def kinds() -> list[tuple[str, str]]:
    """Modes of pixels, and a suffix of files that hold them."""
    modes = {
        "png": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
        "jpg": ("L", "RGB", "CMYK"),
        "tif": ("1", "L", "LA", "RGB", "RGBA", "CMYK", "I;16", "F", "LAB"),
        "gif": ("L", "P"),
        "bmp": ("1", "L", "P", "RGB"),
        "webp": ("RGB", "RGBA"),
        "tga": ("L", "LA", "RGB", "RGBA"),
    }
    return [(mode, suffix) for suffix, all_modes in modes.items() for mode in all_modes]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder, chance = tmp_path_factory.mktemp("odd"), np.random.default_rng(0)
    made = []
    for number in range(COUNT):
        mode, suffix = kinds()[number % len(kinds())]
        height, width = (int(side) for side in chance.permutation([chance.integers(8, 30), chance.integers(31, 90)]))
        coarse = chance.integers(0, 256, (4, 5, 4), np.uint8)
        smooth = Image.fromarray(coarse, "RGBA").resize((width, height), Image.Resampling.BICUBIC)
        path = folder / f"{number:03}-{mode.replace(';', '')}.{suffix}"
        converted(smooth, mode).save(path)
        made.append(path)
    return made


def converted(image: Image.Image, mode: str) -> Image.Image:
    grey = np.asarray(image.convert("L"))
    if mode == "I;16":
        return Image.fromarray(grey.astype(np.uint16) * 257)
    if mode == "F":
        return Image.fromarray(grey.astype(np.float32) / 255)
    if mode == "LAB":
        return Image.merge("LAB", image.convert("RGB").split())
    return image if mode == "RGBA" else image.convert("LA" if mode == "LA" else "RGB").convert(mode)


def scores_of(found: dict[str, Any]) -> list[float]:
    scores = {entry["name"]: entry["score"] for entry in found["classes"]}
    return [scores[name] for name in sorted(scores)]


def by_the_trainer(path: Path, files: list[Path]) -> list[dict[str, Any]]:
    net, card = load_model(path)
    images = load_images([ImageFile(file) for file in files], card.input)
    assert images.errors == {}
    inputs = Pixels(images, np.arange(len(files)), card.input)
    found: list[dict[str, Any]] = []
    with torch.inference_mode():
        for batch in Loader(Part(inputs, np.zeros(len(files), np.int64)), 16).in_order():
            outputs = {name: value.numpy() for name, value in net.outputs(batch.inputs).items()}
            found += [result.to_json() for result in classification(outputs, card, [])]
    return found


def by_an_engine(engine: Any, card: Card, files: list[Path]) -> list[dict[str, Any]]:
    predictor = Predictor(engine, card)
    return [result.to_json() for file in files for result in predictor.predict([read_image(file)])]


def by_the_server(model: Path, files: list[Path]) -> list[dict[str, Any]]:
    with served([model]) as server:
        replies = [server.post("/v1/predict", file.read_bytes()) for file in files]
        assert {reply.status for reply in replies} == {200}, {reply.body for reply in replies if reply.status != 200}
        return [reply.json["result"] for reply in replies]


def test_trainer_engines_and_server_agree(weights: Path, files: list[Path], tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("openvino")
    assert len({read_image(file).shape for file in files}) > 50
    exported = svertka.export(weights, out=tmp_path / "model.onnx").model
    engine = OnnxRuntimeEngine(exported)
    ways = {
        "trainer": by_the_trainer(weights, files),
        "onnx": by_an_engine(engine, engine.card, files),
        "openvino": by_an_engine(OpenVinoEngine(exported), engine.card, files),
        "server, onnx": by_the_server(exported, files),
        "server, torch": by_the_server(weights, files),
    }
    told = {name: np.array([scores_of(one) for one in found]) for name, found in ways.items()}
    assert all(scores.shape == (COUNT, 5) for scores in told.values())
    assert np.ptp(told["trainer"], axis=0).max() > 0.1  # they are not all alike to it
    for name, scores in told.items():
        assert np.abs(scores - told["trainer"]).max() <= TOLERANCE, name


def test_of_a_graph_that_prepares_images_itself_the_server_says_what_predict_says(
    weights: Path, files: list[Path], tmp_path: Path
) -> None:
    pytest.importorskip("onnxscript")
    exported = svertka.export(weights, out=tmp_path / "pixels.onnx", pixels=True).model
    offline = by_an_engine(*open_engine(exported), files)
    served_ones = by_the_server(exported, files)
    assert np.allclose(*([scores_of(one) for one in found] for found in (offline, served_ones)), rtol=0, atol=1e-4)

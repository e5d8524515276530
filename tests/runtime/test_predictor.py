"""Predicting: without torch, and with golden outputs that are really compared."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from svertka.errors import UserError
from svertka.runtime.card import Card, Golden
from svertka.runtime.decoding import Outputs
from svertka.runtime.engines import OnnxRuntimeEngine
from svertka.runtime.predictor import Predictor
from svertka.workflows.models import open_predictor
from svertka.zoo.engine import TorchEngine
from svertka.zoo.modelfile import load_model, read_card

Change = Callable[[NDArray[np.float32]], Outputs]


class Changed:
    """Gives the golden logits with a change."""

    name = "changed"

    def __init__(self, card: Card, change: Change) -> None:
        self.logits = card.golden[0].outputs["logits"][None].copy()
        self.change = change

    def run(self, batch: NDArray[np.float32]) -> Outputs:
        assert len(batch) == 1
        return self.change(self.logits)


def test_an_exported_model_predicts_where_torch_cannot_be_imported(tiny_onnx: Path, tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
    Image.fromarray(image).save(tmp_path / "image.png")
    program = f"""
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "sklearn", "matplotlib", "lightning_fabric"):
            raise ImportError("blocked: " + name)

sys.meta_path.insert(0, Block())
import json
import svertka
try:
    import torch
except ImportError:
    pass
else:
    raise SystemExit("nothing was blocked")
print(json.dumps(svertka.predict({str(tiny_onnx)!r}, [{str(tmp_path / "image.png")!r}])[0].to_json()))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    net, card = load_model(tiny_onnx.with_suffix(".safetensors"))
    (expected,) = Predictor(TorchEngine(net), card).predict([image])
    answered = json.loads(done.stdout)["classes"]
    assert [entry["name"] for entry in answered] == [entry["name"] for entry in expected.to_json()["classes"]]
    for entry, wanted in zip(answered, expected.to_json()["classes"], strict=True):
        assert entry["score"] == pytest.approx(wanted["score"], abs=1e-5)


def test_the_exported_model_carries_the_card_and_proves_itself(tiny_model: Path, tiny_onnx: Path) -> None:
    engine = OnnxRuntimeEngine(tiny_onnx)
    assert engine.card.to_json() == read_card(tiny_model).to_json()
    assert Predictor(engine, engine.card).golden_difference() < 1e-5


def test_images_of_any_sizes_go_in_one_batch_and_change_nothing(tiny_onnx: Path) -> None:
    engine = OnnxRuntimeEngine(tiny_onnx)
    predictor = Predictor(engine, engine.card)
    random = np.random.default_rng(1)
    images = [random.integers(0, 256, (height, 10, 3), np.uint8) for height in (4, 11, 30)]
    together = predictor.raw(images)["logits"]
    for number, image in enumerate(images):
        np.testing.assert_allclose(predictor.raw([image])["logits"][0], together[number], atol=1e-5)


def test_no_images_no_results(tiny_onnx: Path) -> None:
    engine = OnnxRuntimeEngine(tiny_onnx)
    assert Predictor(engine, engine.card).predict([]) == []


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (lambda logits: {"logits": logits}, 0.0),
        (lambda logits: {"logits": logits, "more": logits}, 0.0),
        (lambda logits: {"logits": logits - np.float32([0, 0.5, 0])}, 0.5),
        (lambda logits: {"logits": logits * np.float32([1, np.nan, 1])}, np.inf),
        (lambda logits: {"logits": np.full_like(logits, np.nan)}, np.inf),
        (lambda logits: {"logits": logits[:, :2]}, np.inf),
        (lambda logits: {"logits": logits[:, :1]}, np.inf),
        (lambda logits: {"logits": logits[..., None]}, np.inf),
        (lambda logits: {"logits": logits[:0]}, np.inf),
        (lambda logits: {"scores": logits}, np.inf),
        (lambda _: {}, np.inf),
    ],
    ids=["same", "more", "half off", "one nan", "all nan", "fewer", "one", "axis", "empty", "renamed", "nothing"],
)
def test_golden_difference(tiny_model: Path, change: Change, difference: float) -> None:
    card = read_card(tiny_model)
    assert Predictor(Changed(card, change), card).golden_difference() == pytest.approx(difference, abs=1e-6)


def test_the_worst_golden_input_counts(tiny_model: Path) -> None:
    card = read_card(tiny_model)
    good = card.golden[0]
    bad = Golden(good.input, {"logits": good.outputs["logits"] + np.float32(2)})
    for order in ((good, bad), (bad, good)):
        both = dataclasses.replace(card, golden=order)
        assert Predictor(Changed(card, lambda logits: {"logits": logits}), both).golden_difference() == pytest.approx(2)


def test_an_array_a_picture_and_a_path_give_the_same(tiny_model: Path, tmp_path: Path) -> None:
    predictor = open_predictor(tiny_model)
    pixels = np.random.default_rng(0).integers(0, 256, (6, 5, 3), np.uint8)
    picture = Image.fromarray(pixels)
    picture.save(tmp_path / "picture.png")
    picture.save(tmp_path / "picture.tiff")
    expected = predictor.predict([pixels])[0].to_json()
    with Image.open(tmp_path / "picture.tiff") as opened:
        opened.load()
        for same in (pixels, picture, tmp_path / "picture.png", str(tmp_path / "picture.png"), opened):
            assert predictor(same).to_json() == expected
    deep = Image.fromarray(np.full((4, 4), 0x8080, np.uint16))
    clear = Image.new("RGBA", (4, 4), (9, 9, 9, 0))
    for odd, level in ((deep, 128), (clear, 255)):  # as their files are decoded
        assert (predictor.card.input.given(odd) == level).all()
    for wrong in (pixels[..., 0], pixels / 255, pixels[:0], None, "none.png", Image.new("RGB", (0, 3))):
        with pytest.raises(UserError):
            predictor(wrong)

"""Somebody else's checkpoint becomes a model file that every other command takes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

import svertka
from svertka.runtime.preprocess import Preprocess
from svertka.zoo.classes import class_names
from svertka.zoo.modelfile import load_model, read_card
from svertka.zoo.published import IMAGENET_MEAN, IMAGENET_STD

CIFAR = "weights/resnet20-12fca82f.th"


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ResNet-18 of torchvision for three classes, as somebody who fine-tuned it would save it."""
    models = pytest.importorskip("torchvision.models")
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("theirs") / "fine-tuned.pt"
    torch.save({"epoch": 3, "state_dict": models.resnet18(weights=None, num_classes=3).state_dict()}, path)
    return path


def test_a_published_checkpoint_is_recognised(
    svertka_call: Callable[..., Any], shared_data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "r20.safetensors"
    said = svertka_call("adopt", shared_data / CIFAR, "--out", out, "--json").json
    assert said["model"] == str(out)
    assert (said["net"], said["source"]) == ("resnet20_cifar", "akamaster")
    assert said["published"] == "resnet20_cifar.akamaster"
    assert said["licence"] == "BSD-2-Clause"
    assert said["classes"] == list(class_names("cifar10"))
    assert said["assumed"] == []
    card = read_card(out)
    assert card.metrics == {"cifar10": {"accuracy": 0.9178}}
    assert card.provenance["file"] == "resnet20-12fca82f.th"
    assert card.provenance["digest"].startswith("sha256:12fca82f0bebc413")
    assert card.provenance["from"].startswith("https://github.com/akamaster/")


def test_what_is_adopted_is_exported_verified_and_predicts(
    svertka_call: Callable[..., Any], foreign: Path, tmp_path: Path
) -> None:
    models = pytest.importorskip("torchvision.models")
    (tmp_path / "names.txt").write_text("cat\ndog\n\nhippopotamus\n", encoding="utf-8")
    out, image = tmp_path / "mine.safetensors", tmp_path / "image.png"
    pixels = np.random.default_rng(0).integers(0, 256, (300, 260, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(image)
    names = ("--classes", tmp_path / "names.txt", "--licence", "CC0-1.0")
    answer = svertka_call("adopt", foreign, "--net", "resnet18", "--out", out, *names)
    assert answer.status == 0, answer.err
    assert "names of torchvision; licence: CC0-1.0" in answer.out
    assert "assumed: preprocessing as far as it was not given: that of resnet18.imagenet1k_v1" in answer.out
    assert svertka_call("verify", out).status == 0
    onnx = svertka_call("export", out, "--json").json["model"]
    theirs = models.resnet18(weights=None, num_classes=3).eval()
    theirs.load_state_dict(torch.load(foreign, weights_only=True)["state_dict"])
    way = Preprocess(height=224, width=224, fit="crop", shorter=256, mean=IMAGENET_MEAN, std=IMAGENET_STD)
    with torch.no_grad():
        expected = theirs(torch.from_numpy(way([pixels]))).softmax(1)[0]
    for model in (out, onnx):
        (prediction,) = svertka.predict(model, [image])
        assert prediction.result is not None
        scores = {entry["name"]: entry["score"] for entry in prediction.result.to_json()["classes"]}
        for name, score in zip(("cat", "dog", "hippopotamus"), expected.tolist(), strict=True):
            assert scores[name] == pytest.approx(score, abs=1e-5)


def test_what_is_given_goes_before_what_is_assumed(foreign: Path, tmp_path: Path) -> None:
    adopted = svertka.adopt(
        foreign,
        net="resnet18",
        source="torchvision",
        out=tmp_path / "m.safetensors",
        image_size=112,
        fit="stretch",
        mean=[0.5],
        std=[0.1, 0.2, 0.3],
    )
    assert adopted.preprocess == Preprocess(height=112, width=112, mean=(0.5, 0.5, 0.5), std=(0.1, 0.2, 0.3))
    assert adopted.classes == ("0", "1", "2")
    assert adopted.licence == "unspecified"
    assert adopted.assumed == ("class names: 0 to 2; give them with --classes",)
    assert load_model(adopted.model)[1].arguments == {"classes": 3, "in_channels": 3}


def test_another_size_is_cut_out_in_the_same_proportion(foreign: Path, tmp_path: Path) -> None:
    adopted = svertka.adopt(foreign, net="resnet18", out=tmp_path / "m.safetensors", image_size=448)
    assert (adopted.preprocess.height, adopted.preprocess.shorter) == (448, 512)


def test_safetensors_of_timm_and_the_names_of_imagenet(tmp_path: Path) -> None:
    state = pytest.importorskip("timm").create_model("mobilenetv1_100").state_dict()
    safetensors.torch.save_file(state, tmp_path / "theirs.safetensors")
    adopted = svertka.adopt(tmp_path / "theirs.safetensors", net="mobilenet", out=tmp_path / "ours.safetensors")
    assert adopted.source == "timm"
    assert adopted.published is None
    assert adopted.classes == class_names("imagenet")
    assert adopted.preprocess.mean == (0.5, 0.5, 0.5)


def test_the_checkpoint_itself_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "theirs.safetensors"
    path.write_bytes(b"precious")
    for out in (None, path):
        with pytest.raises(svertka.UserError, match="it is there already"):
            svertka.adopt(path, net="resnet18", out=out)
    assert path.read_bytes() == b"precious"


def test_a_network_for_masks_is_not_adopted(svertka_call: Callable[..., Any], tmp_path: Path) -> None:
    models = pytest.importorskip("torchvision.models.segmentation")
    theirs = models.fcn_resnet50(weights=None, weights_backbone=None, num_classes=3).state_dict()
    torch.save(theirs, tmp_path / "masks.pth")
    answer = svertka_call("adopt", tmp_path / "masks.pth", "--net", "fcn_resnet50")
    assert answer.status == 2
    assert "it is of fcn_resnet50, which finds masks; only classifiers are adopted" in answer.err
    assert len(answer.err.strip().splitlines()) == 1


@pytest.fixture
def state(shared_data: Path) -> dict[str, torch.Tensor]:
    """A published ResNet-20, under the names of its authors."""
    loaded = torch.load(shared_data / CIFAR, map_location="cpu", weights_only=True)["state_dict"]
    return {name.removeprefix("module."): value for name, value in loaded.items()}


def test_wrapped_checkpoints_are_the_same_model(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    optimiser = {"state": {0: {"exp_avg": torch.zeros(3)}}}
    torch.save(state, tmp_path / "plain.pth")
    torch.save({"ema": {f"module._orig_mod.{name}": value for name, value in state.items()}}, tmp_path / "a.pth")
    safetensors.torch.save_file(
        {f"model.net.{name}": value for name, value in state.items()}, tmp_path / "b.safetensors"
    )
    torch.save({"model": state, "optimizer": optimiser, "args": {"lr": 0.1}}, tmp_path / "c.pth")
    weights = set()
    for name in ("plain.pth", "a.pth", "b.safetensors", "c.pth"):
        adopted = svertka.adopt(tmp_path / name, net="resnet20_cifar", out=tmp_path / f"{name}.ours.safetensors")
        weights.add(read_card(adopted.model).weights)
        beside = "the weights are not among 1 other tensors, such as optimizer.state.0.exp_avg"
        assert (beside in adopted.assumed) == (name == "c.pth")
    assert len(weights) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"linear.bias": torch.full((10,), float("nan"))}, ("linear.bias", "not finite")),
        ({"linear.bias": torch.full((10,), 1e39, dtype=torch.float64)}, ("linear.bias", "not finite")),
        ({"linear.bias": torch.zeros(10, dtype=torch.int64)}, ("linear.bias is of int64, not of float32",)),
        ({"linear.bias": torch.zeros(10, dtype=torch.complex64)}, ("linear.bias", "complex64")),
        ({"bn1.running_var": torch.full((16,), -1.0)}, ("odd\u00e9.pth", "outputs that are not finite")),
        ({"bn1.weight": None}, ("begins with conv1.weight [16, 3, 3, 3], bn1.bias [16]", "trunk.conv1.conv.weight")),
    ],
    ids=["nan", "overflow", "whole", "complex", "variance", "missing"],
)
def test_weights_that_cannot_be_adopted(
    change: dict[str, torch.Tensor | None],
    words: tuple[str, ...],
    state: dict[str, torch.Tensor],
    svertka_call: Callable[..., Any],
    tmp_path: Path,
) -> None:
    changed = {name: value for name, value in {**state, **change}.items() if value is not None}
    torch.save(changed, tmp_path / "oddé.pth")
    answer = svertka_call("adopt", tmp_path / "oddé.pth", "--net", "resnet20_cifar")
    assert answer.status == 2
    assert all(word in answer.err for word in words), answer.err
    assert answer.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == [tmp_path / "oddé.pth"]


@pytest.mark.skipif(os.name != "posix", reason="where names are bytes")
def test_a_name_that_is_no_text(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\xff\xe9.pth")
    with path.open("wb") as file:
        torch.save(state, file)
    assert read_card(svertka.adopt(path, net="resnet20_cifar").model).provenance["file"] == "??.pth"

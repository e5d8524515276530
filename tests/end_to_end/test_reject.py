"""Images of something else: refused by their distance, in every engine, and counted."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from svertka.zoo.modelfile import load_model, read_card, save_model

QUICK = ("--engine", "pytorch", "--batch", 16, "--epochs", 2)


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight pictures in gaudy colours, which no digit is."""
    folder = tmp_path_factory.mktemp("foreign")
    generator = np.random.default_rng(0)
    for number in range(8):
        small = generator.integers(0, 256, (4, 4, 3), np.uint8)
        Image.fromarray(small).resize((30, 24), Image.Resampling.NEAREST).save(folder / f"{number}.png")
    return folder


def test_no_more_known_images_are_refused_than_was_asked(refusing: tuple[Path, Any], digits: Path) -> None:
    run, answer = refusing
    assert answer.json["judged_on"] == "val"
    assert 0 <= answer.json["metrics"]["false_reject_rate"] <= 0.05
    card = read_card(run / "model.safetensors")
    assert card.reject_limit is not None
    assert card.arguments["head"]["reject"] is True
    assert {"logits", "distance"} == card.golden[0].outputs.keys()
    assert "Images of these classes that are refused" in (run / "report.html").read_text()
    assert len(list(digits.rglob("*.png"))) == 200


def test_what_is_measured_are_the_class_means_of_training(refusing: tuple[Path, Any], digits: Path) -> None:
    net, card = load_model(refusing[0] / "model.safetensors")
    from svertka.data.preparing import prepare

    prepared = prepare(digits, card.input, val_fraction=0.2, seed=0)
    train = prepared.parts["train"]
    with torch.inference_mode():
        pixels = card.input.normalise(prepared.images.take(train.positions))
        features = net.features(torch.from_numpy(pixels)).numpy()
    labels = np.array(train.labels)
    means = np.stack([features[labels == name].mean(axis=0) for name in card.classes])
    distance = net.head.get_submodule("distance")
    expected = (means - features.mean(axis=0)) * distance.get_buffer("scale").numpy()
    np.testing.assert_allclose(distance.get_buffer("centres").numpy(), expected, atol=0.02)  # kept in half precision


def test_every_engine_proves_the_distance(
    refusing: tuple[Path, Any], svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    said = svertka_call("verify", refusing[0], "--json").json
    assert said["ok"], said
    assert {"pytorch", "onnxruntime"} <= {engine["name"] for engine in said["engines"]}
    # Another mean is another distance, and nothing else.
    net, card = load_model(refusing[0] / "model.safetensors")
    state = net.state_dict()
    state["head.distance.centres"] = state["head.distance.centres"] + 1
    save_model(tmp_path / "moved.safetensors", state, card)
    said = svertka_call("verify", tmp_path / "moved.safetensors", "--json").json
    assert {engine["max_abs_diff"] > 0.01 for engine in said["engines"]} == {True}


def test_torch_and_the_exported_file_refuse_the_same(
    refusing: tuple[Path, Any], digits: Path, foreign: Path, svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    exported = tmp_path / "refusing.onnx"
    assert svertka_call("export", refusing[0], "--out", exported, "--json").json["max_abs_diff"] < 1e-4
    known = sorted((digits / "3").iterdir())[:4]
    ours = svertka_call("predict", refusing[0], foreign, *known, "--json").json
    program = (
        "import sys, svertka.cli\nsvertka.cli.run(sys.argv[1:])\nassert 'torch' not in sys.modules, 'torch was loaded'"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "predict", exported, foreign, *known, "--json"],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    theirs = json.loads(done.stdout)
    assert ["none_of_these" in entry for entry in ours] == [True] * 8 + [False] * 4
    assert ["none_of_these" in entry for entry in theirs] == [True] * 8 + [False] * 4
    for one, other in zip(ours[:8], theirs[:8], strict=True):
        assert one["classes"] == other["classes"] == []
        distance = one["none_of_these"]["distance"]
        assert distance > one["none_of_these"]["limit"]
        assert other["none_of_these"]["distance"] == pytest.approx(distance, rel=1e-4)
    lines = svertka_call("predict", exported, foreign).out.splitlines()
    assert all(": none of these (distance " in line for line in lines)


def test_evaluating_counts_both_errors(
    refusing: tuple[Path, Any], digits: Path, foreign: Path, svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    said = svertka_call("evaluate", refusing[0], digits, "--unknown", foreign, "--json").json
    found = said["rejection"]
    assert found["known"]["images"] == said["images"] == 40
    assert found["known"]["rate"] == said["metrics"]["false_reject_rate"] <= 0.05
    assert found["known"]["low"] <= found["known"]["rate"] <= found["known"]["high"]
    assert (found["unknown"]["images"], found["unknown"]["hits"], found["unknown"]["auroc"]) == (8, 0, 1.0)
    assert found["unknown"]["high"] > 0.2  # of so few images little can be said
    # The digits themselves are as near as digits are.
    (tmp_path / "broken.png").write_bytes(b"no image")
    for number, picture in enumerate(sorted((digits / "3").iterdir())):
        (tmp_path / f"{number}.png").write_bytes(picture.read_bytes())
    same = svertka_call("evaluate", refusing[0], digits, "--unknown", tmp_path, "--json").json["rejection"]["unknown"]
    assert same["rate"] > 0.8
    # 0.5 by chance, ± 0.08 for 20 images beside 40; and a class lies nearer to its mean than others do (0.3 here).
    assert 0.05 < same["auroc"] < 0.95
    assert [Path(item["file"]).name for item in same["skipped"]] == ["broken.png"]
    text = svertka_call("evaluate", refusing[0], digits, "--unknown", foreign).out
    assert "unknown images wrongly accepted: 0 of 8, 0.0%" in text
    assert "AUROC of the distance: 1.0000" in text


@pytest.mark.parametrize(
    "flags",
    [("--freeze", "conv3"), ("--freeze", "none"), ("--head", "kernel_svm"), ("--head", "mlp"), ("--head", "means")],
    ids=" ".join,
)
def test_it_goes_with_every_head_and_with_stages_that_learn(
    flags: tuple[str, ...],
    digits: Path,
    weights: Path,
    foreign: Path,
    plain: tuple[str, ...],
    svertka_call: Callable[..., Any],
    tmp_path: Path,
) -> None:
    run = tmp_path / "run"
    # A rate at which a few epochs are enough to be better than the head alone.
    flags = (*flags, *QUICK[:-1], 8, "--lr", 0.01) if "--freeze" in flags else (*flags, *QUICK)
    answer = svertka_call(
        "train", digits, "--weights", weights, "--reject", 0.05, "--out", run, *flags, *plain, "--json"
    )
    assert answer.status == 0, answer.err
    assert svertka_call("verify", run, "--json").json["ok"]
    found = svertka_call("evaluate", run, digits, "--unknown", foreign, "--json").json["rejection"]
    assert found["known"]["rate"] == pytest.approx(answer.json["metrics"]["false_reject_rate"], abs=0.03)
    assert found["unknown"]["hits"] == 0


def test_resumed_after_training_it_is_the_same_to_the_byte(
    digits: Path, weights: Path, plain: tuple[str, ...], svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    command = (
        "train",
        digits,
        "--weights",
        weights,
        "--reject",
        0.05,
        "--freeze",
        "conv3",
        "--out",
        run,
        *QUICK,
        *plain,
    )
    assert svertka_call(*command).status == 0
    model = (run / "model.safetensors").read_bytes()
    (run / "run.json").unlink()
    assert svertka_call(*command, "--resume").status == 0
    assert (run / "model.safetensors").read_bytes() == model


def test_another_head_forgets_the_old_classes(
    refusing: tuple[Path, Any], digits: Path, plain: tuple[str, ...], svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    answer = svertka_call("train", digits, "--weights", refusing[0], "--out", run, *QUICK, *plain, "--json")
    assert answer.status == 0, answer.err
    assert "false_reject_rate" not in answer.json["metrics"]
    net, card = load_model(run / "model.safetensors")
    assert net.output_names == ("logits",)
    assert card.reject_limit is None


@pytest.mark.parametrize("freeze", ["all", "conv3"])
def test_the_head_of_a_run_can_go_on_learning(
    freeze: str,
    refusing: tuple[Path, Any],
    digits: Path,
    plain: tuple[str, ...],
    svertka_call: Callable[..., Any],
    tmp_path: Path,
) -> None:
    run = tmp_path / "run"
    flags = ("--weights", refusing[0], "--head", "own", "--freeze", freeze, "--out", run)
    answer = svertka_call("train", digits, *flags, *QUICK, *plain, "--json")
    assert answer.status == 0, answer.err
    assert answer.json["metrics"]["accuracy"] > 0.3
    net, card = load_model(run / "model.safetensors")
    assert net.output_names == ("logits",)
    assert "reject" not in card.arguments["head"]
    assert card.reject_limit is None


def test_too_few_images_to_promise_anything_are_said(
    few_digits: Path, weights: Path, plain: tuple[str, ...], svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    flags = ("--weights", weights, "--reject", 0.01, "--out", tmp_path / "run")
    answer = svertka_call("train", few_digits, *flags, *QUICK, *plain)
    assert answer.status == 0, answer.err
    assert "10 validation images are too few to promise" in answer.err


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--head", "own"), "--head own has none"),
        (("--val-fraction", 0), "nothing is held out"),
        (("--weights", ""), "give --weights"),
        (("--reject", 1), "between 0 and 0.5"),
        (("--reject", "never"), "--reject"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_where_it_cannot_hold(
    flags: tuple[object, ...],
    words: str,
    digits: Path,
    weights: Path,
    plain: tuple[str, ...],
    svertka_call: Callable[..., Any],
    tmp_path: Path,
) -> None:
    begin = () if "--weights" in flags else ("--weights", weights)
    flags = () if "--weights" in flags else flags
    reject = () if "--reject" in flags else ("--reject", 0.05)
    run = tmp_path / "run"
    answer = svertka_call("train", digits, *begin, *reject, *flags, "--out", run, *plain, "--json")
    assert answer.status == 2
    assert words in answer.err
    assert answer.err.count("\n") == 1
    assert not run.exists()


def test_several_labels_cannot_be_refused(
    digits: Path, weights: Path, plain: tuple[str, ...], svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    rows = []
    for number, picture in enumerate(sorted(digits.rglob("*.png"))[::10]):
        (tmp_path / f"{number}.png").write_bytes(picture.read_bytes())
        rows.append(f"{number}.png,{'a;b' if number % 2 else 'b'}")
    (tmp_path / "labels.csv").write_text("\n".join(["file,label", *rows]))
    flags = ("--weights", weights, "--reject", 0.05, "--out", tmp_path / "run")
    answer = svertka_call("train", tmp_path / "labels.csv", *flags, *plain)
    assert answer.status == 2
    assert "it may have several labels" in answer.err


def test_a_model_that_refuses_nothing_cannot_be_tried(
    trained: tuple[Path, Any], digits: Path, foreign: Path, svertka_call: Callable[..., Any]
) -> None:
    answer = svertka_call("evaluate", trained[0], digits, "--unknown", foreign)
    assert answer.status == 2
    assert "train it with --reject" in answer.err
    assert svertka_call("evaluate", trained[0], digits, "--json").json["rejection"] is None


def test_unknown_images_that_are_not_there(
    refusing: tuple[Path, Any], digits: Path, svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    for place in (tmp_path, tmp_path / "absent"):
        answer = svertka_call("evaluate", refusing[0], digits, "--unknown", place)
        assert answer.status == 2
        assert "no image is there" in answer.err
    (tmp_path / "broken.png").write_bytes(b"no image")
    answer = svertka_call("evaluate", refusing[0], digits, "--unknown", tmp_path)
    assert answer.status == 2
    assert "the only unknown image cannot be read" in answer.err

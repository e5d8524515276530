"""Exporting by measurement, end to end: what is chosen is proved, what is worse is refused, and all engines agree."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import svertka
from svertka.commands.export import validating as _validating
from svertka.commands.export.validating import Score
from svertka.deploy import choosing
from svertka.deploy.onnx import with_card
from svertka.runtime.engines import Engine, OpenVinoEngine
from svertka.runtime.image import read_image
from svertka.runtime.onnx_card import read_onnx_card
from svertka.runtime.predictor import Predictor
from svertka.workflows.models import open_predictor

pytest.importorskip("onnxscript")
pytest.importorskip("nncf")
pytest.importorskip("openvino")


@pytest.fixture(autouse=True)
def _no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "_SECONDS", 0.0)
    monkeypatch.setattr(choosing, "_CALLS", 1)


@pytest.fixture(scope="module")
def model(digits: Path, tmp_path_factory: pytest.TempPathFactory, svertka_call: Callable[..., Any]) -> Path:
    """A run of LeNet-5, which has convolutions, on digits."""
    run = tmp_path_factory.mktemp("runs") / "lenet"
    plain = ("--precision", "fp32", "--layout", "channels_first", "--device", "cpu", "--threads", 1)
    answer = svertka_call("train", digits, "--net", "lenet5", "--epochs", 8, "--out", run, "--lr", 0.005, *plain)
    assert answer.status == 0, answer.err
    return run


@pytest.fixture(scope="module")
def int8(model: Path, digits: Path, tmp_path_factory: pytest.TempPathFactory, svertka_call: Callable[..., Any]) -> Any:
    """What exporting in int8 said, and the file."""
    path = tmp_path_factory.mktemp("exported") / "int8.onnx"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choosing, "_SECONDS", 0.0)
        patch.setattr(choosing, "_CALLS", 1)
        command = ("--data", digits, "--precision", "int8", "--max-drop", 5, "--out", path, "--threads", 1)
        answer = svertka_call("export", model, *command, "--json")
    assert answer.status == 0, answer.err
    return answer.json, path


def test_int8_is_measured_on_the_part_that_was_held_out(int8: Any) -> None:
    said, path = int8
    assert said["deployment"]["precision"] == "int8"
    measured = said["measured"]
    assert measured["judged_on"] == "val"
    assert measured["images"] == 40
    assert measured["metric"] == "accuracy"
    assert {(trial["engine"], trial["precision"]) for trial in measured["trials"]} == {
        ("onnxruntime", "int8"),
        ("openvino", "int8"),
    }
    for trial in measured["trials"]:
        assert trial["drop"] == pytest.approx(100 * (measured["score"] - trial["score"]))
        assert trial["drop"] <= 5
        assert [timing["batch"] for timing in trial["timings"]] == [1, 8]
    assert sum(trial["refused"] is None for trial in measured["trials"]) == 1
    card = read_onnx_card(path)
    assert card.deployment is not None
    assert card.deployment.to_json() == said["deployment"]
    assert card.provenance["export"] == measured
    assert said["bytes"] == path.stat().st_size


def test_what_was_quantised_proves_itself_in_both_engines(int8: Any, svertka_call: Callable[..., Any]) -> None:
    said, path = int8
    answer = svertka_call("verify", path, "--json")
    assert answer.status == 0
    assert [engine["name"] for engine in answer.json["engines"]] == ["onnxruntime", "openvino"]
    assert answer.json["tolerance"] == said["deployment"]["tolerance"]
    assert all(engine["max_abs_diff"] <= answer.json["tolerance"] for engine in answer.json["engines"])
    assert 1e-4 <= answer.json["tolerance"] < 5


def test_a_quantised_file_that_was_changed_does_not_verify(
    int8: Any, tmp_path: Path, svertka_call: Callable[..., Any]
) -> None:
    onnx = pytest.importorskip("onnx")
    _, path = int8
    model = onnx.load(path)
    scales = [tensor for tensor in model.graph.initializer if tensor.name.startswith("scale_")]
    for tensor in scales[:2]:
        tensor.CopyFrom(onnx.numpy_helper.from_array(3 * onnx.numpy_helper.to_array(tensor), tensor.name))
    changed = tmp_path / "changed.onnx"
    changed.write_bytes(with_card(model, read_onnx_card(path)))  # by somebody who knows of the digest
    answer = svertka_call("verify", changed, "--json")
    assert answer.status == 1
    assert not answer.json["ok"]


def test_quantised_predictions_are_those_of_the_model(int8: Any, model: Path, digits: Path) -> None:
    exact = svertka.predict(model, [digits])
    found = svertka.predict(int8[1], [digits])
    same = [
        one.to_json()["classes"][0]["name"] == other.to_json()["classes"][0]["name"]
        for one, other in zip(exact, found, strict=True)
    ]
    assert np.mean(same) > 0.95


def worse(engine: Engine) -> bool:
    return isinstance(engine, OpenVinoEngine)


def test_what_scores_worse_is_refused_and_listed(
    model: Path, digits: Path, tmp_path: Path, svertka_call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    score = _validating.Validation.score

    def judged(validation: _validating.Validation, engine: Engine) -> Score:
        found = score(validation, engine)
        return found._replace(value=found.value - 0.1) if worse(engine) else found

    monkeypatch.setattr(_validating.Validation, "score", judged)
    command = ("export", model, "--data", digits, "--precision", "fp32", "--threads", 1, "--out")
    answer = svertka_call(*command, tmp_path / "model.onnx")
    assert answer.status == 0, answer.err
    lines = {line.split()[0]: line for line in answer.out.splitlines() if line.startswith(("onnx", "open"))}
    assert lines["onnxruntime"].endswith("taken")
    assert lines["openvino"].endswith("loses 10.00 points")
    monkeypatch.setattr("svertka.commands.export.deploying._ENGINES", ("openvino",))
    answer = svertka_call(*command, tmp_path / "none.onnx")
    assert answer.status == 2
    assert answer.err.splitlines()[-1].startswith("svertka: nothing was written: openvino, fp32: loses 10.00 points")
    assert not (tmp_path / "none.onnx").exists()


def test_layers_are_left_in_single_precision_until_the_score_holds(
    model: Path, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnx = pytest.importorskip("onnx")
    score, tried = _validating.Validation.score, []

    def judged(validation: _validating.Validation, engine: Engine) -> Score:
        found = score(validation, engine)
        path = getattr(engine, "_path", None)  # OpenVINO's; the other has the fp32 graph first
        if path is None or path.name != "int8.onnx":
            return found
        quantised = sum(node.op_type == "DequantizeLinear" for node in onnx.load(path).graph.node)
        tried.append(quantised)
        return found._replace(value=found.value - (0.2 if quantised == max(tried) else 0))

    monkeypatch.setattr(_validating.Validation, "score", judged)
    exported = svertka.export(
        model, data=digits, precision="int8", out=tmp_path / "model.onnx", max_drop=5, threads=1, progress=False
    )
    assert exported.measured is not None
    (left,) = exported.measured["left_in_single_precision"]
    made = {output: node.op_type for node in onnx.load(exported.model).graph.node for output in node.output}
    (layer,) = (node for node in onnx.load(exported.model).graph.node if node.name == left)
    assert made.get(layer.input[1]) != "DequantizeLinear"
    assert tried[1] < tried[0]


def test_a_head_that_reads_several_stages_stays_in_single_precision(
    weights: Path, digits: Path, tmp_path: Path, svertka_call: Callable[..., Any]
) -> None:
    onnx = pytest.importorskip("onnx")
    run = tmp_path / "run"
    flags = ("--weights", weights, "--head", "linear", "--freeze", "all", "--engine", "pytorch", "--out", run)
    answer = svertka_call("train", digits, *flags)
    assert answer.status == 0, answer.err
    exported = svertka.export(
        run, data=digits, precision="int8", out=tmp_path / "model.onnx", max_drop=10, threads=1, progress=False
    )
    graph = onnx.load(exported.model).graph
    made = {output: node.op_type for node in graph.node for output in node.output}
    kinds = {(node.op_type, made.get(node.input[1])) for node in graph.node if node.op_type in ("Conv", "Gemm")}
    assert kinds == {("Conv", "DequantizeLinear"), ("Gemm", None)}
    assert exported.measured is not None
    assert len(exported.measured["left_in_single_precision"]) == 1
    assert svertka.verify(exported.model).ok


def test_everything_that_is_here_is_tried_by_default(model: Path, digits: Path, tmp_path: Path) -> None:
    exported = svertka.export(model, data=digits, out=tmp_path / "model.onnx", max_drop=5, threads=1, progress=False)
    assert exported.measured is not None
    trials = {(trial["engine"], trial["precision"]): trial for trial in exported.measured["trials"]}
    assert trials.keys() == {
        ("onnxruntime", "fp32"),
        ("openvino", "fp32"),
        ("openvino", "bf16"),
        ("onnxruntime", "int8"),
        ("openvino", "int8"),
    }
    assert trials["onnxruntime", "fp32"]["drop"] == 0
    assert svertka.verify(exported.model).ok


def test_pixels_go_in_where_preprocessing_is_in_the_graph(model: Path, digits: Path, tmp_path: Path) -> None:
    exported = svertka.export(model, pixels=True, out=tmp_path / "pixels.onnx")
    assert exported.deployment is not None
    assert exported.deployment.pixels
    assert svertka.verify(exported.model).ok
    exact, found = svertka.predict(model, [digits]), svertka.predict(exported.model, [digits])
    for one, other in zip(exact, found, strict=True):
        scores = {entry["name"]: entry["score"] for entry in other.to_json()["classes"]}
        assert all(abs(scores[entry["name"]] - entry["score"]) < 0.05 for entry in one.to_json()["classes"])
    with pytest.raises(svertka.UserError, match="prepares images itself"):
        svertka.evaluate(exported.model, digits, progress=False)


def odd(folder: Path) -> list[Path]:
    """A hundred images of odd modes and sizes, none square."""
    rng = np.random.default_rng(0)
    modes = ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"]
    files = []
    folder.mkdir()
    for number in range(100):
        mode = modes[number % len(modes)]
        height = int(rng.integers(3, 90))
        width = height + 1 + int(rng.integers(0, 60))
        if number % 2:
            height, width = width, height
        if mode in ("I;16", "I"):
            picture = Image.fromarray(rng.integers(0, 60000, (height, width)).astype(np.uint16))
            picture = picture.convert("I") if mode == "I" else picture
        else:
            picture = Image.fromarray(rng.integers(0, 256, (height, width, 4), np.uint8))
            picture = picture if mode == "RGBA" else picture.convert("RGB").convert(mode)
        files.append(folder / f"{number}.tif")
        picture.save(files[-1])
    return files


def test_trainer_and_engines_say_the_same_of_a_hundred_odd_images(model: Path, tmp_path: Path) -> None:
    exported = svertka.export(model, out=tmp_path / "model.onnx").model
    images = [read_image(file) for file in odd(tmp_path / "odd")]
    assert all(image.shape[0] != image.shape[1] for image in images)
    card = read_onnx_card(exported)
    predictors = [
        open_predictor(model),
        open_predictor(exported),
        *(Predictor(OpenVinoEngine(exported, piece=piece), card) for piece in (0, 1, 4)),
    ]
    said = [
        [
            {entry["name"]: entry["score"] for entry in result.to_json()["classes"]}
            for result in predictor.predict(images)
        ]
        for predictor in predictors
    ]
    for one in said[1:]:
        for found, expected in zip(one, said[0], strict=True):
            assert found.keys() == expected.keys()
            assert max(abs(found[name] - expected[name]) for name in found) < 1e-3


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("--precision", "int8"), "has to be measured on your images"),
        (("--precision", "auto"), "has to be measured on your images"),
        (("--max-drop", -1), "between 0 and 100"),
        (("--threads", 0), "--threads is between 1 and"),
        (("--threads", 1), "give --data, or leave --threads out"),
        (("--data", "nowhere"), "nowhere"),
    ],
    ids=str,
)
def test_a_mistake_is_one_line(
    arguments: tuple[object, ...], what: str, model: Path, tmp_path: Path, svertka_call: Callable[..., Any]
) -> None:
    answer = svertka_call("export", model, "--out", tmp_path / "model.onnx", *arguments)
    assert answer.status == 2
    assert what in answer.err
    assert len(answer.err.splitlines()) == 1
    assert not (tmp_path / "model.onnx").exists()


def test_a_network_for_one_size_cannot_take_any(
    tiny_model: Path, tmp_path: Path, svertka_call: Callable[..., Any]
) -> None:
    answer = svertka_call("export", tiny_model, "--any-size", "--out", tmp_path / "model.onnx")
    assert answer.status == 2
    assert "images of one size only" in answer.err
    assert not (tmp_path / "model.onnx").exists()


def test_any_size_is_left_open_where_the_network_allows_it(
    weights: Path, tmp_path: Path, svertka_call: Callable[..., Any]
) -> None:
    path = tmp_path / "model.onnx"
    answer = svertka_call("export", weights, "--any-size", "--out", path)
    assert answer.status == 0, answer.err
    engine = open_predictor(path).engine
    for height, width in ((16, 16), (24, 40), (64, 32)):
        assert engine.run(np.zeros((2, 3, height, width), np.float32))["logits"].shape == (2, 5)


# --- predict ------------------------------------------------------------------------------------------------------


def test_a_pattern_names_files_and_a_table_holds_what_is_said(
    model: Path, digits: Path, tmp_path: Path, svertka_call: Callable[..., Any]
) -> None:
    table = tmp_path / "said.csv"
    answer = svertka_call("predict", model, digits / "[37]" / "*.png", "--out", table, "--json")
    assert answer.status == 0, answer.err
    files = sorted([*(digits / "3").iterdir(), *(digits / "7").iterdir()])
    assert sorted(entry["file"] for entry in answer.json) == sorted(map(str, files))
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row, entry in zip(rows, answer.json, strict=True):
        assert row["file"] == entry["file"]
        assert row["prediction"] == entry["classes"][0]["name"]
        assert float(row["score"]) == pytest.approx(entry["classes"][0]["score"], abs=1e-5)
        assert row["error"] == ""
    document = tmp_path / "said.json"
    again = svertka_call("predict", model, digits / "[37]" / "*.png", "--out", document)
    assert again.status == 0
    assert json.loads(document.read_text()) == answer.json


def test_folders_match_and_nothing_is_named_twice(model: Path, digits: Path, svertka_call: Callable[..., Any]) -> None:
    answer = svertka_call("predict", model, digits / "**", "--json")
    assert len(answer.json) == 200


def test_a_pattern_that_matches_nothing_is_a_mistake(
    model: Path, digits: Path, svertka_call: Callable[..., Any]
) -> None:
    answer = svertka_call("predict", model, digits / "*.jpg")
    assert answer.status == 2
    assert "nothing matches" in answer.err


def test_frames_of_a_video_are_predicted_each_by_itself(
    model: Path, digits: Path, tmp_path: Path, svertka_call: Callable[..., Any]
) -> None:
    av: Any = pytest.importorskip("av")
    image = read_image(sorted((digits / "4").iterdir())[0])
    large = np.kron(image, np.ones((8, 8, 1), np.uint8))
    clip = tmp_path / "clip.mp4"
    with av.open(str(clip), "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = large.shape[1], large.shape[0], "yuv420p"
        for _ in range(15):
            for packet in stream.encode(av.VideoFrame.from_ndarray(large, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    still = sorted((digits / "4").iterdir())[0]
    answer = svertka_call("predict", model, still, clip, "--out", tmp_path / "out", "--json")
    assert answer.status == 0, answer.err
    assert [Path(entry["file"]).name for entry in answer.json] == [
        still.name,
        "clip@0.00s.mp4",
        "clip@1.00s.mp4",
        "clip@2.00s.mp4",
    ]
    assert len({entry["classes"][0]["name"] for entry in answer.json}) == 1
    assert (tmp_path / "out" / "clip@1.00s-drawn.png").is_file()
    wrong = svertka_call("predict", model, clip, "--every", "0s")
    assert wrong.status == 2
    assert "above 0" in wrong.err

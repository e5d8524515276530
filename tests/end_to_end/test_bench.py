"""``svertka bench``: what is measured, and that it hangs together; nothing here depends on how fast the machine is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import svertka
from svertka.commands.bench.machines import MachineLine, known_machines, save_machines, with_machine
from svertka.runtime.cores import available_cores

Call = Callable[..., Any]


@pytest.fixture(scope="module")
def benched(trained: tuple[Path, Any], svertka_call: Call, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Where a run and a network of the registry were measured, and what was said."""
    folder = tmp_path_factory.mktemp("bench")
    other = MachineLine("Another", 64, {"gflops": 1.0, "gflops64": 0.5, "bandwidth": 2.0, "threads": 64}, {})
    save_machines(folder / "machines.json", [other])
    flags = ("--batch", 1, 3, "--threads", 1, "--seconds", 0.01)
    answer = svertka_call(
        "bench",
        *(trained[0], "resnet8_cifar"),
        *("--save", folder / "machines.json", "--out", folder / "page", *flags, "--json"),
    )
    assert (answer.status, answer.err) == (0, "")
    return folder, answer.json


def test_every_engine_is_measured_at_every_batch(benched: Any, trained: tuple[Path, Any]) -> None:
    told = benched[1]
    engines = {"pytorch", "onnxruntime", "openvino"} - told["absent"].keys()
    assert {"pytorch", "onnxruntime"} <= engines
    names = [str(trained[0]), "resnet8_cifar 32"]
    assert [(one["name"], one["engine"], one["batch"], one["threads"]) for one in told["figures"]] == [
        (name, engine, batch, 1)
        for name in names
        for batch in (1, 3)
        for engine in ("pytorch", "onnxruntime", "openvino")
        if engine in engines
    ]
    macs = {model["name"]: model["macs"] for model in told["models"]}
    (peaks,) = told["peaks"]
    assert peaks["gflops"] > peaks["gflops64"] > 0
    assert peaks["bandwidth"] > 0
    for figure in told["figures"]:
        assert 0 < figure["p50"] <= figure["p99"]
        assert figure["calls"] >= 10
        assert figure["gflops"] == pytest.approx(2e-9 * macs[figure["name"]] * figure["throughput"])
        assert figure["of_peak"] == pytest.approx(figure["gflops"] / peaks["gflops"])
        assert 0 < figure["attainable"] <= 1
        assert figure["memory"] is None or 20e6 < figure["memory"] < 4e9


def test_models_are_told_with_what_is_known_of_them(benched: Any, trained: tuple[Path, Any]) -> None:
    run, net = benched[1]["models"]
    assert run["size"] == [32, 32]
    assert run["parameters"] == 61_706
    assert run["bytes"] == (trained[0] / "model.safetensors").stat().st_size
    assert run["score"] == pytest.approx(trained[1].json["metrics"]["accuracy"])
    assert run["judged_by"] == "accuracy on val of classification"
    assert run["net"] is None
    assert net["net"] == "resnet8_cifar 32"


def test_the_table_of_machines_grows_by_this_one(benched: Any, svertka_call: Call) -> None:
    folder, told = benched
    assert told["table"] == str(folder / "machines.json")
    other, this = told["machines"]
    assert other["name"] == "Another"
    assert this["cores"] == available_cores()
    assert this["peaks"] == told["peaks"][-1]
    assert this["nets"].keys() == {"resnet8_cifar 32"}
    assert json.loads((folder / "machines.json").read_text())["machines"] == told["machines"]
    # Measured again, it stays one line, which keeps what was known of other networks.
    flags = ("--batch", 1, "--threads", 1, "--seconds", 0.01, "--engine", "onnxruntime")
    answer = svertka_call("bench", "lenet5", *flags, "--save", folder / "machines.json")
    assert answer.status == 0, answer.err
    assert "Another" in answer.out
    lines = known_machines(folder / "machines.json")
    assert [line.name for line in lines] == ["Another", this["name"]]
    assert lines[1].nets.keys() == {"resnet8_cifar 32", "lenet5 32"}


def test_the_page_shows_accuracy_against_speed(benched: Any) -> None:
    folder, told = benched
    assert told["report"] == str(folder / "page" / "bench.html")
    page = (folder / "page" / "bench.html").read_text()
    assert "Accuracy on val of classification, against time" in page
    assert "Another" in page


def test_an_exported_graph_is_measured_without_pytorch(tiny_onnx: Path, svertka_call: Call, tmp_path: Path) -> None:
    flags = ("--batch", 2, "--threads", 1, "--seconds", 0.01, "--save", tmp_path / "machines.json")
    answer = svertka_call("bench", tiny_onnx, *flags, "--json")
    assert answer.status == 0, answer.err
    told = answer.json
    assert {figure["engine"] for figure in told["figures"]} <= {"onnxruntime", "openvino"}
    assert "pytorch" in told["absent"]
    assert told["models"][0]["macs"] == 4 * 4 * 3 * 3


def test_a_graph_that_prepares_images_is_measured_with_pixels(
    weights: Path, svertka_call: Call, tmp_path: Path
) -> None:
    pytest.importorskip("onnxscript")
    exported = svertka.export(weights, out=tmp_path / "model.onnx", pixels=True).model
    flags = ("--batch", 2, "--threads", 1, "--seconds", 0.01, "--save", tmp_path / "machines.json")
    told = svertka_call("bench", exported, "--engine", "onnxruntime", *flags, "--json").json
    assert [(one["engine"], one["precision"], one["batch"]) for one in told["figures"]] == [("onnxruntime", "fp32", 2)]


def test_precisions_are_measured_beside_each_other(svertka_call: Call, tmp_path: Path) -> None:
    pytest.importorskip("nncf")
    flags = ("--batch", 1, "--threads", 1, "--seconds", 0.01, "--save", tmp_path / "machines.json")
    answer = svertka_call("bench", "resnet8_cifar", "--precision", "int8", "fp32", "bf16", *flags, "--json")
    assert answer.status == 0, answer.err
    told = answer.json
    measured = {(one["engine"], one["precision"]) for one in told["figures"]}
    assert {("pytorch", "fp32"), ("onnxruntime", "fp32"), ("onnxruntime", "int8")} <= measured
    assert "resnet8_cifar 32 is not there in int8 for pytorch" in told["absent"]["pytorch in int8"]
    assert "pytorch in bf16" in told["absent"]
    if "openvino" not in told["absent"]:
        assert ("openvino", "int8") in measured
        assert (("openvino", "bf16") in measured) != ("openvino in bf16" in told["absent"])


def test_a_machine_takes_its_own_place() -> None:
    peaks = {"gflops": 1.0}
    first, other = MachineLine("A", 2, peaks, {"x": {"images": 1}}), MachineLine("A", 4, peaks, {})
    again = MachineLine("A", 2, {"gflops": 2.0}, {"y": {"images": 2}})
    assert with_machine([first, other], again) == [
        MachineLine("A", 2, {"gflops": 2.0}, {"x": {"images": 1}, "y": {"images": 2}}),
        other,
    ]
    assert with_machine([other], first) == [other, first]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nothing",), "no such model"),
        (("lenet5", "--engine", "onnx"), "unknown engine 'onnx'; one of: pytorch, onnxruntime, openvino"),
        (("lenet5", "--batch", 0), "batch is 0; it must be between 1 and 4,096"),
        (("lenet5", "--threads", 100_000), "threads is 100000; it must be between 1 and"),
        (("lenet5", "--seconds", 0), "seconds is 0; it must be above 0"),
        (("lenet5", "--image-size", 20), "lenet5 takes images from 32×32 on"),
    ],
    ids=lambda value: str(value[-2:]) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_is_said_in_a_line(
    arguments: tuple[Any, ...], said: str, svertka_call: Call, tmp_path: Path
) -> None:
    answer = svertka_call("bench", *arguments, "--save", tmp_path / "machines.json")
    assert answer.status == 2
    assert said in answer.err.splitlines()[-1]
    assert not (tmp_path / "machines.json").exists()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 2, "machines": []}', '{"version": 1, "machines": [{}]}'])
def test_something_else_than_a_table_is_refused_before_anything_is_measured(
    text: str, svertka_call: Call, tmp_path: Path
) -> None:
    file = tmp_path / "machines.json"
    file.write_text(text)
    answer = svertka_call("bench", "lenet5", "--save", file)
    assert answer.status == 2
    assert "no table of machines" in answer.err
    assert file.read_text() == text

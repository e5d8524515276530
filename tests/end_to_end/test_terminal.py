"""What files say is harmless where it is printed: no terminal obeys a name."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import svertka.cli
from svertka.errors import UserError, harmless

Call = Callable[..., Any]
EVIL = "\x1b]0;owned\x07\x9b31m\u202egnp"
DANGEROUS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def test_controls_are_shown_and_text_stays() -> None:
    assert harmless("a\x1b[31m\x07\x9b\u202e\r") == "a\\x1b[31m\\x07\\x9b\\u202e\\r"
    assert harmless("свёртка\t猫\n👩‍🔬 é") == "свёртка\t猫\n👩‍🔬 é"
    assert "\x1b" not in str(UserError(EVIL, where=EVIL, mend=EVIL))


@pytest.fixture(scope="module")
def evil(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders, files and a broken file with names that terminals would obey."""
    folder = tmp_path_factory.mktemp("evil") / f"data{EVIL}"
    for number, label in enumerate((f"cat{EVIL}", "dog")):
        (folder / label).mkdir(parents=True)
        for index in range(6):
            Image.new("L", (32, 32), 20 * index + number).save(folder / label / f"{index}{EVIL}.png")
    (folder / "dog" / f"broken{EVIL}.png").write_bytes(b"nothing")
    return folder


def test_every_command_prints_names_harmlessly(evil: Path, svertka_call: Call, tmp_path: Path) -> None:
    run = tmp_path / f"run{EVIL}"
    image = next(path for path in sorted((evil / "dog").iterdir()) if "broken" not in path.name)
    commands: list[tuple[object, ...]] = [
        ("check", evil),
        ("train", evil, "--net", "perceptron", "--image-size", 8, "--epochs", 1, "--threads", 1, "--out", run),
        ("evaluate", run, evil),
        ("predict", run, evil),
        ("predict", run, tmp_path / f"gone{EVIL}.png"),
        ("diagnose", run),
        ("convert", evil, tmp_path / f"copy{EVIL}", "--format", "csv"),
        ("verify", run),
        ("check", tmp_path / f"nowhere{EVIL}"),
        ("train", evil, f"--net={EVIL}"),
        ("explain", run, image, "--out", tmp_path / f"page{EVIL}", "--method", "saliency"),
    ]
    for command in commands:
        answer = svertka_call(*command)
        assert answer.status in (0, 1, 2), command
        assert not DANGEROUS.search(answer.out + answer.err), (command[0], answer.out, answer.err)


def test_json_stays_exact(evil: Path, svertka_call: Call) -> None:
    found = json.loads(svertka_call("check", evil, "--json").out)
    assert f"cat{EVIL}" in found["parts"]["all"]


def test_what_nobody_foresaw_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("tensor a (3)\nmust match \x1b[31mtensor b")

    monkeypatch.setattr("svertka.cli.verify.run_verify", fail)
    assert svertka.cli.run(["verify", "model.onnx"]) == 2
    error = capsys.readouterr().err
    assert error == (
        "svertka: unexpected RuntimeError: tensor a (3) must match \\x1b[31mtensor b; this is a fault of svertka, "
        "and --debug shows where\n"
    )
    with pytest.raises(RuntimeError):
        svertka.cli.run(["verify", "model.onnx", "--debug"])


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--net", "efficientnet_lite0", "--freeze", "all"), "--freeze is about trained weights"),
        (("--head", "linear"), "--head is about trained weights"),
        (("--taps", "auto"), "--taps is about trained weights"),
        (("--engine", "auto"), "--engine is about trained weights"),
        (("--momentum", "0.9", "--optimizer", "adam"), "--momentum does nothing with --optimizer adam"),
        (("--step-epochs", "5", "--schedule", "cosine"), "--step-epochs does nothing with --schedule cosine"),
        (("--net", "ssd"), "ssd predicts boxes, and the annotations are for classification; give --net resnet20_cifar"),
    ],
)
def test_what_is_typed_is_known_though_it_equals_the_default(
    flags: tuple[str, ...], words: str, few_digits: Path, svertka_call: Call, tmp_path: Path
) -> None:
    answer = svertka_call("train", few_digits, "--epochs", 1, "--out", tmp_path / "run", *flags)
    assert answer.status == 2
    assert words in answer.err.splitlines()[-1]
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("given", [{"engine": "pytorch"}, {"recipe": svertka.Recipe(engine="pytorch")}], ids=str)
def test_an_engine_without_frozen_stages_is_refused_in_python_too(given: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(svertka.UserError, match="--engine is about trained weights, and lenet5 begins with random"):
        svertka.train(tmp_path, out=tmp_path / "run", progress=False, **given)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("check", "--augment", "crop"), "--augment is about what --show-augmented shows"),
        (("export", "--max-drop", "0.5"), "--max-drop is about what is measured"),
        (("export", "--threads", "1"), "--threads is about what is measured"),
    ],
)
def test_flags_that_do_nothing_are_refused(
    command: tuple[str, ...], words: str, few_digits: Path, tiny_model: Path, svertka_call: Call
) -> None:
    name, *flags = command
    answer = svertka_call(name, few_digits if name == "check" else tiny_model, *flags)
    assert answer.status == 2
    assert words in answer.err

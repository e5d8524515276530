"""Several labels an image, the whole way: from a CSV, from scratch and from weights, to a file that needs no torch."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import f1_score

from svertka.zoo.modelfile import read_card

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (40, 40, 230)}
SHARES = {"red": 0.5, "green": 0.4, "blue": 0.12}


def write(folder: Path, count: int, seed: int) -> None:
    """Squares of some of three colours on noisy grey, and a CSV that names the colours; blue is rare."""
    generator = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    with (folder / "labels.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "label", "split"])
        for number in range(count):
            image = generator.integers(90, 160, (32, 32, 3), np.uint8)
            names = [name for name, share in SHARES.items() if generator.random() < share]
            for name in names:
                top, left = generator.integers(0, 24, 2)
                image[top : top + 8, left : left + 8] = COLOURS[name]
            Image.fromarray(image).save(folder / f"{number}.png")
            rows.writerow([f"{number}.png", ";".join(names), "test" if number % 5 == 0 else "train"])


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "squares"
    write(folder, 300, 0)
    return folder / "labels.csv"


@pytest.fixture(scope="module")
def learnt(
    squares: Path, plain: tuple[str, ...], svertka_call: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Any]:
    run = tmp_path_factory.mktemp("runs") / "squares"
    recipe = ("--net", "lenet5", "--channels", 3, "--epochs", 20, "--batch", 16, "--lr", 0.003, "--optimizer", "adam")
    answer = svertka_call("train", squares, "--out", run, *recipe, "--augment", "none", *plain, "--json")
    assert answer.status == 0, answer.err
    return run, answer


def test_it_learns_and_its_thresholds_stand_in_the_card(learnt: tuple[Path, Any]) -> None:
    run, answer = learnt
    said = answer.json
    assert said["judged_on"] == "test"
    assert said["metrics"].keys() == {"macro_f1", "micro_f1", "accuracy", "map", "loss"}
    assert said["metrics"]["macro_f1"] > 0.8
    card = read_card(run / "model.safetensors")
    assert card.task == "multilabel"
    assert card.classes == ("blue", "green", "red")
    assert len(card.thresholds) == 3
    report = (run / "report.html").read_text()
    assert "test images exactly their labels" in report
    assert "Label by label" in report


def test_evaluating_again_gives_the_same_and_says_recall_by_label(
    learnt: tuple[Path, Any], squares: Path, svertka_call: Callable[..., Any]
) -> None:
    run, answer = learnt
    said = svertka_call("evaluate", run, squares, "--json").json
    assert said["metrics"] == pytest.approx(answer.json["metrics"], rel=1e-5)
    assert [row["class"] for row in said["per_class"]] == ["blue", "green", "red"]
    assert [row["threshold"] for row in said["per_class"]] == list(read_card(run / "model.safetensors").thresholds)
    assert said["confusion"] is None
    lines = svertka_call("evaluate", run, squares).out.splitlines()
    assert lines[2].split()[:4] == ["class", "images", "recall", "precision"]
    # Thresholds were chosen where their F1 is largest, so on validation no label gains by the default.
    chosen = svertka_call("evaluate", run, squares, "--part", "val", "--json").json["metrics"]["macro_f1"]
    assert chosen == pytest.approx(read_card(run / "model.safetensors").metrics["val"]["macro_f1"])


def test_what_is_predicted_is_what_was_judged(
    learnt: tuple[Path, Any], squares: Path, svertka_call: Callable[..., Any]
) -> None:
    run, answer = learnt
    with squares.open() as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
    said = svertka_call("predict", run, *(squares.parent / row["file"] for row in rows), "--json").json
    names = ("blue", "green", "red")
    truth = np.array([[name in row["label"].split(";") for name in names] for row in rows])
    guess = np.array([[name in entry["labels"] for name in names] for entry in said])
    assert f1_score(truth, guess, average="macro") == pytest.approx(answer.json["metrics"]["macro_f1"])
    assert not truth.any(axis=1).all()  # some images have no label


def test_the_exported_file_says_the_same_without_torch(
    learnt: tuple[Path, Any], squares: Path, svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    exported = tmp_path / "squares.onnx"
    assert svertka_call("export", learnt[0], "--out", exported, "--json").json["max_abs_diff"] < 1e-4
    assert svertka_call("verify", exported).status == 0
    images = [squares.parent / f"{number}.png" for number in range(12)]
    ours = svertka_call("predict", learnt[0], *images, "--json").json
    program = (
        "import sys, svertka.cli\nsvertka.cli.run(sys.argv[1:])\nassert 'torch' not in sys.modules, 'torch was loaded'"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "predict", exported, *images, "--json"], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    theirs = json.loads(done.stdout)
    assert [entry["labels"] for entry in theirs] == [entry["labels"] for entry in ours]
    for one, other in zip(ours, theirs, strict=True):
        assert [entry["score"] for entry in one["scores"]] == pytest.approx(
            [entry["score"] for entry in other["scores"]], abs=1e-4
        )


@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_it_learns_from_weights(
    learnt: tuple[Path, Any], plain: tuple[str, ...], svertka_call: Callable[..., Any], tmp_path: Path, head: str
) -> None:
    write(tmp_path / "few", 120, 1)
    begin = ("--weights", learnt[0], "--head", head, "--taps", "last", "--engine", "pytorch", "--balance", "weights")
    answer = svertka_call("train", tmp_path / "few/labels.csv", "--out", tmp_path / "run", *begin, *plain, "--json")
    assert answer.status == 0, answer.err
    assert answer.json["metrics"]["map"] > 0.8
    said = svertka_call("evaluate", tmp_path / "run", tmp_path / "few/labels.csv", "--json").json
    assert said["metrics"] == pytest.approx(answer.json["metrics"], rel=1e-2)  # features were kept in half precision
    assert svertka_call("verify", tmp_path / "run").status == 0
    assert "validation macro F1" in (tmp_path / "run/report.html").read_text()


@pytest.mark.parametrize("head", ["svm", "kernel_svm", "means"])
def test_heads_that_give_one_class_refuse_in_one_line(
    learnt: tuple[Path, Any], squares: Path, plain: tuple[str, ...], svertka_call: Callable[..., Any], head: str
) -> None:
    answer = svertka_call("train", squares, "--out", "unused", "--weights", learnt[0], "--head", head, *plain)
    assert answer.status == 2
    assert f"the head '{head}' gives an image one class" in answer.err
    assert not Path("unused").exists()


def test_check_counts_images_and_labels(squares: Path, svertka_call: Callable[..., Any]) -> None:
    said = svertka_call("check", squares, "--json").json
    assert said["images"] == {"train": 240, "test": 60}
    assert 10 < said["parts"]["train"]["blue"] < said["parts"]["train"]["red"]
    assert any("several labels" in note for note in said["notes"])


def test_what_has_several_labels_is_no_data_for_a_network_that_gives_one_class(
    trained: tuple[Path, Any], squares: Path, svertka_call: Callable[..., Any]
) -> None:
    answer = svertka_call("evaluate", trained[0], squares)
    assert answer.status == 2
    assert "do not have one label each" in answer.err

"""Several labels an image, the whole way: from a CSV, from scratch and from weights, to a file that needs no torch."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score

from svertka.zoo.modelfile import read_card
from task_cases import write_squares


@pytest.fixture(scope="session")
def squares(task_data: Callable[[str], Path]) -> Path:
    """Squares of some of three colours, and a CSV that names the colours."""
    return task_data("multilabel")


@pytest.fixture(scope="session")
def learnt(task_run: Callable[[str], tuple[Path, Any]]) -> tuple[Path, Any]:
    """The folder of a run that learnt them, and what training said."""
    return task_run("multilabel")


def test_it_learns_and_its_thresholds_stand_in_the_card(learnt: tuple[Path, Any]) -> None:
    run, answer = learnt
    assert answer.json["judged_on"] == "test"
    assert answer.json["metrics"].keys() == {"macro_f1", "micro_f1", "accuracy", "map", "loss"}
    assert len(read_card(run / "model.safetensors").thresholds) == 3


def test_evaluating_says_recall_by_label(
    learnt: tuple[Path, Any], squares: Path, svertka_call: Callable[..., Any]
) -> None:
    run = learnt[0]
    said = svertka_call("evaluate", run, squares, "--json").json
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


@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_it_learns_from_weights(
    learnt: tuple[Path, Any], plain: tuple[str, ...], svertka_call: Callable[..., Any], tmp_path: Path, head: str
) -> None:
    write_squares(tmp_path / "few", 0.4, seed=1)
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

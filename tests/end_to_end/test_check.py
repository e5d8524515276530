"""``svertka check`` and cross-validation as a user gives them."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

RECIPE = ("--net", "perceptron", "--epochs", 2, "--batch", 16, "--device", "cpu", "--precision", "fp32")


@pytest.fixture
def faulty(few_digits: Path, tmp_path: Path) -> Path:
    """Digits with a copy in another class, a file that is no image, and a class spelt in two ways."""
    root = Path(shutil.copytree(few_digits, tmp_path / "faulty"))
    first = min((root / "3").iterdir())
    shutil.copy(first, root / "8" / "<script>alert(1)</script>.png".replace("/", ""))
    (root / "4" / "empty.png").write_bytes(b"")
    (root / "Seven").mkdir()
    (root / "seven").mkdir()
    for number, name in enumerate(("Seven", "seven", "seven")):
        Image.effect_noise((20, 20), 90 + number).save(root / name / f"{number}.png")
    return root


def test_findings_are_said_with_how_to_mend_them(faulty: Path, svertka_call: Callable[..., Any]) -> None:
    answer = svertka_call("check", faulty)
    assert answer.status == 1
    for words in (
        "error: 1 group of images with the same content, with different labels",
        "empty",
        "'Seven' / 'seven'",
    ):
        assert words in answer.out
    found = {item["kind"]: item for item in svertka_call("check", faulty, "--json").json["findings"]}
    assert found["empty_files"]["files"] == ["4/empty.png: an empty file"]
    assert found["similar_labels"]["severity"] == "error"


def test_the_page_is_whole_and_hostile_names_stay_text(
    faulty: Path, svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    svertka_call("check", faulty, "--out", tmp_path / "page")
    page = (tmp_path / "page" / "check.html").read_text()
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert(1)" not in page
    assert "data:image/" in page


def test_a_cleaned_copy_has_nothing_to_mend(faulty: Path, svertka_call: Callable[..., Any], tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in faulty.rglob("*.png")}
    assert svertka_call("check", faulty, "--fix", tmp_path / "clean").status == 1
    assert {path: path.read_bytes() for path in faulty.rglob("*.png")} == before
    answer = svertka_call("check", tmp_path / "clean" / "labels.csv", "--json")
    assert (answer.status, answer.json["ok"]) == (0, True)
    assert "Seven" not in answer.json["parts"]["all"]
    listed = tmp_path / "clean.csv"
    svertka_call("check", faulty, "--fix", listed)
    with listed.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sum(answer.json["images"].values()) == len(rows)
    assert svertka_call("check", faulty, "--fix", listed).status == 2  # nothing is overwritten


def test_folds_are_runs_and_are_resumed(few_digits: Path, svertka_call: Callable[..., Any], tmp_path: Path) -> None:
    out = tmp_path / "cv"
    command = ("train", few_digits, "--folds", 3, *RECIPE, "--out", out)
    answer = svertka_call(*command, "--json")
    assert answer.status == 0, answer.err
    found = answer.json
    assert [Path(fold["run"]).name for fold in found["folds"]] == ["fold-1", "fold-2", "fold-3"]
    values = [metrics["accuracy"] for metrics in found["by_fold"]]
    assert found["metrics"]["accuracy"] == pytest.approx(sum(values) / 3)
    held: list[str] = []
    for fold in (1, 2, 3):
        with (out / f"fold-{fold}" / "split.csv").open(newline="") as file:
            held += [row["file"] for row in csv.DictReader(file) if row["part"] == "val"]
    assert len(held) == len(set(held)) == len(list(few_digits.rglob("*.png")))
    model = (out / "fold-2" / "model.safetensors").read_bytes()
    shutil.rmtree(out / "fold-2")
    again = svertka_call("train", few_digits, "--out", out, "--resume", "--json")
    assert again.status == 0, again.err
    assert (out / "fold-2" / "model.safetensors").read_bytes() == model
    evaluated = svertka_call("evaluate", out / "fold-2", few_digits, "--json").json
    assert (evaluated["judged_on"], evaluated["metrics"]["accuracy"]) == ("val", pytest.approx(values[1]))


def test_a_split_is_given_on(few_digits: Path, svertka_call: Callable[..., Any], tmp_path: Path) -> None:
    first = svertka_call("train", few_digits, *RECIPE, "--out", tmp_path / "a", "--seed", 5, "--json")
    split = tmp_path / "a" / "split.csv"
    other = svertka_call("train", few_digits, *RECIPE, "--out", tmp_path / "b", "--split", split, "--json")
    assert (first.status, other.status) == (0, 0), other.err
    assert (tmp_path / "b" / "split.csv").read_text() == split.read_text()
    said = svertka_call("evaluate", tmp_path / "b", few_digits, "--json").json
    assert (said["judged_on"], said["metrics"]["accuracy"]) == ("val", pytest.approx(other.json["metrics"]["accuracy"]))
    (tmp_path / "b" / "split.csv").unlink()  # then nothing says what was held out
    assert svertka_call("evaluate", tmp_path / "b", few_digits, "--json").json["judged_on"] == "all"

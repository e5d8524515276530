"""``--resume`` at the command line: what it goes on with, and what it refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

RECIPE = ("--net", "perceptron", "--epochs", 2, "--augment", "none")


@pytest.fixture
def data(few_digits: Path, tmp_path: Path) -> Path:
    """A copy of the digits that may be changed."""
    return Path(shutil.copytree(few_digits, tmp_path / "digits"))


@pytest.fixture
def begun(
    data: Path,
    plain: tuple[str, ...],
    svertka_call: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """The folder of a run that was interrupted after its first epoch."""
    from svertka.workflows.progress import Display

    with monkeypatch.context() as patch:
        patch.setattr(Display, "stopping", lambda _: True)
        answer = svertka_call("train", data, "--out", tmp_path / "run", *RECIPE, *plain, "--json")
    assert answer.status == 2
    assert (tmp_path / "run" / "checkpoint.safetensors").exists()
    return tmp_path / "run"


def refused(answer: Any, *words: str) -> None:
    assert answer.status == 2
    assert answer.out == ""
    assert answer.err.count("\n") == 1
    for word in words:
        assert word in answer.err


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_a_missing_run_is_begun(
    data: Path, plain: tuple[str, ...], svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    answers = [
        svertka_call("train", data, "--out", tmp_path / name, *RECIPE, *plain, *flags, "--json")
        for name, flags in (("new", ("--resume",)), ("plain", ()))
    ]
    assert [answer.status for answer in answers] == [0, 0]
    models = [Path(answer.json["model"]).read_bytes() for answer in answers]
    assert models[0] == models[1]


def test_a_finished_run_says_the_same_again(
    data: Path, plain: tuple[str, ...], svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    command = ("train", data, "--out", tmp_path / "run", *RECIPE, *plain, "--json")
    (data / "3" / "broken.png").write_bytes(b"no image")
    first = svertka_call(*command)
    before = content(tmp_path / "run")
    for again in (svertka_call(*command, "--resume"), svertka_call(*command[:4], "--resume", "--json")):
        assert again.json == first.json
        assert again.status == 0
    assert len(first.json["skipped"]) == 1
    assert content(tmp_path / "run") == before


def test_the_recipe_of_the_run_is_kept(begun: Path, data: Path, svertka_call: Callable[..., Any]) -> None:
    answer = svertka_call("train", data, "--out", begun, "--resume", "--json")
    assert answer.status == 0, answer.err
    assert not (begun / "checkpoint.safetensors").exists()
    assert (begun / "metrics.csv").read_text().count("\n") == 3


@pytest.mark.parametrize(
    "flags",
    [
        ("--batch", 32),
        ("--seed", 1),
        ("--epochs", 3),
        ("--net", "mlp"),
        ("--augment", "flip"),
        ("--layout", "channels_last"),
        ("--val-fraction", 0.3),
        ("--net-options.hidden", "5,6"),
    ],
    ids=lambda flags: flags[0],
)
def test_what_would_change_the_result_is_refused(
    flags: tuple[Any, ...], begun: Path, data: Path, svertka_call: Callable[..., Any]
) -> None:
    before = content(begun)
    refused(
        svertka_call("train", data, "--out", begun, "--resume", *flags, "--json"), flags[0].split(".")[0], str(begun)
    )
    assert content(begun) == before


def test_what_changes_nothing_may_change(begun: Path, data: Path, svertka_call: Callable[..., Any]) -> None:
    flags = ("--workers", 1, "--save-every", 3, "--batch", 64, "--precision", "auto")
    assert svertka_call("train", data, "--out", begun, "--resume", *flags, "--json").status == 0


def test_a_recipe_file_given_again_fits_although_the_run_has_decided_what_it_leaves_open(
    data: Path, svertka_call: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from svertka.workflows.progress import Display

    recipe = tmp_path / "mine.toml"
    recipe.write_text('net = "perceptron"\nepochs = 1\nthreads = 1\n')
    command = ("train", data, "--recipe", recipe, "--out", tmp_path / "run", "--resume", "--json")
    with monkeypatch.context() as patch:
        patch.setattr(Display, "stopping", lambda _: True)
        assert svertka_call(*command).status == 2
    assert 'precision = "auto"' not in (tmp_path / "run" / "recipe.toml").read_text()
    answer = svertka_call(*command)
    assert answer.status == 0, answer.err
    recipe.write_text('net = "perceptron"\nepochs = 2\nthreads = 1\n')
    refused(svertka_call(*command), "--epochs")


@pytest.mark.parametrize("change", ["another image", "one more", "one less", "another label", "broken"])
def test_changed_data_is_refused(change: str, begun: Path, data: Path, svertka_call: Callable[..., Any]) -> None:
    image = next((data / "3").iterdir())
    if change == "another image":
        Image.new("L", (8, 8), 77).save(image)
    elif change == "one more":
        Image.new("L", (8, 8), 77).save(image.with_name("new.png"))
    elif change == "one less":
        image.unlink()
    elif change == "another label":
        image.rename(data / "4" / "moved.png")
    else:
        image.write_bytes(b"no image")
    before = content(begun)
    answer = svertka_call("train", data, "--out", begun, "--resume", "--json")
    lines = [line for line in answer.err.splitlines() if not line.startswith("warning: skipped")]
    assert (answer.status, answer.out, len(lines)) == (2, "", 1)
    assert "changed" in lines[0]
    assert str(begun) in lines[0]
    assert content(begun) == before


def test_the_same_data_under_other_file_names_is_the_same_data(
    begun: Path, data: Path, svertka_call: Callable[..., Any]
) -> None:
    image = next((data / "3").iterdir())
    image.rename(image.with_name("zzz.png"))
    assert svertka_call("train", data, "--out", begun, "--resume", "--json").status == 0


def test_without_out_there_is_nothing_to_resume(data: Path, svertka_call: Callable[..., Any]) -> None:
    refused(svertka_call("train", data, "--resume", "--json"), "--out")


def test_a_folder_of_something_else_is_not_taken_for_a_run(
    data: Path, svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("years of work")
    refused(svertka_call("train", data, "--out", other, "--resume", "--json"), str(other))
    assert content(other) == {"thesis.txt": b"years of work"}


def test_a_damaged_note_of_the_data_is_one_line(begun: Path, data: Path, svertka_call: Callable[..., Any]) -> None:
    (begun / "begun.json").write_text("{")
    refused(svertka_call("train", data, "--out", begun, "--resume", "--json"), "begun.json")


def test_damaged_checkpoints_cost_work_but_no_bit(
    begun: Path, data: Path, plain: tuple[str, ...], svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    for path in begun.glob("checkpoint*"):
        path.write_bytes(path.read_bytes()[:-1])
    answer = svertka_call("train", data, "--out", begun, "--resume", "--json")
    assert answer.status == 0
    assert answer.err.startswith("warning: ")
    assert svertka_call("train", data, "--out", tmp_path / "plain", *RECIPE, *plain, "--json").status == 0
    assert (begun / "model.safetensors").read_bytes() == (tmp_path / "plain" / "model.safetensors").read_bytes()


def test_json_of_a_finished_run_is_what_stands_in_its_folder(trained: tuple[Path, Any]) -> None:
    run, answer = trained
    assert json.loads((run / "run.json").read_text()) == answer.json

"""``svertka diagnose`` on runs that are finished, broken and cut off; ``--find-lr`` and ``--check-wiring``."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def test_a_finished_run_is_looked_at(
    trained: tuple[Path, Any], svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    run, _ = trained
    answer = svertka_call("diagnose", run, "--json", "--out", tmp_path / "page")
    assert answer.status in (0, 1), answer.err
    assert answer.json["ok"] is (answer.status == 0)
    assert answer.json["state"] == "finished"
    assert answer.json["epochs"] == 12
    assert 0 < answer.json["looked_at"] <= answer.json["steps"] == 12 * 10
    page = (tmp_path / "page" / "diagnosis.html").read_text()
    assert "Norm of the gradient" in page
    assert "What the doctor says" in (run / "report.html").read_text()
    text = svertka_call("diagnose", run)
    assert text.status == answer.status
    assert "finished, 12 epochs" in text.out


def test_a_fault_is_said_while_it_runs_and_afterwards(
    digits: Path, plain: tuple[str, ...], svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    recipe = ("--epochs", 12, "--lr", 2, "--batch", 16, "--augment", "none", *plain)
    trained = svertka_call("train", digits, "--out", tmp_path / "run", *recipe)
    answer = svertka_call("diagnose", tmp_path / "run", "--json")
    assert answer.status == 1, answer.err
    found = {one["kind"]: one for one in answer.json["diagnoses"]}
    assert "learning_rate_too_high" in found
    high = found["learning_rate_too_high"]
    assert "--lr 0.2" in high["mend"]
    assert any(len(values) > 2 for values in high["evidence"]["values"].values())
    if trained.status == 0:
        assert trained.err.count("diagnosis: learning rate too high") == 1
        assert "Learning rate too high" in (tmp_path / "run" / "report.html").read_text()
    else:
        assert answer.json["state"] == "broken"


def test_a_run_that_is_cut_off_can_be_diagnosed_and_then_ends(
    digits: Path, plain: tuple[str, ...], start: Callable[..., Any], svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    recipe = ("--epochs", 40, "--batch", 8, "--augment", "none", "--save-every", 0, "--lr", "1e-7", *plain)
    running = start("train", digits, "--out", run, *recipe)
    running.wait_until(lambda: (run / "checkpoint.previous.safetensors").exists())
    answer = svertka_call("diagnose", run, "--json")
    assert answer.status in (0, 1), answer.err
    assert answer.json["state"] == "unfinished"
    running.signal(signal.SIGTERM)
    running.wait()
    saved = svertka_call("diagnose", run, "--json").json
    assert answer.json["steps"] <= saved["steps"] < 40 * 20
    assert saved["looked_at"] > 0


def test_what_is_no_run_is_a_line(tmp_path: Path, svertka_call: Callable[..., Any]) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        answer = svertka_call("diagnose", folder)
        assert answer.status == 2
        assert answer.err.count("\n") == 1
        assert "no run's folder" in answer.err
    (tmp_path / "recipe.toml").write_text("")
    assert "nothing was saved yet" in svertka_call("diagnose", tmp_path).err
    (tmp_path / "run.json").write_text("{}")
    assert "gradient descent" in svertka_call("diagnose", tmp_path).err
    (tmp_path / "signals.json").write_text('{"facts": [')
    answer = svertka_call("diagnose", tmp_path)
    assert answer.status == 2
    assert answer.err.count("\n") == 1


def test_a_head_on_frozen_stages_alone_has_nothing_to_look_at(
    few_digits: Path, weights: Path, plain: tuple[str, ...], svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    trained = svertka_call("train", few_digits, "--weights", weights, "--out", tmp_path / "run", *plain)
    assert trained.status == 0, trained.err
    assert "gradient descent" in svertka_call("diagnose", tmp_path / "run").err


def test_stages_behind_frozen_ones_are_looked_at(
    digits: Path, weights: Path, plain: tuple[str, ...], svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    recipe = ("--weights", weights, "--freeze", "conv3", "--epochs", 2, *plain)
    trained = svertka_call("train", digits, "--out", tmp_path / "run", *recipe)
    assert trained.status == 0, trained.err
    assert (tmp_path / "run" / "signals-conv3.json").is_file()
    answer = svertka_call("diagnose", tmp_path / "run", "--json")
    assert answer.status in (0, 1), answer.err
    assert not {"nothing_frozen", "everything_frozen"} & {one["kind"] for one in answer.json["diagnoses"]}


def test_find_lr_suggests_a_rate_and_leaves_no_run(
    digits: Path, plain: tuple[str, ...], svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    answer = svertka_call("train", digits, "--find-lr", "--out", tmp_path / "found", *plain, "--json")
    assert answer.status == 0, answer.err
    assert 1e-5 < answer.json["lr"] < 1
    assert len(answer.json["rates"]) == len(answer.json["losses"]) > 50
    assert [path.name for path in (tmp_path / "found").iterdir()] == ["find-lr.html"]
    text = svertka_call("train", digits, "--find-lr", *plain)
    assert f"--lr {answer.json['lr']:g}" in text.out


def test_check_wiring_of_a_network_that_learns_and_of_one_that_does_not(
    digits: Path, plain: tuple[str, ...], svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    good = svertka_call("train", digits, "--check-wiring", "--out", tmp_path / "page", *plain)
    assert good.status == 0, good.err
    assert "learnt by heart in" in good.out
    assert (tmp_path / "page" / "wiring.html").is_file()
    bad = svertka_call(
        "train", digits, "--check-wiring", "--net", "mlp", "--net-options.hidden", "1,", *plain, "--json"
    )
    assert bad.status == 1, bad.err
    assert bad.json["faults"]


@pytest.mark.parametrize("more", [("--find-lr", "--check-wiring"), ("--find-lr", "--resume", "--out", "x")])
def test_two_things_at_once_are_refused(
    more: tuple[str, ...], few_digits: Path, svertka_call: Callable[..., Any]
) -> None:
    answer = svertka_call("train", few_digits, *more)
    assert answer.status == 2
    assert "two things are asked for at once" in answer.err


def test_what_is_saved_is_json_that_any_program_reads(trained: tuple[Path, Any]) -> None:
    run, _ = trained
    text = (run / "signals.json").read_text()
    assert json.loads(text, parse_constant=lambda name: pytest.fail(name))["done"] == 120
    assert len(text) < 500_000

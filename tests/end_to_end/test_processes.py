"""Several processes: ``torchrun`` on the processor computes what one process computes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch

# 40 training images: in batches of 16 the last has 8; in batches of 13 the last has one, so a process goes without.
RECIPE = ("--net", "lenet5", "--epochs", 3, "--lr", 0.01, "--augment", "crop", "--seed", 2)


def torchrun(*arguments: object) -> Any:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "svertka"]
    # The launcher sets this too, and says so at length otherwise.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*command, *map(str, arguments)], env=environment, capture_output=True, text=True, timeout=240, check=False
    )


@pytest.fixture
def pair(start: Callable[..., Any]) -> Callable[..., list[Any]]:
    """Starts two processes as ``torchrun`` does, but quicker."""

    def run(*arguments: object, environment: dict[str, str] | None = None) -> list[Any]:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = found.getsockname()[1]
        common = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        common |= {"TORCHELASTIC_RUN_ID": "test", "GROUP_RANK": "0", **(environment or {})}
        return [
            start(*arguments, environment={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)}) for rank in range(2)
        ]

    return run


def distance(one: Path, other: Path) -> float:
    ours, theirs = (safetensors.torch.load_file(path) for path in (one, other))
    assert ours.keys() == theirs.keys()
    return max(float((ours[name] - theirs[name]).abs().max()) for name in ours)


def saved(run: Path) -> int:
    """When the newest checkpoint was written; 0 without one, as between the two renames of a save."""
    try:
        return (run / "checkpoint.safetensors").stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def history(run: Path) -> list[list[float]]:
    lines = (run / "metrics.csv").read_text().splitlines()
    seconds = lines[0].split(",").index("seconds")
    return [[float(value) for n, value in enumerate(line.split(",")) if n != seconds] for line in lines[1:]]


def test_torchrun_computes_what_one_process_does(
    few_digits: Path, plain: tuple[str, ...], svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    command = ("train", few_digits, *RECIPE, "--batch", 16, *plain, "--json")
    done = torchrun(*command, "--out", tmp_path / "two")
    assert done.returncode == 0, done.stderr
    two = json.loads(done.stdout)  # one document, from one of the processes
    one = svertka_call(*command, "--out", tmp_path / "one").json
    assert distance(Path(one["model"]), Path(two["model"])) < 1e-4
    assert two["metrics"] == pytest.approx(one["metrics"], abs=1e-3)


@pytest.mark.parametrize(
    "recipe",
    [
        pytest.param(("--batch", 4, "--accumulate", 4, "--optimizer", "momentum"), id="accumulating"),
        pytest.param(("--batch", 13, "--l1", 1e-5, "--clip", 1.0, "--ema", 0.9, "--workers", 1), id="uneven"),
        pytest.param(
            ("--batch", 13, "--accumulate", 2, "--optimizer", "adam", "--val-fraction", 0), id="no validation"
        ),
    ],
)
def test_two_processes_compute_what_one_does(
    recipe: tuple[Any, ...],
    few_digits: Path,
    plain: tuple[str, ...],
    pair: Callable[..., Any],
    svertka_call: Callable[..., Any],
    tmp_path: Path,
) -> None:
    command = ("train", few_digits, *RECIPE, *recipe, *plain, "--json", "--save-every", 0)
    answers = [running.wait() for running in pair(*command, "--out", tmp_path / "two")]
    assert [answer.status for answer in answers] == [0, 0], answers
    assert answers[1].out == ""
    assert [answer.err for answer in answers] == ["", ""]
    two = answers[0].json
    one = svertka_call(*command, "--out", tmp_path / "one").json
    assert distance(Path(one["model"]), Path(two["model"])) < 1e-4
    assert two["metrics"] == pytest.approx(one["metrics"], abs=1e-3)
    for ours, theirs in zip(*(history(tmp_path / name) for name in ("one", "two")), strict=True):
        assert theirs == pytest.approx(ours, abs=1e-3)


def test_two_processes_go_on_after_a_cut(
    few_digits: Path, plain: tuple[str, ...], pair: Callable[..., Any], tmp_path: Path
) -> None:
    recipe = ("--net", "lenet5", "--epochs", 12, "--batch", 13, "--augment", "crop", "--dropout", 0.1)
    command = ("train", few_digits, *recipe, *plain, "--json", "--save-every", 0)
    straight, cut = tmp_path / "straight", tmp_path / "cut"
    for running in pair(*command, "--out", straight):
        assert running.wait().status == 0
    for _ in range(2):
        before = saved(cut)
        both = pair(*command, "--out", cut, "--resume")
        both[0].wait_until(lambda before=before: saved(cut) > before)
        for running in both:
            running.signal(signal.SIGTERM)
        answers = [running.wait() for running in both]
        assert [answer.status for answer in answers] == [2, 2], answers
        assert all("all is saved" in answer.err for answer in answers)
        assert (cut / "checkpoint.safetensors").exists()
    for running in pair(*command, "--out", cut, "--resume"):
        assert running.wait().status == 0
    assert (cut / "model.safetensors").read_bytes() == (straight / "model.safetensors").read_bytes()


def test_a_run_goes_on_with_another_number_of_processes(
    few_digits: Path,
    plain: tuple[str, ...],
    pair: Callable[..., Any],
    svertka_call: Callable[..., Any],
    tmp_path: Path,
) -> None:
    from svertka.training.checkpoint import Checkpoints
    from svertka.workflows.progress import Display

    # Cut in the middle of the second epoch of three, so that half-made sums have to be handed on as well.
    command = (*RECIPE, "--batch", 13, *plain, "--json", "--save-every", 0)
    asked = iter([False] * 6)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Display, "stopping", lambda _: next(asked, True))
        assert svertka_call("train", few_digits, "--out", tmp_path / "cut", *command).status == 2
    found, _ = Checkpoints(tmp_path / "cut").load()
    assert found is not None
    assert (found.state["epoch"], found.state["batches_done"]) == (1, 2)
    for running in pair("train", few_digits, "--out", tmp_path / "cut", "--resume", "--json"):
        assert running.wait().status == 0
    one = svertka_call("train", few_digits, "--out", tmp_path / "one", *command).json
    assert distance(Path(one["model"]), tmp_path / "cut" / "model.safetensors") < 1e-4
    for ours, theirs in zip(*(history(tmp_path / name) for name in ("one", "cut")), strict=True):
        assert theirs == pytest.approx(ours, abs=1e-3)


@pytest.mark.parametrize(
    "recipe",
    [("--reject", 0.1), ("--freeze", "conv3", "--epochs", 2, "--views", "identity", "flip")],
    ids=["head", "stages"],
)
def test_two_processes_start_from_weights_as_one_does(
    recipe: tuple[Any, ...],
    digits: Path,
    weights: Path,
    plain: tuple[str, ...],
    pair: Callable[..., Any],
    svertka_call: Callable[..., Any],
    tmp_path: Path,
) -> None:
    command = ("train", digits, "--weights", weights, "--engine", "pytorch", "--batch", 13, *recipe, *plain, "--json")
    environment = {"SVERTKA_CACHE": str(tmp_path / "cache")}  # nothing is remembered yet
    answers = [running.wait() for running in pair(*command, "--out", tmp_path / "two", environment=environment)]
    assert [answer.status for answer in answers] == [0, 0], answers
    one = svertka_call(*command, "--out", tmp_path / "one").json
    two = answers[0].json
    assert answers[1].out == ""
    assert distance(Path(one["model"]), Path(two["model"])) < 1e-3
    assert two["metrics"] == pytest.approx(one["metrics"], abs=1e-3)
    for ours, theirs in zip(one["tried"], two["tried"], strict=True):
        assert theirs["metrics"] == pytest.approx(ours["metrics"], abs=1e-3)


def test_a_budget_is_for_one_process(
    digits: Path, weights: Path, plain: tuple[str, ...], pair: Callable[..., Any], tmp_path: Path
) -> None:
    command = ("train", digits, "--weights", weights, "--budget", "9s", "--out", tmp_path / "run", *plain)
    for answer in [running.wait() for running in pair(*command)]:
        assert answer.status == 2
        assert answer.err.count("\n") == 1
        assert "2 processes would not all time the same; start one process" in answer.err
    assert not (tmp_path / "run").exists()

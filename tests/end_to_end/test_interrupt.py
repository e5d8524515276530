"""Ctrl-C and a request to terminate: all is saved, and how to go on is said."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

RECIPE = ("--net", "mlp", "--epochs", 20, "--batch", 8, "--augment", "crop", "--dropout", 0.1)
SAVING = ("--save-every", 0.05)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")


@pytest.fixture(scope="module")
def straight(
    digits: Path, plain: tuple[str, ...], svertka_call: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> bytes:
    """The model file of the run that nobody interrupts."""
    run = tmp_path_factory.mktemp("straight") / "run"
    assert svertka_call("train", digits, "--out", run, *RECIPE, *SAVING, *plain, "--json").status == 0
    return (run / "model.safetensors").read_bytes()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_it_saves_says_how_to_go_on_and_that_is_so(
    number: signal.Signals,
    straight: bytes,
    digits: Path,
    plain: tuple[str, ...],
    start: Callable[..., Any],
    svertka_call: Callable[..., Any],
    tmp_path: Path,
) -> None:
    run = tmp_path / "a run"
    # Nothing but the signal makes it save.
    running = start("train", digits, "--out", run, *RECIPE, "--save-every", 1000, *plain)
    running.wait_until(lambda: "epoch  1/20" in running.err)
    running.signal(number)
    answer = running.wait()
    assert answer.status == 2
    assert answer.out == ""
    assert "Traceback" not in answer.err
    last = answer.err.splitlines()[-1]
    assert last.startswith("svertka: interrupted in epoch ")
    assert "all is saved" in last
    assert (run / "checkpoint.safetensors").exists()
    assert not any(run.glob(".*"))
    command = shlex.split(last.partition("go on with: ")[2])
    assert command == ["svertka", "train", str(digits), "--out", str(run), "--resume"]
    assert svertka_call(*command[1:], *SAVING).status == 0
    assert (run / "model.safetensors").read_bytes() == straight


def test_ctrl_c_at_a_terminal_also_reaches_the_workers_and_they_keep_quiet(
    straight: bytes, digits: Path, plain: tuple[str, ...], start: Callable[..., Any], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    command = ("train", digits, "--out", run, *RECIPE, *SAVING, *plain, "--resume", "--workers")
    running = start(*command, 2)
    running.wait_until((run / "checkpoint.safetensors").exists)
    running.signal(signal.SIGINT, group=True)
    answer = running.wait()
    assert answer.status == 2
    assert answer.err.count("SIGINT: saving, then stopping") == 1
    assert answer.err.count("interrupted") == 1
    assert "Traceback" not in answer.err
    assert start(*command, 0).wait().status == 0
    assert (run / "model.safetensors").read_bytes() == straight


def test_a_second_ctrl_c_does_not_wait(
    digits: Path, plain: tuple[str, ...], svertka_call: Callable[..., Any], tmp_path: Path, monkeypatch: Any
) -> None:
    from svertka.training.checkpoint import Checkpoints

    def save(self: Checkpoints, checkpoint: Any) -> None:
        del self, checkpoint
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        pytest.fail("the second was not heard")

    monkeypatch.setattr(Checkpoints, "save", save)
    answer = svertka_call("train", digits, "--out", tmp_path / "run", *RECIPE, *plain, "--save-every", 0, "--json")
    assert answer.status == 2
    assert answer.err.count("\n") == 1
    assert "--resume" in answer.err


@pytest.mark.parametrize(
    "stage", ["svertka.training.loop.evaluate", "svertka.commands.train.finishing.write_run_report"]
)
def test_interrupted_outside_the_loop_it_can_be_resumed_too(
    stage: str,
    straight: bytes,
    digits: Path,
    plain: tuple[str, ...],
    svertka_call: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupt(*arguments: Any, **named: Any) -> None:
        del arguments, named
        raise KeyboardInterrupt

    command = ("train", digits, "--out", tmp_path / "run", *RECIPE, *SAVING, *plain, "--resume", "--json")
    with monkeypatch.context() as patch:
        patch.setattr(stage, interrupt)
        answer = svertka_call(*command)
    assert answer.status == 2
    assert answer.err.count("\n") == 1
    assert "--resume" in answer.err
    assert svertka_call(*command).status == 0
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == straight


def test_interrupted_before_there_is_a_run_it_leaves_none(
    digits: Path,
    plain: tuple[str, ...],
    svertka_call: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupt(*arguments: Any, **named: Any) -> None:
        del arguments, named
        raise KeyboardInterrupt

    monkeypatch.setattr("svertka.commands.train.preparing.prepare", interrupt)
    answer = svertka_call("train", digits, "--out", tmp_path / "run", *RECIPE, *plain, "--json")
    assert answer.status == 2
    assert answer.err == "svertka: interrupted; nothing was left half-written\n"
    assert list(tmp_path.iterdir()) == []

"""``kill -9`` at any moment, ``--resume``, and the same bits. `benchmarks/kill.py` is the long version."""

from __future__ import annotations

import contextlib
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

RECIPE = (
    *("--net", "lenet5", "--epochs", 5, "--batch", 4, "--accumulate", 2, "--optimizer", "adamw", "--dropout", 0.2),
    *("--augment", "affine", "crop", "--ema", 0.95, "--save-every", 0, "--seed", 3),
)


def wait_for_saves(running: Any, checkpoint: Path, count: int) -> None:
    """Wait until the process has saved so many times. Five epochs have a hundred saves."""
    seen = set()

    def enough() -> bool:
        with contextlib.suppress(FileNotFoundError):
            seen.add(checkpoint.stat().st_mtime_ns)
        return len(seen) > count

    running.wait_until(enough)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_killed_at_random_and_inside_saves_ends_with_the_same_bytes(
    workers: int, digits: Path, plain: tuple[str, ...], start: Callable[..., Any], tmp_path: Path
) -> None:
    def train(run: str) -> Any:
        return start(
            "train", digits, "--out", tmp_path / run, "--resume", *RECIPE, *plain, "--workers", workers, "--json"
        )

    assert train("straight").wait().status == 0
    chance, run = random.Random(workers), tmp_path / "killed"
    inside = 0
    for aimed in (False, True, False, True):
        running = train("killed")
        wait_for_saves(running, run / "checkpoint.safetensors", chance.randint(1, 20))
        if aimed:
            running.wait_until(lambda: any(run.glob(".checkpoint*.partial")))
        else:
            time.sleep(chance.uniform(0, 0.03))
        running.signal(signal.SIGKILL)
        assert running.wait().status == -signal.SIGKILL, "it was over before it was killed"
        inside += any(run.glob(".checkpoint*.partial")) or not (run / "checkpoint.safetensors").exists()
    assert inside >= 1
    answer = train("killed").wait()
    assert answer.status == 0, answer.err
    assert (run / "model.safetensors").read_bytes() == (tmp_path / "straight" / "model.safetensors").read_bytes()
    assert not any(run.glob(".*"))
    assert not any(run.glob("checkpoint*"))


def test_a_run_killed_before_its_recipe_was_written_can_be_resumed(
    few_digits: Path, plain: tuple[str, ...], svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    recipe = ("--net", "perceptron", "--epochs", 1, *plain)
    for number, left in enumerate([(".begun.json.77.partial",), ("begun.json", ".recipe.toml.77.partial")]):
        run = tmp_path / str(number)
        run.mkdir()
        for name in left:
            (run / name).write_text("{")
        assert svertka_call("train", few_digits, "--out", run, *recipe).status == 2
        answer = svertka_call("train", few_digits, "--out", run, *recipe, "--resume", "--json")
        assert answer.status == 0, answer.err
        assert not any(run.glob(".*"))

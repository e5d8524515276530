"""Which engine runs frozen stages."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from svertka.training.recipe import Recipe
from svertka.workflows.training.engine import engine_of

ALONE: Any = SimpleNamespace(world=1)
TWO: Any = SimpleNamespace(world=2)


def unasked() -> Any:
    """Measuring that nobody should ask for."""
    raise AssertionError("the engines are measured")


def test_that_of_the_recipe_is_taken_without_measuring() -> None:
    assert engine_of(Recipe(engine="onnxruntime"), TWO, [1], unasked) == "onnxruntime"


def test_processes_cannot_choose_differently() -> None:
    assert engine_of(Recipe(), TWO, [1], unasked) == "pytorch"


def test_the_fastest_is_remembered_for_the_same_and_measured_for_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SVERTKA_CACHE", str(tmp_path))
    found: Any = SimpleNamespace(name="pytorch")
    assert engine_of(Recipe(), ALONE, ["one"], lambda: found) == "pytorch"
    assert engine_of(Recipe(), ALONE, ["one"], unasked) == "pytorch"
    with pytest.raises(AssertionError, match="measured"):
        engine_of(Recipe(), ALONE, ["another"], unasked)

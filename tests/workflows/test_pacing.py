"""What a run has planned is kept with a checksum: a resumed run does it, and nothing that only looks like it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from svertka.errors import UserError
from svertka.training.budget import Phase
from svertka.workflows.training.pacing import paced
from svertka.workflows.training.stages import Clock


def planned(folder: Path, phase: Phase | None = None) -> Any:
    """The plan of the run in this folder; made only if there is a phase to make it of."""
    return paced(folder, Clock(), lambda: phase)


def test_a_plan_is_kept_and_followed(tmp_path: Path) -> None:
    assert planned(tmp_path, Phase(2, 5, 1.5))[0] == Phase(2, 5, 1.5)
    assert planned(tmp_path, Phase(0, 1))[0] == Phase(2, 5, 1.5)


def test_that_nothing_is_to_learn_is_kept_too(tmp_path: Path) -> None:
    assert planned(tmp_path) is None
    assert planned(tmp_path, Phase(0, 1)) is None


def test_a_plan_of_an_older_release_is_followed(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text('{"depth": 1, "seconds": 2.0, "epochs": {"0": 4}}')
    assert planned(tmp_path)[0] == Phase(1, 4, 2.0)


@pytest.mark.parametrize("changed", [("depth", 3), ("seconds", 2.5), ("epochs", {"0": 6})])
def test_other_digits_are_not_believed(changed: tuple[str, Any], tmp_path: Path) -> None:
    planned(tmp_path, Phase(2, 5, 1.5))
    values = json.loads((tmp_path / "plan.json").read_text())
    (tmp_path / "plan.json").write_text(json.dumps({**values, changed[0]: changed[1]}))
    with pytest.raises(UserError, match=r"plan\.json: damaged, so the run cannot be resumed"):
        planned(tmp_path, Phase(0, 1))

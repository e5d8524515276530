"""What a run of several updates shows: its line an epoch, its table, its diagnoses by update."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import toys
from shared import Quiet

from svertka.commands.train.page import _curves
from svertka.training.doctor import Doctor
from svertka.training.loop import Outcome
from svertka.training.signals import Background, signals_file
from svertka.workflows.diagnosing import judged, measured, records, section, trainings
from svertka.workflows.progress import Display
from svertka.workflows.run_folder import Run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    """The folder of a training of two updates, one of which has a dead layer, and what came of it."""
    folder = tmp_path_factory.mktemp("runs") / "imitation"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("svertka.training.doctor._ALLOWED", 1e9)
        looking = Doctor(Background(), signals_file(folder), lambda _: None)
        made = toys.imitating(Quiet(), task=toys.Imitation(every=4), epochs=6, observer=looking)
        with torch.no_grad():
            made.module.generator[0].bias.fill_(-100)
        outcome = made.run()
    (folder / "recipe.toml").write_text(made.recipe.to_toml())
    return folder, outcome


def test_diagnoses_and_plots_go_by_update(run: tuple[Path, Outcome]) -> None:
    found = records(run[0])
    assert list(found) == [":critic", ":generator"]
    (one,) = trainings(found)
    assert (one.done, found[":generator"].done) == (36, 9)
    diagnoses = judged(found)
    assert "dead relus (generator)" in [diagnosis.title for diagnosis in diagnoses]
    assert len({diagnosis.name for diagnosis in diagnoses}) == len(diagnoses)
    titles = [plot.title for plot in measured(found)]
    assert {"Loss (critic)", "Loss (generator)", "Norm of the gradient by stage (critic)"} <= set(titles)
    assert any("(generator)" in str(shown) for shown in section(found, diagnoses).exhibits)


def test_the_command_says_which_update(
    run: tuple[Path, Outcome], svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    answer = svertka_call("diagnose", run[0], "--out", tmp_path, "--json")
    assert answer.status == 1, answer.err
    assert (answer.json["epochs"], answer.json["steps"]) == (6, 36)
    assert {"dead_relus"} <= {one["kind"] for one in answer.json["diagnoses"] if one.get("update") == "generator"}
    assert "Dead relus (generator)" in (tmp_path / "diagnosis.html").read_text()
    assert "dead relus (generator)" in svertka_call("diagnose", run[0]).out


def test_a_line_an_epoch_and_a_table_have_every_update(
    run: tuple[Path, Outcome], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    history = run[1].history
    lines: list[str] = []
    monkeypatch.setattr(Display, "say", lambda _, text: lines.append(text))
    Display(show=True, epochs=6).epoch(history[0])
    assert "critic real" in lines[0]
    assert "generator misled" in lines[0]
    assert "lr 0.01" in lines[0]
    some = [{name: value for name, value in history[0].items() if "generator" not in name}, *history[1:]]
    recipe = toys.imitating(Quiet()).recipe
    Run(tmp_path, recipe, resumed=False, finished=False).write_history(some)
    rows = list(csv.DictReader((tmp_path / "metrics.csv").read_text().splitlines()))
    assert rows[0]["train_generator_misled"] == ""
    assert float(rows[1]["train_generator_misled"]) == history[1]["train_generator_misled"]
    curves = _curves(Outcome({}, 1, some, {}), recipe, ())
    plots = {plot.title: [curve.name for curve in plot.curves] for plot in curves}
    assert plots["Loss by term"] == ["critic_real", "critic_false", "generator_misled"]
    assert plots["Learning rate"] == ["critic", "generator"]
    assert "Loss" not in plots
    json.dumps(some, allow_nan=False)

"""A plug-in's task on series goes the whole way: trained, killed, resumed, reported, verified, exported, predicted."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import svertka
from svertka import plugins
from svertka.runtime.series import SeriesTransform
from svertka.workflows.models import open_predictor
from svertka.workflows.progress import Display
from svertka.zoo.modelfile import load_model
from toy_series import NET, TASK, THINGS, write

RECIPE: dict[str, Any] = {
    "net": NET.name,
    "epochs": 6,
    "batch": 16,
    "lr": 0.01,
    "precision": "fp32",
    "layout": "channels_first",
    "threads": 1,
    "save_every": 0,
    "progress": False,
}
_SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
import svertka, toy_series
svertka.register(*toy_series.THINGS)
svertka.train({data!r}, out={out!r}, resume=True, **{recipe!r})
"""


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "_state", plugins._State())
    plugins.register(*THINGS)


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("series") / "logs", {"slow": 20, "mid": 20, "fast": 20})


@pytest.fixture(scope="module")
def run(series: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    before, plugins._state = plugins._state, plugins._State()  # of the module, whose tests have one each
    try:
        plugins.register(*THINGS)
        out = tmp_path_factory.mktemp("runs") / "run"
        svertka.train(series, out=out, **RECIPE)
    finally:
        plugins._state = before
    return out


def test_a_task_on_series_is_learnt_and_its_model_proves_itself(run: Path, series: Path) -> None:
    _, card = load_model(run / "model.safetensors")
    assert (card.task, card.media, card.classes) == (TASK.name, "series", ("fast", "mid", "slow"))
    assert isinstance(card.input, SeriesTransform)
    assert card.input.shape == (2, 40)  # the median of what there is
    assert -105 < card.input.mean[1] < -95
    assert all(golden.input.dtype == np.float32 for golden in card.golden)
    assert card.provenance["recipe"]["augment"] == []
    assert card.provenance["data"]["images"] == {"train": 48, "val": 12}
    assert max(engine.max_abs_diff for engine in svertka.verify(run).engines) < 1e-4
    found = svertka.evaluate(run, series, progress=False)
    assert found.metrics == pytest.approx(card.metrics["val"])
    assert found.judged_on == "val"
    assert found.metrics["accuracy"] > 0.6


def test_the_report_shows_curves_and_says_series(run: Path) -> None:
    page = (run / "report.html").read_text()
    assert "from 48 series in" in page
    assert "Most uncertain" in page
    assert page.count("<img") >= 12
    said = re.sub(r"<(script|style)\b.*?</\1>|<[^>]*>", " ", page, flags=re.DOTALL)
    assert "validation series" in said
    assert not re.search(r"\bimages?\b", said)


def test_files_of_series_and_folders_of_them_are_predicted(
    run: Path, series: Path, tmp_path: Path, svertka_call: Callable[..., Any]
) -> None:
    np.save(tmp_path / "wide.npy", np.zeros((9, 3), np.float32))
    (tmp_path / "hole.csv").write_text("speed,heat\n1,2\n3,\n")
    exported = tmp_path / "model.onnx"
    svertka.export(run, out=exported)
    for model in (run, exported):
        found = svertka.predict(model, [series / "slow" / "0.csv", series / "fast", tmp_path])
        assert len(found) == 23
        answers = {Path(one.file).name: one for one in found}
        assert "3 channels" in str(answers["wide.npy"].error)
        assert "not a readable series" in str(answers["hole.csv"].error)
        assert found[0].size == (len((series / "slow" / "0.csv").read_text().splitlines()) - 1,)
    answer = svertka_call("predict", run, series / "mid" / "1.npy", "--out", tmp_path / "said")
    assert answer.status == 0, answer.err
    with Image.open(tmp_path / "said" / "1-drawn.png") as picture:
        assert picture.size[0] == 480
    answer = svertka_call("predict", run, series / "mid", "--out", tmp_path / "all.csv")
    assert len((tmp_path / "all.csv").read_text().splitlines()) == 21
    predictor = open_predictor(run)
    assert predictor(series / "mid" / "1.npy").line() == predictor(np.load(series / "mid" / "1.npy")).line()


def test_a_killed_run_ends_with_the_same_bytes(series: Path, tmp_path: Path) -> None:
    out = tmp_path / "killed"
    text = _SCRIPT.format(
        tests=str(Path(__file__).parents[1]), data=str(series), out=str(out), recipe={**RECIPE, "epochs": 40}
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    running = subprocess.Popen([sys.executable, "-c", text], env=environment, stderr=subprocess.PIPE)
    seen: set[int] = set()
    until = time.monotonic() + 120
    while len(seen) < 3 and running.poll() is None and time.monotonic() < until:
        try:
            seen.add((out / "checkpoint.safetensors").stat().st_mtime_ns)
        except FileNotFoundError:
            time.sleep(0.001)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    assert running.returncode == -signal.SIGKILL, "it was over before it was killed"
    svertka.train(series, out=out, resume=True, **{**RECIPE, "epochs": 40})
    svertka.train(series, out=tmp_path / "straight", **{**RECIPE, "epochs": 40})
    assert (out / "model.safetensors").read_bytes() == (tmp_path / "straight" / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"augment": "flip"}, "--augment is about images, and small_series_net takes series"),
        ({"image_size": 32}, "--image-size is about images"),
        ({"channels": 1}, "--channels is about images"),
        ({"weights": "RUN"}, "--weights is for networks that take images"),
        ({"net": "lenet5"}, "lenet5 takes images, and the data are series"),
        ({"reject": 0.05}, "--reject is about other tasks (classification)"),
        ({"dropout": 0.2, "net_options": {"depth": 3}}, "has no option 'depth'"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_is_only_for_images_is_refused_in_training(
    given: dict[str, Any], told: str, run: Path, series: Path, tmp_path: Path
) -> None:
    given = {name: str(run) if value == "RUN" else value for name, value in given.items()}
    with pytest.raises(svertka.UserError) as caught:
        svertka.train(series, out=tmp_path / "run", **{**RECIPE, **given})
    assert told in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_network_of_series_does_not_learn_from_images(tmp_path: Path, few_digits: Path) -> None:
    with pytest.raises(svertka.UserError, match="small_series_net takes series, and the data are images"):
        svertka.train(few_digits, out=tmp_path / "run", **RECIPE)


def test_commands_that_are_only_for_images_say_so(run: Path, series: Path, tmp_path: Path) -> None:
    calls: tuple[Callable[[], object], ...] = (
        lambda: svertka.check(series, progress=False),
        lambda: svertka.convert(series, tmp_path / "converted", format="csv"),
        lambda: svertka.explain(run, series, out=tmp_path / "explained"),
        lambda: svertka.bench(run),
        lambda: svertka.bench(NET.name),
        lambda: svertka.prune(run, series, out=tmp_path / "pruned"),
        lambda: svertka.compare(series, progress=False),
    )
    for call in calls:
        with pytest.raises(svertka.UserError, match="series"):
            call()


def test_networks_of_series_stand_in_the_list_and_are_measured(svertka_call: Callable[..., Any]) -> None:
    (found,) = svertka.list_nets("small_series")
    assert (found["media"], found["image_size"], found["channels"]) == ("series", 32, 2)
    assert found["macs"] == 5 * 2 * 8 * 16 + 5 * 8 * 16 * 8 + 16 * 3
    (found,) = svertka.list_nets(NET.name)
    told = [(stage["name"], stage["shape"], stage["stride"], stage["receptive_field"]) for stage in found["stages"]]
    assert told == [("c1", [8, 16], 2, 5), ("c2", [16, 8], 4, 13), ("head", [3], None, None)]
    assert "one series of 32 × 2; takes series of any size from 4 on" in svertka_call("nets", NET.name).out
    assert "32×2" in svertka_call("nets", "small_series").out


def test_progress_and_the_short_tests_say_series(
    series: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, svertka_call: Callable[..., Any]
) -> None:
    told: list[str] = []
    monkeypatch.setattr(Display, "_update", lambda _, what, *rest: told.append(f"{what} {rest[-1]}"))
    monkeypatch.setenv("SVERTKA_CACHE", str(tmp_path))
    recipe = {name: value for name, value in RECIPE.items() if name != "progress"}
    assert svertka.train(series, check_wiring=True, **recipe).media == "series"
    assert any("reading series" in line for line in told)
    assert not any("image" in line for line in told)
    flags = [item for name, value in recipe.items() for item in (f"--{name.replace('_', '-')}", value)]
    assert "one batch of 16 series" in svertka_call("train", series, "--check-wiring", *flags).out

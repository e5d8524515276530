"""Each of the three tasks goes the whole way, and is held to what Svertka holds its own tasks and networks to."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_tasks.data import make_digits, make_waves
from small_tasks.waves_reader import read_waves

import svertka
from svertka.testing import check_net, check_reader, check_task

CASES: dict[str, dict[str, Any]] = {
    "waves": {"epochs": 8},
    "digits-drawing": {"epochs": 12, "task": "drawing", "net": "digits_gan"},
    "digits-embedding": {"epochs": 6, "task": "embedding", "net": "small_embedder"},
}
PLAIN = {"precision": "fp32", "layout": "channels_first", "threads": 1, "seed": 3, "save_every": 0}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    make_waves(folder / "waves")
    make_digits(folder / "digits")
    np.save(folder / "noise.npy", np.random.default_rng(0).standard_normal((16, 1)).astype(np.float32))
    return folder


@pytest.fixture(scope="module", params=CASES)
def run(request: pytest.FixtureRequest, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    recipe = {"net": "wave_net", **CASES[request.param], **PLAIN}
    out = tmp_path_factory.mktemp("runs") / request.param
    return svertka.train(data / request.param.partition("-")[0], out=out, progress=False, **recipe)


def given_to(run: Any, data: Path) -> Path:
    """What the model of a run predicts of."""
    return {"waves": data / "waves/saw/0.csv", "digits-drawing": data / "noise.npy"}.get(
        run.run.name, data / "digits/2/0.png"
    )


def test_it_learns(run: Any) -> None:
    least = {"waves": ("accuracy", 0.6), "digits-drawing": ("likeness", 0.2), "digits-embedding": ("recall_at_1", 0.8)}
    metric, value = least[run.run.name]
    assert run.metrics[metric] > value


def test_killed_and_resumed_it_ends_with_the_same_bytes(run: Any, data: Path, tmp_path: Path) -> None:
    flags = {"net": "wave_net", **CASES[run.run.name], **PLAIN}
    command = [sys.executable, "-m", "svertka", "train", data / run.run.name.partition("-")[0], "--resume", "--json"]
    command += ["--out", tmp_path / "run", *(f"--{name.replace('_', '-')}={value}" for name, value in flags.items())]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (tmp_path / "run/checkpoint.safetensors").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    assert (tmp_path / "run/model.safetensors").read_bytes() == run.model.read_bytes()


def test_it_is_exported_and_verified_in_every_engine(run: Any, data: Path, tmp_path: Path) -> None:
    exported = svertka.export(run.run, out=tmp_path / "model.onnx", progress=False)
    for model in (run.run, exported.model):
        verified = svertka.verify(model)
        assert verified.ok
    file = given_to(run, data)
    lines = [svertka.predict(model, file)[0].result.line() for model in (run.run, exported.model)]
    assert lines[0] == lines[1]


def test_it_is_judged_as_training_judged_it(run: Any, data: Path) -> None:
    evaluated = svertka.evaluate(run.run, data / run.run.name.partition("-")[0], progress=False)
    assert evaluated.judged_on == "val"
    for name, value in run.metrics.items():
        assert evaluated.metrics[name] == pytest.approx(value, abs=1e-5)


def test_it_is_shown_and_diagnosed(run: Any) -> None:
    page = run.report.read_text()
    sentence = {"waves": "It names", "digits-drawing": "Its pictures are", "digits-embedding": "are nearest to one"}
    assert sentence[run.run.name] in page
    assert svertka.diagnose(run.run).state == "finished"


def test_what_nothing_explains_is_said(run: Any, data: Path, tmp_path: Path) -> None:
    with pytest.raises(svertka.UserError):
        svertka.explain(run.run, data / "digits/2/0.png", out=tmp_path / "page", progress=False)


@pytest.mark.parametrize("name", ["wave_net", "digits_gan", "small_embedder"])
def test_networks_keep_their_contract(name: str) -> None:
    check_net(name)


@pytest.mark.parametrize("name", ["wave_net", "digits_gan", "small_embedder"])
def test_networks_are_listed_and_measured(name: str) -> None:
    assert name in [net["name"] for net in svertka.list_nets()]
    assert svertka.list_nets(name)[0]["stages"]


@pytest.mark.parametrize("name", ["wave_classification", "drawing", "embedding"])
def test_tasks_keep_their_contract(name: str) -> None:
    check_task(name, ["saw", "sine", "sine"])


def test_the_reader_keeps_its_contract(data: Path) -> None:
    check_reader("waves", data / "waves")


def test_a_class_folder_without_series_is_refused(tmp_path: Path) -> None:
    (tmp_path / "saw").mkdir()
    with pytest.raises(svertka.UserError, match=r"a class folder without a \.csv file"):
        read_waves(tmp_path)

"""Training from trained weights: what is frozen is frozen and run once, and every step can be resumed."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from svertka.zoo.modelfile import load_model

QUICK = ("--engine", "pytorch", "--batch", 16, "--epochs", 2)


def card_of(run: Path) -> Any:
    return load_model(run / "model.safetensors")[1]


def test_a_head_is_fitted_to_frozen_stages(
    digits: Path, weights: Path, plain: tuple[str, ...], svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    answer = svertka_call("train", digits, "--weights", weights, "--out", run, *QUICK, *plain, "--json")
    assert answer.status == 0, answer.err
    assert answer.json["metrics"]["accuracy"] > 0.3  # by chance 0.1; the features are random
    assert {path.name for path in run.iterdir()} == {
        "begun.json",
        "model.safetensors",
        "recipe.toml",
        "report.html",
        "run.json",
        "split.csv",
    }
    before, _ = load_model(weights)
    after, card = load_model(run / "model.safetensors")
    last = before.trunk.names[-1]
    assert before.trunk.digests() == after.trunk.digests()
    assert card.provenance["transfer"]["frozen"] == {"up to": last, "sha256": before.trunk.digests()[last]}
    assert card.licence == "CC0-1.0"
    assert card.input.mean == (0.4, 0.5, 0.6)
    assert card.classes == tuple("0123456789")
    assert svertka_call("verify", run, "--json").json["ok"]
    exported = svertka_call("export", run, "--json").json["model"]
    picture = digits / "3" / next((digits / "3").iterdir()).name
    one, other = (svertka_call("predict", model, picture, "--json").json for model in (run, exported))
    assert one[0]["classes"][0]["name"] == other[0]["classes"][0]["name"]
    assert "What was tried" in (run / "report.html").read_text()
    evaluated = svertka_call("evaluate", run, digits, "--json").json
    assert evaluated["metrics"]["accuracy"] == pytest.approx(answer.json["metrics"]["accuracy"], abs=0.03)


@pytest.mark.parametrize("head", ["linear", "svm", "kernel_svm", "means", "mlp", "own"])
def test_every_head_travels_in_the_model_file(
    head: str, digits: Path, weights: Path, plain: tuple[str, ...], svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    flags = ("--weights", weights, "--head", head, "--out", run)
    answer = svertka_call("train", digits, *flags, *QUICK, *plain, "--json")
    assert answer.status == 0, answer.err
    verified = svertka_call("verify", run, "--json")
    assert verified.json["ok"], verified.out
    assert {"pytorch", "onnxruntime"} <= {engine["name"] for engine in verified.json["engines"]}
    before, after = load_model(weights)[0], load_model(run / "model.safetensors")[0]
    assert before.trunk.digests() == after.trunk.digests()


def test_a_second_run_remembers(
    digits: Path,
    weights: Path,
    plain: tuple[str, ...],
    svertka_call: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SVERTKA_CACHE", str(tmp_path / "cache"))
    said = []
    for number, head in enumerate(("linear", "means", "svm")):
        flags = ("--weights", weights, "--head", head, "--out", tmp_path / str(number))
        said.append(svertka_call("train", digits, *flags, *QUICK, *plain).err)
    assert "200 of 200 images run by pytorch" in said[0]
    assert all(" 0 of 200 images run" in text for text in said[1:])


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_engines_agree(
    engine: str,
    digits: Path,
    weights: Path,
    plain: tuple[str, ...],
    svertka_call: Callable[..., Any],
    tmp_path: Path,
) -> None:
    pytest.importorskip(engine)
    losses = []
    for name in ("pytorch", engine):
        flags = ("--weights", weights, "--engine", name, "--out", tmp_path / name)
        answer = svertka_call("train", digits, *flags, *plain, "--json")
        assert answer.status == 0, answer.err
        losses.append(answer.json["metrics"]["loss"])
    assert losses[0] == pytest.approx(losses[1], rel=0.01)


@pytest.mark.parametrize("freeze", ["conv3", "none"])
def test_what_is_not_frozen_learns(
    freeze: str, digits: Path, weights: Path, plain: tuple[str, ...], svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    flags = ("--weights", weights, "--freeze", freeze, "--views", "identity", "flip", "--out", run)
    # A rate at which a few epochs are enough to be better than the head alone.
    answer = svertka_call("train", digits, *flags, *QUICK[:-1], 8, "--lr", 0.01, *plain, "--json")
    assert answer.status == 0, answer.err
    before, (after, card) = load_model(weights)[0], load_model(run / "model.safetensors")
    names = before.trunk.names
    frozen = names[: names.index(freeze) + 1] if freeze in names else ()
    one, other = before.trunk.digests(), after.trunk.digests()
    assert [one[name] for name in frozen] == [other[name] for name in frozen]
    kept = [step["kept"] for step in answer.json["tried"]]
    assert kept.count(True) == 1
    assert len(kept) == 2
    changed = one[names[-1]] != other[names[-1]]
    assert changed == kept[1]
    assert ("frozen" in card.provenance["transfer"]) == (bool(frozen) or kept[0])
    assert svertka_call("verify", run, "--json").json["ok"]


def test_a_budget_decides_once_what_learns(
    digits: Path,
    weights: Path,
    plain: tuple[str, ...],
    svertka_call: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from svertka.workflows.training import transfer as _transfer

    run = tmp_path / "run"
    command = ("train", digits, "--weights", weights, "--budget", "1m", "--out", run, *QUICK[:4], *plain, "--json")
    answer = svertka_call(*command)
    assert answer.status == 0, answer.err
    plan = json.loads((run / "plan.json").read_text())
    assert plan["depth"] == 0  # so small a network is trained whole
    *_, epochs = plan["epochs"].values()
    assert len(answer.json["tried"]) == 2
    assert f"the whole network, {epochs} epochs" == answer.json["tried"][1]["name"]
    # Resumed, it does what it has decided, though it would decide otherwise now.
    model = (run / "model.safetensors").read_bytes()
    (run / "run.json").unlink()
    monkeypatch.setattr(_transfer, "plan_depth", lambda *_, **__: None)
    assert svertka_call(*command, "--resume").status == 0
    assert (run / "model.safetensors").read_bytes() == model


def test_a_budget_too_short_for_more_than_a_head(
    digits: Path, weights: Path, plain: tuple[str, ...], svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    flags = ("--weights", weights, "--budget", "0.1s", "--out", tmp_path / "run")
    answer = svertka_call("train", digits, *flags, *QUICK[:4], *plain, "--json")
    assert answer.status == 0, answer.err
    assert [step["kept"] for step in answer.json["tried"]] == [True]


def test_a_head_alone_keeps_a_budget_that_frozen_stages_would_break(
    digits: Path,
    weights: Path,
    plain: tuple[str, ...],
    svertka_call: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from svertka.training.budget import Phase, TooSlowError
    from svertka.workflows.training import transfer as _transfer

    def late(*_: object) -> None:
        raise TooSlowError("planted")

    monkeypatch.setattr(_transfer, "plan_depth", lambda *_, **__: Phase(3, 2, 30.0))
    monkeypatch.setattr(_transfer, "Deadline", lambda _: SimpleNamespace(look=late))
    monkeypatch.setenv("SVERTKA_CACHE", str(tmp_path / "cache"))
    command = ("train", digits, "--weights", weights, "--budget", "1m", "--out", tmp_path / "run", *QUICK[:4], *plain)
    answer = svertka_call(*command)
    assert answer.status == 0, answer.err
    assert "the head alone learns: planted" in answer.err
    assert json.loads((tmp_path / "run" / "plan.json").read_text()) is None


def test_what_will_be_written_is_reported_before(
    digits: Path,
    weights: Path,
    plain: tuple[str, ...],
    svertka_call: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from svertka.workflows.training import frozen as _frozen

    monkeypatch.setattr(_frozen, "_WORTH_SAYING", 1)
    monkeypatch.setenv("SVERTKA_CACHE", str(tmp_path / "cache"))
    flags = ("--weights", weights, "--freeze", "conv1", "--out", tmp_path / "run")
    answer = svertka_call("train", digits, *flags, *QUICK, *plain)
    assert answer.status == 0, answer.err
    found = re.search(r"frozen stages up to \w+: ([\d,]+) MB will be written to (.*)", answer.err)
    assert found is not None
    assert found[2] == str(tmp_path / "cache" / "memory")
    written = sum(file.stat().st_size for file in (tmp_path / "cache" / "memory").rglob("*.rows"))
    assert int(found[1].replace(",", "")) == round(written / 1e6)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("flags", [("--freeze", "conv3"), ("--freeze", "none"), ("--head", "mlp")], ids=" ".join)
def test_killed_and_resumed_it_ends_with_the_same_bytes(
    flags: tuple[str, ...],
    digits: Path,
    weights: Path,
    plain: tuple[str, ...],
    start: Callable[..., Any],
    svertka_call: Callable[..., Any],
    tmp_path: Path,
) -> None:
    command = ("train", digits, "--weights", weights, *flags, *QUICK, "--save-every", 0, *plain)
    assert svertka_call(*command, "--out", tmp_path / "straight", "--json").status == 0
    run = tmp_path / "cut"
    checkpoints = "checkpoint-head*.safetensors" if "mlp" in flags else "checkpoint-stages*.safetensors"

    def steps_saved() -> int:
        with contextlib.suppress(FileNotFoundError):  # a run that ends removes them
            return max((path.stat().st_mtime_ns for path in run.glob(checkpoints)), default=0)
        return 0

    seen = 0
    for _ in range(4):
        running = start(*command, "--out", run, "--resume", "--json")
        running.wait_until(lambda before=seen: steps_saved() > before)
        seen = steps_saved()
        running.signal(signal.SIGKILL, group=True)
        running.wait()
    assert svertka_call(*command, "--out", run, "--resume", "--json").status == 0
    models = [(folder / "model.safetensors").read_bytes() for folder in (tmp_path / "straight", run)]
    assert models[0] == models[1]
    assert not list(run.glob("checkpoint*"))


def test_a_run_goes_on_only_with_the_weights_it_began_with(
    digits: Path, weights: Path, plain: tuple[str, ...], svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    assert svertka_call("train", digits, "--weights", weights, "--out", run, *QUICK, *plain, "--json").status == 0
    (run / "run.json").unlink()
    begun = json.loads((run / "begun.json").read_text())
    (run / "begun.json").write_text(json.dumps({**begun, "weights": "0"}))
    answer = svertka_call("train", digits, "--out", run, "--resume")
    assert answer.status == 2
    assert "the weights have changed since the run was begun" in answer.err


def test_grey_images_and_another_size(
    digits: Path, weights: Path, plain: tuple[str, ...], svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    flags = ("--weights", weights, "--channels", 1, "--image-size", 20, "--out", tmp_path / "run")
    answer = svertka_call("train", digits, *flags, *QUICK, *plain)
    assert answer.status == 0, answer.err
    assert "the first convolution, trained on 3 channels, now takes 1" in answer.err
    card = card_of(tmp_path / "run")
    assert (card.input.channels, card.input.height) == (1, 20)
    assert svertka_call("verify", tmp_path / "run", "--json").json["ok"]


def test_a_trained_model_is_trained_further(
    digits: Path, trained: tuple[Path, Any], plain: tuple[str, ...], svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    flags = ("--weights", trained[0], "--taps", "c3", "c5", "--out", tmp_path / "run")
    answer = svertka_call("train", digits, *flags, *QUICK, *plain, "--json")
    assert answer.status == 0, answer.err
    assert answer.json["metrics"]["accuracy"] > 0.8
    assert card_of(tmp_path / "run").arguments["head"]["taps"] == ["c3", "c5"]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--freeze", "conv9"), ("no stage 'conv9'", "did you mean")),
        (("--taps", "conv9"), ("no stage 'conv9'",)),
        (("--views", "upside_down"), ("unknown view 'upside_down'",)),
        (("--head", "nose"), ("--head",)),
        (("--net", "resnet50"), ("the weights are of resnet20_cifar, not resnet50",)),
        (("--engine", "steam"), ("--engine",)),
        (("--engine", "pytorch", "--freeze", "none", "--head", "own"), ("--engine is about frozen stages",)),
        (("--trunk", "resnet8_cifar", "--net", "unet"), ("--trunk does nothing with --weights", "leave --trunk out")),
        (("--views", "flip", "--freeze", "none", "--head", "own"), ("--views is about frozen stages",)),
        (("--taps", "conv9", "--head", "own"), ("--taps does nothing with --head own", "leave --taps out")),
        (("--lr-decay", 0.9, "--freeze", "all"), ("--lr-decay does nothing with --freeze all", "leave --lr-decay out")),
    ],
    ids=lambda value: value[0] if value[0].startswith("--") else "",
)
def test_what_cannot_be(
    flags: tuple[str, ...],
    words: tuple[str, ...],
    digits: Path,
    weights: Path,
    plain: tuple[str, ...],
    svertka_call: Callable[..., Any],
    tmp_path: Path,
) -> None:
    answer = svertka_call("train", digits, "--weights", weights, "--out", tmp_path / "run", *flags, *plain, "--json")
    assert answer.status == 2
    assert answer.err.count("\n") == 1
    for word in words:
        assert word in answer.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("what", ["absent", "a pickle", "cut"])
def test_weights_that_cannot_be_used(
    what: str, digits: Path, weights: Path, svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    path = tmp_path / {"absent": "absent.safetensors", "a pickle": "weights.pth", "cut": "cut.safetensors"}[what]
    if what != "absent":
        path.write_bytes(weights.read_bytes()[:-100])
    answer = svertka_call("train", digits, "--weights", path, "--out", tmp_path / "run")
    assert answer.status == 2
    assert path.name in answer.err
    assert answer.err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_head_is_fitted_without_waiting_for_what_gradient_descent_needs(
    digits: Path, weights: Path, tmp_path: Path
) -> None:
    slow = ("lightning_fabric", "sklearn", "matplotlib", "torch._dynamo")
    code = (
        "import sys, svertka; "
        f"svertka.train({str(digits)!r}, weights={str(weights)!r}, out={str(tmp_path / 'run')!r}, "
        "engine='pytorch', progress=False); "
        f"print([name for name in {slow} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == "[]\n", done.stderr

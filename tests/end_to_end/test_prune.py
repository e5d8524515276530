"""``svertka prune``: what is written is smaller, right, and a model file like any other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import svertka
from svertka.zoo.modelfile import load_model

Call = Callable[..., Any]


@pytest.fixture(scope="module")
def pruned(
    digits: Path, trained: tuple[Path, Any], svertka_call: Call, tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """The folder of a run that was pruned to half of its operations in two steps, and what was said."""
    out = tmp_path_factory.mktemp("pruned") / "out"
    answer = svertka_call(
        "prune", trained[0], digits, "--out", out, "--macs", 0.5, "--steps", 2, "--epochs", 3, "--json"
    )
    assert (answer.status, answer.err) == (0, "")
    return out, answer.json


def test_every_step_is_smaller_and_said_as_it_is(pruned: Any, trained: tuple[Path, Any]) -> None:
    out, told = pruned
    whole, middle, last = told["points"]
    assert told["kind"] == "channels"
    assert (told["judged_on"], told["images"]) == ("val", 40)
    assert told["model"] == str(out / "model.safetensors")
    assert [point["model"] for point in told["points"]] == [
        str(trained[0] / "model.safetensors"),
        str(out / "step1.safetensors"),
        str(out / "model.safetensors"),
    ]
    assert 0.6 * whole["macs"] < middle["macs"] <= 0.708 * whole["macs"]
    assert last["macs"] <= 0.5 * whole["macs"]
    for point in told["points"]:
        assert point["bytes"] == Path(point["model"]).stat().st_size
        assert point["compressed"] < point["bytes"]
        net, card = load_model(Path(point["model"]))
        assert sum(int(value.count_nonzero()) for value in net.parameters()) == point["parameters"]
        assert card.metrics["val"]["accuracy"] == pytest.approx(point["metrics"]["accuracy"])
        assert point["latency"] is None or point["latency"] > 0
    assert whole["parameters"] > middle["parameters"] > last["parameters"]
    assert whole["metrics"]["accuracy"] == pytest.approx(trained[1].json["metrics"]["accuracy"])
    assert last["metrics"]["accuracy"] > 0.5  # by chance 0.1


def test_ways_to_choose_are_tried_and_the_best_is_taken(pruned: Any) -> None:
    out, told = pruned
    tried = told["tried"]
    assert {(choice["ranking"], choice["allocation"]) for choice in tried} == {
        (ranking, allocation) for ranking in ("magnitude", "taylor") for allocation in ("alike", "by sensitivity")
    }
    ranks = [(choice["metrics"]["accuracy"], -choice["metrics"]["loss"]) for choice in tried]
    assert ranks == sorted(ranks, reverse=True)
    _, card = load_model(out / "model.safetensors")
    assert card.provenance["pruning"] == {
        "left": told["points"][-1]["name"],
        "ranking": tried[0]["ranking"],
        "allocation": tried[0]["allocation"],
    }
    page = (out / "prune.html").read_text()
    assert "Four ways, before any training" in page
    assert f"{told['points'][-1]['macs'] / told['points'][0]['macs']:.0%} of the operations" in page


def test_the_narrow_model_is_a_model_file_like_any_other(
    pruned: Any, digits: Path, plain: tuple[str, ...], svertka_call: Call, tmp_path: Path
) -> None:
    out, told = pruned
    model = out / "model.safetensors"
    net, card = load_model(model)
    assert card.arguments["widths"]
    verified = svertka_call("verify", model, "--json")
    assert verified.status == 0
    assert {engine["name"] for engine in verified.json["engines"]} >= {"pytorch", "onnxruntime"}
    exported = svertka_call("export", model, "--out", tmp_path / "model.onnx", "--json")
    assert exported.status == 0
    evaluated = svertka_call("evaluate", out, digits, "--json")
    assert evaluated.json["judged_on"] == "val"
    assert evaluated.json["metrics"]["accuracy"] == pytest.approx(told["points"][-1]["metrics"]["accuracy"])
    # It is trained further: with its own head, and frozen under another, which it stays under.
    for freeze, head in (("none", "own"), ("all", "linear")):
        run = tmp_path / head
        flags = ("--weights", model, "--freeze", freeze, "--head", head, "--epochs", 1)
        engine = () if freeze == "none" else ("--engine", "pytorch")
        answer = svertka_call("train", digits, *flags, *engine, "--out", run, *plain, "--json")
        assert answer.status == 0, answer.err
        again, its_card = load_model(run / "model.safetensors")
        assert again.trunk.channels(32, 32) == net.trunk.channels(32, 32)
        assert svertka_call("verify", run, "--json").status == 0
        if freeze == "all":
            assert again.trunk.digests() == net.trunk.digests()
            assert not any(path.startswith("head.") for path in its_card.arguments["widths"])
    explained = svertka_call(
        "explain", model, digits, "--out", tmp_path / "explained", "--method", "filters", "--examples", 1, "--json"
    )
    assert explained.status == 0


def test_a_trunk_under_a_head_that_reads_several_stages_is_pruned_and_measured(
    digits: Path, weights: Path, plain: tuple[str, ...], svertka_call: Call, tmp_path: Path, capsys: Any
) -> None:
    flags = ("--weights", weights, "--taps", "conv2", "conv3", "--engine", "pytorch", "--out", tmp_path / "run", *plain)
    assert svertka_call("train", digits, *flags, "--json").status == 0
    done = svertka.prune(tmp_path / "run", digits, out=tmp_path / "pruned", macs=0.7, steps=1, epochs=1)
    assert "linear head on conv2, conv3: " in capsys.readouterr().err  # fitted anew to what is left
    first, last = done.points
    assert last.macs <= 0.7 * first.macs
    assert svertka.verify(done.model).ok
    _, card = load_model(done.model)
    assert card.arguments["head"]["taps"] == ["conv2", "conv3"]
    benched = svertka_call(
        "bench", tmp_path / "run", done.model, "--batch", 1, "--threads", 1, "--seconds", 0.01, "--json"
    )
    assert benched.status == 0, benched.err
    assert [model["macs"] for model in benched.json["models"]] == [first.macs, last.macs]


def test_a_pruned_model_is_pruned_again(pruned: Any, digits: Path, tmp_path: Path) -> None:
    out, told = pruned
    again = svertka.prune(out, digits, out=tmp_path / "again", macs=0.8, steps=1, epochs=1, progress=False)
    first, last = again.points
    assert first.macs == told["points"][-1]["macs"]
    assert last.macs <= 0.8 * first.macs
    assert svertka.verify(again.model).ok


def test_weights_that_were_zeroed_stay_zero_and_compress(
    trained: tuple[Path, Any], digits: Path, svertka_call: Call, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    answer = svertka_call("prune", trained[0], digits, "--out", out, "--sparsity", 0.8, "--epochs", 2, "--json")
    assert answer.status == 0, answer.err
    told = answer.json
    whole, last = told["points"][0], told["points"][-1]
    assert told["kind"] == "weights"
    assert told["tried"] == []
    net, card = load_model(out / "model.safetensors")
    weights = [value for value in net.parameters() if value.ndim > 1]
    zeros = sum(int((value == 0).sum()) for value in weights)
    assert zeros / sum(value.numel() for value in weights) == pytest.approx(0.8, abs=0.001)
    assert any(bool((value != 0).any()) for value in weights)
    assert last["macs"] == whole["macs"]
    assert last["latency"] is None
    assert last["compressed"] < 0.5 * whole["compressed"]
    assert last["metrics"]["accuracy"] > 0.5
    assert "widths" not in card.arguments
    assert svertka.verify(out).ok


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--macs", 0.5, "--sparsity", 0.5), "give --macs or --sparsity"),
        (("--macs", 1.5), "macs is 1.5; it must be a share between 0 and 1"),
        (("--sparsity", 0), "sparsity is 0; it must be a share between 0 and 1"),
        (("--steps", 0), "steps is 0; it must be at least 1"),
        (("--macs", 0.01), "channels can be taken out down to"),
        (("--epochs", 0), "epochs is 0; it must be at least 1"),
    ],
    ids=lambda value: str(value[0]) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_is_said_in_a_line(
    flags: tuple[Any, ...], said: str, trained: tuple[Path, Any], digits: Path, svertka_call: Call, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    answer = svertka_call("prune", trained[0], digits, "--out", out, *flags)
    assert answer.status == 2
    assert said in answer.err.splitlines()[-1]
    assert not out.exists()


def test_what_has_no_channels_within_is_said(digits: Path, plain: Any, svertka_call: Call, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert svertka_call("train", digits, "--net", "perceptron", "--epochs", 1, "--out", run, *plain).status == 0
    answer = svertka_call("prune", run, digits, "--out", tmp_path / "out")
    assert answer.status == 2
    assert "perceptron has no channels that could be taken out; give --sparsity" in answer.err


def test_one_that_refuses_images_is_not_pruned(refusing: tuple[Path, Any], digits: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(svertka.UserError, match="by distances that pruning would change; train it without --reject"):
        svertka.prune(refusing[0], digits, out=out, progress=False)
    assert not out.exists()


def test_other_classes_are_said(tiny_model: Path, digits: Path, tmp_path: Path) -> None:
    with pytest.raises(svertka.UserError, match="the network does not know the class"):
        svertka.prune(tiny_model, digits, out=tmp_path / "out", progress=False)

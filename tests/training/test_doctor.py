"""The doctor looks on: it changes no bit, outlives a cut, costs little, and finds what is planted."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ill
import pytest
import torch
from torch import Tensor

from svertka.errors import UserError
from svertka.training.checkpoint import Checkpoints
from svertka.training.diagnoses.diagnosing import DIAGNOSES, diagnose
from svertka.training.diagnoses.units import batch_too_small_for_norm
from svertka.training.doctor import Doctor
from svertka.training.gauges import Gauges
from svertka.training.loop import InterruptedTrainingError, Training
from svertka.training.signals import (
    _NEEDED,
    MOST,
    Background,
    Signals,
    read_saved,
    read_signals,
    rounded,
    write_signals,
)

EVERYTHING: dict[str, Any] = {
    "net": "lenet5",
    "epochs": 4,
    "samples": 44,
    "batch": 4,
    "accumulate": 2,
    "dropout": 0.3,
    "augment": ("crop",),
    "optimizer": "adamw",
    "clip": 1.0,
    "save_every": 0.0,
}


def same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking on may take as long as it does: on a busy machine it would see less, and find less."""
    monkeypatch.setattr("svertka.training.doctor._ALLOWED", 1e9)


def doctor(path: Path | None = None, said: list[str] | None = None, **background: Any) -> Doctor:
    counts = {"train": [15, 15, 14], "val": [4, 4, 4]}
    return Doctor(Background(counts=counts, **background), path, (said if said is not None else []).append)


@pytest.mark.parametrize("net", ["lenet5", "mlp"])
def test_looking_on_changes_no_bit(net: str, training: Callable[..., Training]) -> None:
    recipe = {**EVERYTHING, "net": net}
    looked = training(observer=doctor(), **recipe).run()
    assert same(looked.weights, training(**recipe).run().weights)


@pytest.mark.usefixtures("unhurried")
def test_a_cut_changes_no_bit_and_loses_no_signal(
    training: Callable[..., Training], watch: Any, tmp_path: Path
) -> None:
    straight = doctor()
    outcome = training(observer=straight, **EVERYTHING).run()
    cuts = 0
    for _ in range(100):
        seen = doctor(tmp_path / "signals.json")
        try:
            resumed = training(tmp_path, watch(3), seen, **EVERYTHING).run()
            break
        except InterruptedTrainingError:
            cuts += 1
            saved = read_saved(Checkpoints(tmp_path).newest)
            assert saved[""].done == seen.signals.done
    assert cuts > 3
    assert same(resumed.weights, outcome.weights)
    assert seen.signals.done == straight.signals.done == 4 * 6
    assert [row["epoch"] for row in seen.signals.epochs] == [1, 2, 3, 4]
    assert [step["step"] for step in seen.signals.steps] == [step["step"] for step in straight.signals.steps]
    for one, other in zip(seen.signals.steps, straight.signals.steps, strict=True):
        assert one == other
    assert read_signals(tmp_path / "signals.json")[""].steps == seen.signals.steps


@pytest.mark.usefixtures("unhurried")
def test_a_run_that_was_begun_without_a_doctor_goes_on_with_one(
    training: Callable[..., Training], watch: Any, tmp_path: Path
) -> None:
    with pytest.raises(InterruptedTrainingError):
        training(tmp_path, watch(8), **EVERYTHING).run()
    seen = doctor()
    training(tmp_path, None, seen, **EVERYTHING).run()
    assert seen.signals.done == 24
    assert seen.signals.steps
    assert seen.signals.steps[0]["step"] > 0


@pytest.mark.usefixtures("unhurried")
def test_what_is_read_at_a_step_by_hand(training: Callable[..., Training]) -> None:
    seen = doctor()
    made = training(observer=seen, net="lenet5", epochs=1, batch=36, val=0, lr=0.5)
    before = {name: value.detach().clone() for name, value in made.module.named_parameters()}
    made.run()
    (step,) = seen.signals.steps
    for stage, name in (("c1", "trunk.c1.0.weight"), ("c3", "trunk.c3.0.weight"), ("c5", "trunk.c5.0.weight")):
        after = dict(made.module.named_parameters())[name].detach()
        movement = float((after - before[name]).norm() / before[name].norm())
        assert step["update"][stage] == pytest.approx(movement, rel=1e-3)
        assert step["gradient"][stage] == pytest.approx(float((after - before[name]).norm()) / 0.5, rel=1e-3)
        assert step["weight"][stage] == pytest.approx(float(before[name].norm()), rel=1e-3)
    assert step["loss"] == pytest.approx(step["cross_entropy"], rel=1e-3)
    mean, deviation, least, largest = step["inputs"]
    batch = next(iter(made.train.training(0))).inputs
    assert [mean, deviation] == pytest.approx([float(batch.mean()), float(batch.std(correction=0))], rel=1e-3)
    assert [least, largest] == pytest.approx([float(batch.min()), float(batch.max())], rel=1e-3)


def test_units_that_give_nothing_are_counted() -> None:
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2), torch.nn.Tanh())
    with torch.no_grad():
        net[0].weight.zero_()
        net[0].bias.copy_(torch.tensor([-1.0, -1.0, -1.0, 1.0]))
        net[2].weight.zero_()
        net[2].bias.copy_(torch.tensor([0.0, 9.0]))
    gauges = Gauges(net)
    gauges.begin()
    output = net(torch.randn(5, 3))
    gauges.batch(torch.randn(5, 3), torch.zeros(5, dtype=torch.int64), exclusive=True)
    output.sum().backward()
    gauges.gradients()
    read = gauges.end()
    assert read["dead"] == {"1": 0.75}
    assert read["saturated"] == {"3": 0.5}
    assert not any(layer._forward_hooks for layer in net.modules())


def test_normalisation_of_tiny_batches_drifts_more() -> None:
    def drift(images: int) -> float:
        torch.manual_seed(0)
        net = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4))
        gauges = Gauges(net.train())
        found = []
        for _ in range(30):
            gauges.begin()
            net(torch.randn(images, 1, 3, 3))
            gauges.gradients()
            found += gauges.end()["drift"].values()
        return sum(found[10:])

    assert drift(2) > 2 * drift(64)


def test_few_images_of_masks_are_too_few_only_where_their_means_drift() -> None:
    def said(*, exclusive: bool, drift: float) -> bool:
        facts = {"recipe": {"batch": 2}, "norms": 1, "exclusive": exclusive, "steps_an_epoch": 1}
        steps = [{"step": number, "drift": {"norm": drift}} for number in range(3)]
        return batch_too_small_for_norm(Signals(facts, steps)) is not None

    assert said(exclusive=True, drift=0.1)
    assert said(exclusive=False, drift=0.5)
    assert not said(exclusive=False, drift=0.1)


def test_the_record_is_bounded_and_keeps_its_ends() -> None:
    signals = Signals()
    for number in range(10 * MOST):
        signals.add_step({"step": number})
        signals.add_epoch({"epoch": float(number)})
    assert len(signals.steps) <= MOST
    assert len(signals.epochs) <= MOST
    assert signals.steps[0] == {"step": 0}
    assert signals.epochs[-1] == {"epoch": 10.0 * MOST - 1}


def test_what_is_not_finite_can_be_written_and_read(tmp_path: Path) -> None:
    values = rounded({"loss": float("nan"), "norm": [float("inf"), 1.0]})
    assert json.loads(json.dumps(values, allow_nan=False))["norm"][1] == 1.0
    facts: dict[str, Any] = dict.fromkeys(_NEEDED, 1)
    write_signals(tmp_path / "signals.json", {"": Signals(facts, [values])})
    assert read_signals(tmp_path / "signals.json")[""].steps == [values]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"facts": {}}', '{"facts": 3, "else": 1}', "{"])
def test_a_damaged_record_is_a_user_s_error(text: str, tmp_path: Path) -> None:
    (tmp_path / "signals.json").write_text(text)
    with pytest.raises(UserError):
        read_signals(tmp_path / "signals.json")


@pytest.mark.usefixtures("unhurried")
def test_a_training_that_breaks_leaves_its_record(training: Callable[..., Training], tmp_path: Path) -> None:
    seen = doctor(tmp_path / "signals.json")
    with pytest.raises(UserError):
        training(None, None, seen, epochs=5, lr=1e30).run()
    record = read_signals(tmp_path / "signals.json")[""]
    assert "cross_entropy" in record.trouble
    assert "learning_rate_too_high" in {found.kind for found in diagnose(record)}


@pytest.mark.usefixtures("unhurried")
def test_what_is_sure_is_said_once_while_it_runs(training: Callable[..., Training]) -> None:
    said: list[str] = []
    made = training(None, None, doctor(said=said), net="lenet5", epochs=8, samples=60, batch=10)
    made.module.trunk.requires_grad_(False)
    made.run()
    assert sum(line.startswith("everything frozen") for line in said) == 1


SEEN_IN = {
    kind: next(case for case in cases if ill.HAS_GARMENTS or case.data != "garments")
    for kind, cases in ill.PLANTED.items()
    if ill.HAS_GARMENTS or any(case.data != "garments" for case in cases)
}


def test_every_diagnosis_is_planted_five_times() -> None:
    assert {known.kind for known in DIAGNOSES} == ill.PLANTED.keys()
    assert all(len(cases) >= 5 for cases in ill.PLANTED.values())
    assert len(ill.HEALTHY) >= 20


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize("kind", SEEN_IN)
def test_what_is_planted_is_found(kind: str) -> None:
    found = diagnose(ill.train(SEEN_IN[kind]))
    assert kind in {diagnosis.kind for diagnosis in found}
    for diagnosis in found:
        assert 0 < diagnosis.confidence <= 1
        assert "\n" not in diagnosis.line()
        json.dumps(diagnosis.to_json(), allow_nan=False)


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize("number", range(3))
def test_nothing_is_said_of_healthy_trainings(number: int) -> None:
    signals = ill.train(ill.HEALTHY[number])
    assert diagnose(signals) == []
    assert signals.said == []

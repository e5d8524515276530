"""A run that is cut, however often and wherever, ends with the same bits as one that was not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from svertka.errors import UserError
from svertka.training.checkpoint import Checkpoint, Checkpoints
from svertka.training.loop import InterruptedTrainingError, Outcome, Training

EVERYTHING: dict[str, Any] = {
    "net": "lenet5",
    "epochs": 3,
    "samples": 22,
    "batch": 4,
    "accumulate": 2,
    "dropout": 0.3,
    "augment": ("affine", "crop", "flip", "mixup", "cutmix"),
    "ema": 0.9,
    "schedule": "plateau",
    "step_epochs": 1,
    "step_factor": 0.5,
    "lr": 0.02,
    "warmup": 0.5,
    "weight_decay": 0.01,
    "l1": 1e-5,
    "weight_elimination": 1e-4,
    "label_smoothing": 0.1,
    "clip": 1.0,
    "save_every": 0.0,
}
# 22 samples in batches of 4: five whole ones and one of 2, so 3 steps an epoch.
SAVES = 3 * (3 + 1)


def same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def rows(outcome: Outcome) -> list[dict[str, float]]:
    return [{name: value for name, value in row.items() if name != "seconds"} for row in outcome.history]


def until_done(make: Callable[[int], Training], cuts: list[int]) -> tuple[Outcome, int]:
    """Runs that are cut at their n-th save, for each n in ``cuts``, and then one to the end."""
    for number, cut in enumerate(cuts):
        try:
            return make(cut).run(), number
        except InterruptedTrainingError:
            pass
    return make(0).run(), len(cuts)


@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
@pytest.mark.parametrize("optimizer", ["momentum", "adamw"])
def test_cut_after_every_save(
    optimizer: str, layout: str, training: Callable[..., Training], watch: Any, tmp_path: Path
) -> None:
    recipe = {**EVERYTHING, "optimizer": optimizer, "layout": layout}
    straight = training(**recipe).run()
    outcome, cuts = until_done(lambda cut: training(tmp_path, watch(cut), **recipe), [1] * 100)
    assert cuts == SAVES
    assert same(outcome.weights, straight.weights)
    assert rows(outcome) == rows(straight)
    assert outcome.best_epoch == straight.best_epoch


@pytest.mark.parametrize("optimizer", ["sgd", "nesterov", "adam"])
@pytest.mark.parametrize("net", ["mlp", "lenet5"])
def test_other_optimisers(
    optimizer: str, net: str, training: Callable[..., Training], watch: Any, tmp_path: Path
) -> None:
    recipe = {**EVERYTHING, "net": net, "optimizer": optimizer, "epochs": 2, "schedule": "one_cycle"}
    straight = training(**recipe).run()
    outcome, cuts = until_done(lambda cut: training(tmp_path, watch(cut), **recipe), [3, 1, 2])
    assert cuts == 3
    assert same(outcome.weights, straight.weights)


@pytest.mark.parametrize("cut", range(1, SAVES + 1))
def test_one_cut_anywhere(cut: int, training: Callable[..., Training], watch: Any, tmp_path: Path) -> None:
    recipe = {**EVERYTHING, "optimizer": "adamw"}
    outcome, cuts = until_done(lambda at: training(tmp_path, watch(at), **recipe), [cut])
    assert cuts == 1
    assert same(outcome.weights, training(**recipe).run().weights)


@pytest.mark.parametrize("cut", [1, 2, 3, 4, 5])
def test_one_cut_where_the_last_batch_has_joined(
    cut: int, training: Callable[..., Training], watch: Any, tmp_path: Path
) -> None:
    # 21 samples in batches of 4 would leave one: the fifth batch has it, so the last step has 5 samples.
    recipe = {**EVERYTHING, "samples": 21, "least": 2, "epochs": 2}
    straight = training(**recipe)
    assert (straight.train.batches, straight.steps_per_epoch) == (5, 3)
    outcome, _ = until_done(lambda at: training(tmp_path, watch(at), **recipe), [cut])
    assert same(outcome.weights, straight.run().weights)


def test_workers_change_no_bit_and_neither_does_a_cut(
    training: Callable[..., Training], watch: Any, tmp_path: Path
) -> None:
    recipe = {**EVERYTHING, "optimizer": "adamw", "epochs": 2}
    straight = training(**recipe).run()
    outcome, _ = until_done(lambda cut: training(tmp_path, watch(cut), workers=2, **recipe), [2])
    assert same(outcome.weights, straight.weights)


def test_saving_changes_no_bit(training: Callable[..., Training], tmp_path: Path) -> None:
    recipe = {**EVERYTHING, "optimizer": "adamw"}
    assert same(training(tmp_path, **recipe).run().weights, training(**recipe).run().weights)


def test_best_weights_and_patience_outlive_a_cut(training: Callable[..., Training], watch: Any, tmp_path: Path) -> None:
    recipe = {"epochs": 9, "early_stop": 2, "lr": 0.4, "save_every": 0.0, "optimizer": "momentum", "samples": 24}
    straight = training(**recipe).run()
    outcome, _ = until_done(lambda cut: training(tmp_path, watch(cut), **recipe), [1] * 100)
    assert len(straight.history) < 9
    assert rows(outcome) == rows(straight)
    assert outcome.best_epoch == straight.best_epoch
    assert same(outcome.weights, straight.weights)


def test_a_complete_run_resumed_gives_its_outcome_again(
    training: Callable[..., Training], watch: Any, tmp_path: Path
) -> None:
    recipe = {"epochs": 2, "save_every": 0.0}
    first = training(tmp_path, **recipe).run()
    seen = watch()
    again = training(tmp_path, seen, **recipe).run()
    assert seen.steps == []
    assert same(again.weights, first.weights)
    assert again.history == first.history


def test_a_torn_newest_checkpoint_costs_one_save_and_no_bit(
    training: Callable[..., Training], watch: Any, tmp_path: Path
) -> None:
    recipe = {**EVERYTHING, "optimizer": "adamw"}
    with pytest.raises(InterruptedTrainingError):
        training(tmp_path, watch(6), **recipe).run()
    newest = Checkpoints(tmp_path).newest
    newest.write_bytes(newest.read_bytes()[:-1000])
    seen = watch()
    resumed = training(tmp_path, seen, **recipe)
    outcome = resumed.run()
    assert len(seen.warnings) == 1
    assert same(outcome.weights, training(**recipe).run().weights)


def test_time_before_a_cut_counts(training: Callable[..., Training], watch: Any, tmp_path: Path) -> None:
    recipe = {"net": "lenet5", "epochs": 1, "samples": 48, "batch": 4, "save_every": 0.0}
    with pytest.raises(InterruptedTrainingError):
        training(tmp_path, watch(11), **recipe).run()
    found, _ = Checkpoints(tmp_path).load()
    assert found is not None
    before = found.state["seconds"]["training"]
    assert before > 0
    outcome = training(tmp_path, **recipe).run()
    assert outcome.history[0]["seconds"] == outcome.seconds["training"] > before


def test_a_checkpoint_of_another_release_is_refused_in_one_line(
    training: Callable[..., Training], tmp_path: Path
) -> None:
    for state, tensors in [({"era": 3}, {}), ({}, {"net/nothing": torch.zeros(1)})]:
        Checkpoints(tmp_path).save(Checkpoint(state, tensors))
        with pytest.raises(UserError, match="does not fit this release") as caught:
            training(tmp_path).run()
        assert "\n" not in str(caught.value)


def test_a_checkpoint_of_one_update_has_the_names_that_version_1_gave_it(
    training: Callable[..., Training], watch: Any, tmp_path: Path
) -> None:
    with pytest.raises(InterruptedTrainingError):
        training(tmp_path, watch(2), optimizer="adam", ema=0.9, l1=1e-5, save_every=0.0).run()
    found, _ = Checkpoints(tmp_path).load()
    assert found is not None
    assert found.state["sums"].keys() == {"samples", "cross_entropy", "l1"}
    weight = "trunk.hidden1.0.weight"
    names = {name for name in found.tensors if weight in name}
    assert names == {
        *(f"net/{weight}", f"average/{weight}"),
        *(f"optimizer/{weight}/{key}" for key in ("step", "exp_avg", "exp_avg_sq")),
    }


def test_a_full_disk_is_one_line(
    training: Callable[..., Training], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        del descriptor
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(UserError, match="the disk is full"):
        training(tmp_path, save_every=0.0).run()
    assert list(tmp_path.iterdir()) == []

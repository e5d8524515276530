"""The training loop: what a step computes, what ends a run, which weights come back."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from svertka.errors import UserError
from svertka.tasks.classification import Classification
from svertka.training.loop import Outcome, Training

CLASSES = ("left", "middle", "right")


class Ranked(Classification):
    """Calls the epochs as good as it is told, one after another."""

    def __init__(self, *ranks: float) -> None:
        super().__init__(CLASSES)
        self.ranks: Iterator[float] = iter(ranks)

    def rank(self, metrics: Mapping[str, float]) -> tuple[float, ...]:
        del metrics
        return (next(self.ranks),)


def distance(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> float:
    return max(float((one[name] - other[name]).abs().max()) for name in one)


def same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_it_learns(training: Callable[..., Training]) -> None:
    outcome = training(epochs=12, optimizer="adamw", lr=0.01, schedule="one_cycle", samples=90, val=60).run()
    assert outcome.history[-1]["val_accuracy"] > 0.95
    assert outcome.history[-1]["train_loss"] < 0.3 * outcome.history[0]["train_loss"]


def test_a_step_of_plain_descent_by_hand(training: Callable[..., Training]) -> None:
    made = training(epochs=1, batch=36, val=0, lr=0.5)
    weights = {name: value.detach().clone().requires_grad_() for name, value in made.module.named_parameters()}
    batch = next(iter(made.train.training(0)))
    output = torch.func.functional_call(made.module, weights, (batch.inputs,))
    loss = F.cross_entropy(output, batch.targets)
    loss.backward()
    outcome = made.run()
    assert outcome.history[0]["train_loss"] == pytest.approx(loss.item(), rel=1e-6)
    for name, weight in weights.items():
        torch.testing.assert_close(outcome.weights[name], (weight - 0.5 * weight.grad).detach())


def test_label_smoothing_spreads_its_share_over_all_classes(training: Callable[..., Training]) -> None:
    made = training(epochs=1, batch=36, val=0, label_smoothing=0.2)
    batch = next(iter(made.train.training(0)))
    logs = made.module(batch.inputs).log_softmax(1)
    wanted = 0.8 * F.nll_loss(logs, batch.targets) - 0.2 * logs.mean()
    assert made.run().history[0]["train_loss"] == pytest.approx(wanted.item(), rel=1e-6)


@pytest.mark.parametrize("clip", [1e-3, 1e3])
def test_clipping_bounds_the_norm_of_a_step(clip: float, training: Callable[..., Training]) -> None:
    def movement(**recipe: Any) -> float:
        made = training(epochs=1, batch=36, val=0, lr=1.0, **recipe)
        before = {name: value.clone() for name, value in made.module.state_dict().items()}
        after = made.run().weights
        return math.sqrt(sum(float((after[name] - before[name]).square().sum()) for name in before))

    free = movement()
    assert movement(clip=clip) == pytest.approx(min(clip, free), rel=1e-4)


@pytest.mark.parametrize("samples", [48, 44, 41, 33, 7])
def test_accumulated_batches_equal_one_large_batch(samples: int, training: Callable[..., Training]) -> None:
    recipe = {"epochs": 3, "samples": samples, "optimizer": "momentum", "l1": 1e-3, "schedule": "one_cycle"}
    large = training(batch=16, **recipe).run()
    small = training(batch=8, accumulate=2, **recipe).run()
    assert distance(large.weights, small.weights) < 1e-6
    for one, other in zip(large.history, small.history, strict=True):
        assert one["train_loss"] == pytest.approx(other["train_loss"], rel=1e-5)
        assert one["lr"] == other["lr"]


def test_accumulation_moves_the_weights_once_for_its_batches(training: Callable[..., Training]) -> None:
    made = training(epochs=2, samples=30, batch=6, accumulate=3)
    made.run()
    assert made.train.batches == 5
    assert made.state.steps == 2 * 2


def test_penalties_are_loss_terms_by_name(training: Callable[..., Training], watch: Any) -> None:
    seen = watch()
    history = training(None, seen, l1=1e-3, weight_elimination=1e-2).run().history
    terms = ("cross_entropy", "l1", "weight_elimination")
    for row in history:
        parts = [row[f"train_{term}"] for term in terms]
        assert all(part > 0 for part in parts)
        assert row["train_loss"] == pytest.approx(sum(parts))
    assert all(tuple(losses) == terms for losses in seen.steps)


def test_one_term_alone_is_not_named_twice(training: Callable[..., Training]) -> None:
    assert "train_cross_entropy" not in training().run().history[0]


def test_penalties_shrink_the_weights(training: Callable[..., Training]) -> None:
    def size(**recipe: float) -> float:
        weights = training(epochs=4, **recipe).run().weights
        return sum(float(value.abs().sum()) for name, value in weights.items() if name.endswith("weight"))

    free = size()
    assert size(l1=0.01) < 0.9 * free
    assert size(weight_elimination=0.01) < 0.99 * free
    assert size(weight_decay=0.5) < 0.9 * free


def test_history_has_a_line_an_epoch(training: Callable[..., Training], watch: Any) -> None:
    seen = watch()
    outcome = training(None, seen, epochs=3, optimizer="adam").run()
    assert [row["epoch"] for row in outcome.history] == [1, 2, 3]
    assert seen.rows == outcome.history
    for row in outcome.history:
        assert {"train_loss", "val_loss", "val_accuracy", "val_macro_f1", "lr", "seconds"} <= row.keys()
    assert outcome.seconds["training"] == pytest.approx(sum(row["seconds"] for row in outcome.history))


def test_the_rate_of_a_line_is_the_one_it_was_learnt_with(training: Callable[..., Training]) -> None:
    history = training(epochs=4, schedule="step", step_epochs=2, step_factor=0.5, lr=0.1).run().history
    assert [row["lr"] for row in history] == pytest.approx([0.1, 0.1, 0.05, 0.05])


def test_the_optimiser_gets_the_rate_of_the_schedule(training: Callable[..., Training]) -> None:
    made = training(epochs=2, schedule="cosine", lr=0.2, warmup=0.5)
    rates = []
    (owned,) = made.updates
    step = owned.optimizer.step
    owned.optimizer.step = lambda *a, **k: (rates.append(owned.optimizer.param_groups[0]["lr"]), step(*a, **k))[1]
    made.run()
    assert rates == [made._lr(owned, number) for number in range(6)]
    assert len(set(rates)) > 4


def test_the_best_epoch_s_weights_come_back(training: Callable[..., Training]) -> None:
    two = training(epochs=2).run()
    best = training(epochs=5, task=Ranked(1, 3, 2, 3, 0)).run()
    assert best.best_epoch == 2
    assert len(best.history) == 5
    assert same(best.weights, two.weights)


def test_of_equally_good_epochs_the_first_is_kept(training: Callable[..., Training]) -> None:
    assert training(epochs=3, task=Ranked(1, 1, 1)).run().best_epoch == 1


def test_without_validation_the_last_weights_come_back(training: Callable[..., Training]) -> None:
    made = training(epochs=3, val=0)
    outcome = made.run()
    assert outcome.best_epoch == 3
    assert same(outcome.weights, made.module.state_dict())
    assert not [name for name in outcome.history[0] if name.startswith("val_")]
    assert same(outcome.weights, training(epochs=3, task=Ranked(1, 2, 3)).run().weights)


def test_validation_judges_the_running_mean(training: Callable[..., Training]) -> None:
    made = training(epochs=2, ema=0.9, lr=0.5, task=Ranked(1, 2))
    outcome = made.run()
    assert made.average is not None
    assert same(outcome.weights, made.average.state)
    assert distance(outcome.weights, made.module.state_dict()) > 1e-4
    judged = made.judge(made.val).metrics["loss"]
    assert judged == pytest.approx(outcome.history[-1]["val_loss"])
    made.average = None
    assert made.judge(made.val).metrics["loss"] != pytest.approx(judged, rel=1e-6)


def test_judging_does_not_change_what_is_learnt(training: Callable[..., Training]) -> None:
    recipe = {"net": "lenet5", "dropout": 0.5, "epochs": 2, "samples": 24, "augment": ("crop",)}
    judged = training(val=12, task=Ranked(1, 2), **recipe).run()
    assert same(judged.weights, training(val=0, **recipe).run().weights)


def test_early_stopping_waits_and_then_ends(training: Callable[..., Training]) -> None:
    outcome = training(epochs=20, early_stop=3, task=Ranked(1, 2, 1, 1, 2, 9, 9)).run()
    assert len(outcome.history) == 5
    assert outcome.best_epoch == 2


def test_early_stopping_starts_to_count_anew_at_a_better_epoch(training: Callable[..., Training]) -> None:
    outcome = training(epochs=7, early_stop=2, task=Ranked(1, 0, 2, 0, 3, 0, 0)).run()
    assert len(outcome.history) == 7
    assert outcome.best_epoch == 5


def test_plateau_lowers_the_rate_after_its_patience(training: Callable[..., Training]) -> None:
    recipe = {"schedule": "plateau", "step_epochs": 2, "step_factor": 0.1, "lr": 0.1}
    history = training(epochs=7, task=Ranked(1, 0, 0, 0, 0, 2, 0), **recipe).run().history
    assert [row["lr"] for row in history] == pytest.approx([0.1, 0.1, 0.1, 0.01, 0.01, 0.001, 0.001])


def test_one_seed_gives_the_same_bits_and_another_does_not(training: Callable[..., Training]) -> None:
    def run(seed: int) -> Outcome:
        return training(seed=seed, dropout=0.3, augment=("crop",)).run()

    assert same(run(1).weights, run(1).weights)
    assert distance(run(1).weights, run(2).weights) > 1e-3


@pytest.mark.parametrize("val", [0, 12])
def test_a_loss_that_is_not_finite_stops_at_once_and_names_step_and_term(
    val: int, training: Callable[..., Training], watch: Any
) -> None:
    seen = watch()
    with pytest.raises(UserError) as caught:
        training(None, seen, epochs=5, lr=1e30, val=val).run()
    line = str(caught.value)
    assert "step 2 (epoch 1)" in line
    assert "cross_entropy" in line
    assert "--lr 1e+29" in line
    assert len(seen.steps) == 1


def test_the_term_that_is_not_finite_is_the_one_named(training: Callable[..., Training]) -> None:
    with pytest.raises(UserError, match=r"step 1 \(epoch 1\): the loss term 'l1' is inf"):
        training(l1=1e38).run()


def test_a_loss_that_is_not_finite_on_validation_stops_too(training: Callable[..., Training]) -> None:
    with pytest.raises(UserError, match=r"step 1 \(epoch 1\): the loss on validation is nan"):
        training(epochs=3, lr=1e30, batch=36).run()


def test_weights_that_are_not_finite_are_never_returned(training: Callable[..., Training]) -> None:
    class Exploding(Classification):
        def losses(self, output: Tensor, targets: Tensor) -> dict[str, Tensor]:
            del targets
            # Finite, but its gradient is not.
            return {"steep": (output.square() - output.square().detach()).sqrt().sum()}

    with pytest.raises(UserError, match=r"step 1 \(epoch 1\): a weight is not finite"):
        training(epochs=1, batch=36, val=0, task=Exploding(CLASSES)).run()


def test_losses_without_noise_are_the_mean_over_samples_also_with_a_short_last_batch(
    training: Callable[..., Training],
) -> None:
    made = training(epochs=1, samples=31, batch=12, val=0, lr=1e-12)
    wanted = made.judge(made.train).metrics["loss"]
    assert made.run().history[0]["train_loss"] == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_what_is_masked_stays_zero_and_the_rest_learns(training: Callable[..., Training], ema: float) -> None:
    name = "trunk.hidden1.0.weight"
    mask = (torch.arange(256 * 64).reshape(256, 64) % 3 > 0).float()
    run = training(masks={name: mask}, optimizer="adamw", lr=0.003, weight_decay=0.01, ema=ema)
    before = run.module.get_parameter(name).clone()
    after = run.run().weights[name]
    assert torch.equal(after == 0, mask == 0)
    assert (after != before)[mask > 0].all()

"""A step of several updates: who owns what, what each leaves alone, and what is told of each."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import toys
from torch import Tensor, nn

from svertka.data.batching.samplers import PerClass
from svertka.errors import UserError
from svertka.tasks.task import Task, Update
from svertka.training import speed
from svertka.training.checkpoint import Checkpoints
from svertka.training.diagnoses.diagnosing import diagnose
from svertka.training.doctor import Doctor
from svertka.training.least_batch import least_images
from svertka.training.loop import InterruptedTrainingError, Training
from svertka.training.machine import Machine
from svertka.training.range_test import find_rate
from svertka.training.recipe import Recipe
from svertka.training.signals import Background, read_saved, read_signals
from svertka.training.step import Stepper
from svertka.training.wiring import check_wiring


def same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


class Updates(toys.Imitation):
    """Has the updates that it is given."""

    def __init__(self, *updates: Update) -> None:
        super().__init__()
        self.given = updates

    def updates(self, net: nn.Module) -> tuple[Update, ...]:
        del net
        return self.given


def squares(*names: str) -> Callable[[nn.Module, Tensor, Tensor], dict[str, Tensor]]:
    """A loss that pulls at the parameters of these parts."""

    def loss(net: nn.Module, inputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        del inputs, targets
        return {"size": sum(p.square().sum() for name in names for p in net.get_submodule(name).parameters())}

    return loss


GENERATOR = Update("generator", ("generator",), squares("generator"))
CRITIC = Update("critic", ("critic",), squares("critic"))


def test_two_sides_learn_against_one_another(watch: Any) -> None:
    outcome = toys.imitating(watch(), count=256, batch=32, epochs=60, lr=0.005).run()
    assert outcome.history[0]["val_score"] < -1.5
    assert max(row["val_score"] for row in outcome.history) > -0.4


def test_each_has_its_loss_terms_and_its_rate_in_the_history(watch: Any) -> None:
    seen = watch()
    row = toys.imitating(seen, schedule="cosine").run().history[0]
    assert list(row) == [
        *("epoch", "train_critic_real", "train_critic_false", "train_generator_misled"),
        *("lr_critic", "lr_generator", "val_score", "seconds"),
    ]
    assert row["lr_critic"] == 0.01
    assert row["lr_generator"] < 0.01
    assert [list(losses) for losses in seen.steps[:2]] == [["critic_real", "critic_false"], ["generator_misled"]]
    real = [losses["critic_real"] for losses in seen.steps[:12:2]]
    # 44 points in batches of 8: the last has 4.
    assert row["train_critic_real"] == pytest.approx(float(np.average(real, weights=[8] * 5 + [4])))


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_cut_anywhere_changes_no_bit(accumulate: int, watch: Any, tmp_path: Path) -> None:
    recipe = {"accumulate": accumulate, "ema": 0.9, "clip": 0.5, "l1": 1e-3, "save_every": 0.0}
    task = toys.Imitation(every=2, optimizer="momentum")
    straight = toys.imitating(watch(), task=task, **recipe).run()
    cuts = 0
    while True:
        try:
            resumed = toys.imitating(watch(1 + cuts % 2), task=task, folder=tmp_path, **recipe).run()
            break
        except InterruptedTrainingError:
            cuts += 1
    assert cuts > 6
    assert same(resumed.weights, straight.weights)
    for one, other in zip(resumed.history, straight.history, strict=True):
        assert {**one, "seconds": 0} == {**other, "seconds": 0}


def test_an_update_leaves_nothing_in_what_others_own(watch: Any) -> None:
    seen: list[tuple[str, bool, bool]] = []

    def looking(name: str) -> Callable[..., dict[str, Tensor]]:
        def loss(net: nn.Module, inputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
            del inputs, targets
            gradients = [all(p.requires_grad for p in side.parameters()) for side in (net.generator, net.critic)]
            assert all(p.grad is None for p in net.parameters())
            seen.append((name, *gradients))
            return {"all": sum(p.square().sum() for p in net.parameters())}

        return loss

    task = Updates(
        Update("critic", ("critic",), looking("critic")),
        Update("generator", ("generator",), looking("generator"), every=100),
    )
    made = toys.imitating(watch(), task=task, epochs=1, batch=22)
    frozen = made.module.generator[0].bias.requires_grad_(False)
    before = {name: value.clone() for name, value in made.module.state_dict().items()}
    made.run()
    assert seen == [("critic", False, True), ("generator", False, False), ("critic", False, True)]
    assert not frozen.requires_grad
    assert all(p.requires_grad for p in made.module.parameters() if p is not frozen)
    assert torch.equal(made.module.generator[0].bias, before["generator.0.bias"])


def test_each_moves_by_its_own_optimiser(watch: Any) -> None:
    task = Updates(
        Update("critic", ("critic",), squares("critic"), optimizer="sgd", lr=0.1),
        Update("generator", ("generator",), squares("generator"), optimizer=functools.partial(torch.optim.Adam, eps=1)),
    )
    made = toys.imitating(watch(), task=task, epochs=1, batch=44, lr=0.02)
    before = {name: value.detach().clone() for name, value in made.module.named_parameters()}
    after = made.run().weights
    for name, value in before.items():
        gradient = 2 * value
        moved = 0.1 * gradient if name.startswith("critic") else 0.02 * gradient / (gradient.abs() + 1)
        torch.testing.assert_close(after[name], value - moved)


def test_gradients_are_clipped_and_weights_penalised_one_update_at_a_time(watch: Any) -> None:
    task = Updates(
        Update("critic", ("critic",), squares("critic"), optimizer="sgd", lr=1.0),
        Update("generator", ("generator",), squares("generator"), optimizer="sgd", lr=1.0),
    )
    made = toys.imitating(watch(), task=task, epochs=1, batch=44, clip=0.01, l1=0.1)
    before = {name: value.detach().clone() for name, value in made.module.named_parameters()}
    outcome = made.run()
    for side in ("critic", "generator"):
        own = [name for name in before if name.startswith(side)]
        moved = sum(float((outcome.weights[name] - before[name]).square().sum()) for name in own)
        assert moved**0.5 == pytest.approx(0.01, rel=1e-3)
        size = sum(float(before[name].abs().sum()) for name in own if before[name].ndim > 1)
        assert outcome.history[0][f"train_{side}_l1"] == pytest.approx(0.1 * size, rel=1e-5)


def test_one_that_runs_seldom_runs_so_often(watch: Any) -> None:
    seen = watch()
    made = toys.imitating(seen, task=toys.Imitation(every=4), epochs=2)
    made.run()
    ran = [next(iter(losses)).partition("_")[0] for losses in seen.steps]
    assert ran == [*("critic", "generator", "critic", "critic", "critic") * 3]


def test_what_one_draws_does_not_depend_on_what_another_drew(watch: Any) -> None:
    drawn: list[float] = []

    def drawing(net: nn.Module, inputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        drawn.append(torch.rand(()).item())
        return squares("generator")(net, inputs, targets)

    def greedy(net: nn.Module, inputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        torch.rand(7)
        return squares("critic")(net, inputs, targets)

    for loss in (squares("critic"), greedy):
        task = Updates(Update("critic", ("critic",), loss), Update("generator", ("generator",), drawing))
        toys.imitating(watch(), task=task, epochs=1).run()
    assert drawn[:6] == drawn[6:]
    assert len(set(drawn)) == 6


@pytest.mark.parametrize(
    ("updates", "line"),
    [
        pytest.param((GENERATOR,), "'critic.0.weight' belongs to no update", id="unowned"),
        pytest.param((GENERATOR, CRITIC, Update("both", None, squares())), "belongs to two updates", id="shared"),
        pytest.param(
            (CRITIC, Update("made", ("generater",), squares())),
            "such parameters; did you mean generator",
            id="misspelt",
        ),
        pytest.param((CRITIC, Update("part", ("gen",), squares())), "is to own 'gen'", id="half a name"),
        pytest.param((CRITIC, Update("critic", ("generator",), squares())), "is called 'critic'", id="twice"),
        pytest.param((CRITIC, Update("", ("generator",), squares())), "is called ''", id="nameless"),
        pytest.param((), "has no updates", id="none"),
        pytest.param((Update("", None, squares(), every=0),), "every 0 steps", id="never"),
        pytest.param((Update("", None, squares(), every=2),), "at every step", id="idle steps"),
        pytest.param((Update("a", None, squares(), optimizer="adams"),), "'a': optimizer is 'adams'", id="rule"),
        pytest.param((Update("", None, squares(), lr=-1.0),), "lr is -1", id="rate"),
    ],
)
def test_updates_that_do_not_suit_the_network_are_one_line(updates: tuple[Update, ...], line: str, watch: Any) -> None:
    with pytest.raises(UserError, match=line) as caught:
        toys.imitating(watch(), task=Updates(*updates))
    assert "\n" not in str(caught.value)


def test_what_is_frozen_needs_no_owner_but_an_owner_needs_something_that_learns(watch: Any) -> None:
    def made(task: Task) -> Training:
        net = toys.Gan()
        net.critic.requires_grad_(False)
        return toys.training(net, task, toys.loader(toys.points(16), 8), watch=watch(), epochs=1)

    outcome = made(Updates(GENERATOR)).run()
    assert "train_loss" in outcome.history[0]
    with pytest.raises(UserError, match="nothing that the update 'critic' owns learns"):
        made(Updates(GENERATOR, CRITIC))


def test_a_loss_that_is_not_finite_says_whose(watch: Any) -> None:
    def broken(net: nn.Module, inputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        return {"size": squares("generator")(net, inputs, targets)["size"] / 0}

    task = Updates(CRITIC, Update("generator", ("generator",), broken))
    with pytest.raises(UserError, match="the loss term 'size' of the update 'generator' is inf"):
        toys.imitating(watch(), task=task).run()


@pytest.mark.parametrize(
    ("terms", "line"),
    [
        pytest.param(lambda _: {}, "has no terms", id="none"),
        pytest.param(lambda size: size, "gives a Tensor, not its terms by name", id="no dict"),
        pytest.param(lambda size: {"size": size.item()}, "gives the term 'size' as a float, no tensor", id="no tensor"),
        pytest.param(lambda size: {"size": size.repeat(2)}, r"the term 'size' as \(2,\), not one number", id="no mean"),
        pytest.param(lambda size: {"size": size.detach()}, r"requires no gradient \(of size\)", id="cut off"),
    ],
)
@pytest.mark.parametrize("several", [True, False])
def test_a_loss_that_nothing_can_learn_by_is_one_line(
    terms: Callable[[Tensor], Any], line: str, several: bool, watch: Any
) -> None:
    def loss(net: nn.Module, inputs: Tensor, targets: Tensor) -> Any:
        return terms(squares("generator")(net, inputs, targets)["size"])

    task = Updates(CRITIC, Update("generator", ("generator",), loss)) if several else Updates(Update("", None, loss))
    whose = "the update 'generator' of the task 'imitation'" if several else "the task 'imitation'"
    # With a penalty PyTorch would find a gradient, and learn by that alone.
    made = toys.imitating(watch(), task=task, l1=0.1)
    with pytest.raises(UserError, match=f"^the loss of {whose} .*{line}") as caught:
        made.run()
    assert "\n" not in str(caught.value)
    assert made.state.steps == 0


# Who looks on


@pytest.fixture
def _unhurried(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("svertka.training.doctor._ALLOWED", 1e9)
    return


@pytest.mark.usefixtures("_unhurried")
def test_the_record_goes_by_update_and_outlives_a_cut(watch: Any, tmp_path: Path) -> None:
    def doctor(path: Path | None = None) -> Doctor:
        return Doctor(Background(), path, lambda _: None)

    straight, recipe = doctor(), {"save_every": 0.0, "epochs": 4}
    outcome = toys.imitating(watch(), observer=straight, **recipe).run()
    assert same(outcome.weights, toys.imitating(watch(), **recipe).run().weights)
    with pytest.raises(InterruptedTrainingError):
        toys.imitating(watch(9), folder=tmp_path, observer=doctor(), **recipe).run()
    assert {name: saved.done for name, saved in read_saved(Checkpoints(tmp_path).newest).items()} == {
        "critic": 8,
        "generator": 8,
    }
    seen = doctor(tmp_path / "signals.json")
    assert same(toys.imitating(watch(), folder=tmp_path, observer=seen, **recipe).run().weights, outcome.weights)
    found = read_signals(tmp_path / "signals.json")
    assert list(found) == ["critic", "generator"]
    for name, signals in found.items():
        assert signals.update == name
        assert list(signals.facts["stages"]) == [name]
        assert signals.steps == straight.by_update[name].steps
        assert all(step["update"][name] > 0 < step["gradient"][name] for step in signals.steps)
        assert [row["task_loss"] for row in signals.epochs] == [
            row["task_loss"] for row in straight.by_update[name].epochs
        ]
        for known in diagnose(signals):
            json.dumps(known.to_json(), allow_nan=False)
    assert found["generator"].epochs[0]["task_loss"] == pytest.approx(
        outcome.history[0]["train_generator_misled"], rel=1e-4
    )


@pytest.mark.usefixtures("_unhurried")
def test_a_diagnosis_says_of_which_update_it_is(watch: Any) -> None:
    def dead() -> Training:
        made = toys.imitating(watch(), epochs=8, observer=Doctor(Background(), None, said.append))
        with torch.no_grad():
            made.module.generator[0].bias.fill_(-100)
        return made

    said: list[str] = []
    made = dead()
    made.run()
    assert any(line.startswith("dead relus (generator): ") for line in said)
    assert not any("dead relus (critic)" in line for line in said)
    assert isinstance(made.observer, Doctor)
    (found,) = [one for one in diagnose(made.observer.by_update["generator"]) if one.kind == "dead_relus"]
    assert found.to_json()["update"] == "generator"
    said.clear()
    made = dead()
    made.task.diagnostics = frozenset({"loader_bound"})
    made.run()
    assert said == []
    assert all(diagnose(signals) == [] for signals in made.observer.by_update.values())  # type: ignore[attr-defined]


def test_a_task_can_only_ask_for_diagnoses_that_there_are(watch: Any) -> None:
    made = toys.imitating(watch(), observer=Doctor(Background(), None, lambda _: None))
    made.task.diagnostics = {"dead_relu"}
    with pytest.raises(UserError, match=r"asks for a diagnosis 'dead_relu'.*dead_relus"):
        made.run()
    assert made.state.steps == 0


# Who times or tries a step


def test_a_step_is_timed_by_taking_it(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    take = Stepper.take

    def seen(stepper: Stepper, batches: Iterator[Any], sizes: Any, step: int, **more: Any) -> None:
        taken.append(step)
        take(stepper, batches, sizes, step, **more)

    monkeypatch.setattr(Stepper, "take", seen)
    recipe = Recipe(batch=4, threads=1, precision="fp32", layout="channels_first", device="cpu")
    net, task = toys.Gan(), toys.Imitation(every=3)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    assert speed.seconds_a_step(net, task, recipe, image_shape=(2,), machine=Machine(recipe)) > 0
    assert taken[:6] == [0, 1, 2, 0, 1, 2]
    assert same(net.state_dict(), before)
    assert least_images(net, task, (2,)) == 1


def test_what_goes_by_one_loss_refuses_several() -> None:
    recipe = Recipe(batch=4, threads=1, precision="fp32", layout="channels_first", device="cpu")
    machine, loader = Machine(recipe), toys.loader(toys.points(8), 4)
    with pytest.raises(UserError, match=r"--find-lr goes by one loss.*critic, generator"):
        find_rate(toys.Gan(), toys.Imitation(), loader, recipe, machine=machine)
    batch = next(loader.training(0))
    with pytest.raises(UserError, match="--check-wiring goes by one loss"):
        check_wiring(toys.Gan(), toys.Imitation(), batch, recipe, machine=machine, background=Background())


# Which samples a step has


def test_a_sampler_says_what_a_step_learns_from_and_a_cut_changes_no_bit(watch: Any, tmp_path: Path) -> None:
    def made(watcher: Any, **options: Any) -> Training:
        torch.manual_seed(0)
        targets = np.arange(20) % 4
        sampler = PerClass(targets, 3, 2, seed=1)
        train = toys.loader(toys.points(20), 20, targets, sampler=sampler)
        return toys.training(nn.Linear(2, 4), Told(), train, watch=watcher, epochs=2, save_every=0.0, **options)

    class Told(toys.Plain):
        def losses(self, output: Tensor, targets: Tensor) -> dict[str, Tensor]:
            seen.append(targets.tolist())
            return {"cross_entropy": nn.functional.cross_entropy(output, targets)}

    seen: list[list[int]] = []
    straight = made(watch()).run()
    assert len(seen) == 2 * 3
    assert all(len(set(batch)) == 3 and batch[::2] == batch[1::2] for batch in seen)
    with pytest.raises(InterruptedTrainingError):
        made(watch(4), folder=tmp_path).run()
    assert same(made(watch(), folder=tmp_path).run().weights, straight.weights)

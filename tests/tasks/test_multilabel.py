"""Several labels an image: targets, metrics by hand and beside scikit-learn, thresholds."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from sklearn import metrics as reference
from torch import Tensor

from svertka.errors import UserError
from svertka.exhibits import Table
from svertka.runtime.preprocess import Preprocess
from svertka.tasks.classification import Classification
from svertka.tasks.making import task_for
from svertka.tasks.multilabel import MultiLabel, best_threshold
from svertka.tasks.task import Choices, Evaluation

PETS = ("cat", "dog", "fox")
SIZE = Preprocess(height=8, width=8)


def evaluated(task: MultiLabel, logits: Tensor, labels: Sequence[tuple[str, ...]], *, batch: int = 3) -> Evaluation:
    score, targets = task.score(), torch.from_numpy(task.targets(labels))
    for start in range(0, len(logits), batch):
        part = slice(start, start + batch)
        score.update(logits[part], targets[part], torch.arange(len(logits))[part])
    return score.evaluate(score.arrays())


def random_case(classes: int, count: int = 300) -> tuple[Tensor, Tensor, MultiLabel]:
    torch.manual_seed(classes)
    targets = (torch.rand(count, classes) < torch.linspace(0.1, 0.6, classes)).float()
    task = MultiLabel([f"label {number}" for number in range(classes)])
    return torch.randn(count, classes) + 2 * targets - 1, targets, task


def test_targets_go_by_name_and_may_be_empty() -> None:
    targets = MultiLabel(PETS).targets([("fox", "cat"), (), "dog"])
    assert targets.tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 0]]
    assert targets.dtype == np.float32
    with pytest.raises(UserError, match="does not know the class 'wolf'; its classes are cat, dog, fox"):
        MultiLabel(PETS).targets([("cat", "wolf")])


def test_a_network_that_gives_one_class_is_not_judged_by_several() -> None:
    with pytest.raises(UserError, match="one label each"):
        Classification(PETS).targets([("cat",), "dog"])


def test_metrics_by_hand() -> None:
    task = MultiLabel(PETS)
    logits = torch.tensor([[2.0, 1, -1], [3, -1, -1], [-2, 2, -1], [-1, -1, -1]])
    found = evaluated(task, logits, [("cat", "dog"), ("cat", "dog"), ("cat",), ()])
    # cat: 2 of 3 found, no false alarm; dog: 1 of 2 found, one false alarm; fox: neither there nor said.
    assert found.metrics["macro_f1"] == pytest.approx((4 / 5 + 2 / 4) / 2)
    assert found.metrics["micro_f1"] == pytest.approx(6 / 9)
    assert found.metrics["accuracy"] == 2 / 4
    cat, dog, fox = found.details["per_class"]
    assert (cat["support"], cat["recall"], cat["precision"], cat["missed"]) == (3, pytest.approx(2 / 3), 1, 1)
    assert (dog["recall"], dog["precision"], dog["false_alarms"]) == (0.5, 0.5, 1)
    assert (fox["support"], fox["f1"], fox["average_precision"]) == (0, 0, None)
    assert dog["average_precision"] == pytest.approx((1 / 2 + 2 / 4) / 2)


@pytest.mark.parametrize("classes", [2, 7])
def test_metrics_are_those_of_scikit_learn(classes: int) -> None:
    logits, targets, task = random_case(classes)
    score = task.score()
    score.update(logits, targets, torch.arange(len(logits)))
    found = score.evaluate(score.arrays()).metrics
    truth, said = targets.numpy(), (logits >= 0).numpy()
    probabilities = logits.double().sigmoid().numpy()
    assert found["macro_f1"] == pytest.approx(reference.f1_score(truth, said, average="macro"))
    assert found["micro_f1"] == pytest.approx(reference.f1_score(truth, said, average="micro"))
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(truth, said))
    assert found["map"] == pytest.approx(reference.average_precision_score(truth, probabilities, average="macro"))
    losses = [reference.log_loss(truth[:, number], probabilities[:, number]) for number in range(classes)]
    assert found["loss"] == pytest.approx(np.mean(losses), rel=1e-5)


def test_images_without_any_label_are_judged_too() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = evaluated(MultiLabel(PETS), torch.full((4, 3), -1.0), [()] * 4)
    assert found.metrics["accuracy"] == found.metrics["macro_f1"] == 1
    assert "map" not in found.metrics


def test_scores_that_are_no_numbers_earn_nothing() -> None:
    found = evaluated(MultiLabel(PETS), torch.full((3, 3), float("nan")), [("cat",)] * 3)
    assert found.metrics["macro_f1"] == 0
    assert np.isnan(found.metrics["loss"])


@pytest.mark.parametrize("seed", range(20))
def test_no_other_threshold_has_a_larger_f1(seed: int) -> None:
    generator = np.random.default_rng(seed)
    there = generator.random(40) < 0.3
    scores = np.round(np.clip(0.3 * there + 0.2 + 0.3 * generator.normal(size=40), 0, 1), 1)  # many are equal
    f1 = [reference.f1_score(there, scores >= limit, zero_division=0) for limit in np.arange(-0.05, 1.1, 0.05)]
    chosen = best_threshold(scores, there)
    assert 0 <= chosen <= 1
    assert reference.f1_score(there, scores >= chosen, zero_division=0) == pytest.approx(max(f1))
    assert chosen == 0 or chosen not in scores  # a last bit more or less of a score changes nothing


def test_thresholds_without_choice() -> None:
    assert best_threshold(np.array([0.2, 0.9]), np.array([False, False])) == 0.5
    assert best_threshold(np.array([0.1, 0.1]), np.array([True, True])) == 0.05
    assert best_threshold(np.array([1.0, 0.0]), np.array([True, False])) == 0.5


def test_thresholds_are_chosen_on_validation_and_used() -> None:
    task = MultiLabel(PETS[:2])
    logits = torch.tensor([[-3.0, 3], [-2, 3], [-5, 2], [-6, 1]])
    labels = [("cat", "dog"), ("cat", "dog"), (), ()]
    val = evaluated(task, logits, labels)
    assert val.metrics["macro_f1"] < 0.5
    settled = task.settled(val)
    assert settled.thresholds[0] < 0.1 < 0.9 < settled.thresholds[1]
    assert settled.score().evaluate(val.arrays).metrics["macro_f1"] == 1
    assert evaluated(settled, logits, labels).details["per_class"][0]["threshold"] == settled.thresholds[0]
    assert task.settled(None) is task


def test_the_loss_is_binary_cross_entropy() -> None:
    logits, targets = torch.tensor([[2.0, -1.0]]), torch.tensor([[1.0, 1.0]])
    (name, plain), *_ = MultiLabel(PETS[:2]).losses(logits, targets).items()
    assert name == "binary_cross_entropy"
    surprise = np.log1p(np.exp([-2.0, 1.0]))
    assert float(plain) == pytest.approx(surprise.mean())
    weighted = MultiLabel(PETS[:2], weights=(1, 3)).losses(logits, targets)["binary_cross_entropy"]
    assert float(weighted) == pytest.approx((surprise * [1, 3]).mean())
    smoothed = MultiLabel(PETS[:2], label_smoothing=0.2).losses(logits, targets)["binary_cross_entropy"]
    assert float(smoothed) == pytest.approx((0.9 * surprise + 0.1 * np.log1p(np.exp([2.0, -1.0]))).mean())


def test_balance_lets_a_rare_label_count_as_much_where_it_is_there_as_where_not() -> None:
    labels = [("cat",), (), (), ("dog",), ("dog", "cat"), ("dog",), ("dog",), ("dog",)]
    task = task_for(labels, ("cat", "dog"), SIZE, Choices(balanced=True))
    assert isinstance(task, MultiLabel)
    targets = task.targets(labels)
    weights = task.sample_weights(targets)
    assert weights is not None
    assert (weights * targets)[:, 0].sum() == pytest.approx((weights * (1 - targets))[:, 0].sum())
    plain = task_for(labels, ("cat", "dog"), SIZE)
    assert plain.sample_weights(targets) is None


def test_one_class_each_makes_a_classification() -> None:
    task = task_for(["a", "b", "b", "b"], ("a", "b"), SIZE, Choices(balanced=True))
    assert isinstance(task, Classification)
    weights = task.sample_weights(task.targets(["a", "b", "b", "b"]))
    assert weights is not None
    assert weights.tolist() == pytest.approx([2, 2 / 3, 2 / 3, 2 / 3])


def test_macro_f1_ranks_and_the_loss_decides_between_equals() -> None:
    rank = MultiLabel(PETS).rank
    assert rank({"macro_f1": 0.9, "loss": 5.0}) > rank({"macro_f1": 0.8, "loss": 0.1})
    assert rank({"macro_f1": 0.9, "loss": 4.0}) > rank({"macro_f1": 0.9, "loss": 5.0})


def test_what_the_report_shows() -> None:
    task = MultiLabel(PETS, thresholds=(0.5, 0.9, 0.5))
    logits = torch.tensor([[3.0, 1, -3], [-1, -3, -4], [-3, -3, -9]])
    found = evaluated(task, logits, [("cat",), ("cat", "fox"), ()])
    assert task.sentence(found, "test") == "It gives 2 of 3 test images exactly their labels."
    shown = task.examples(found, 2)
    assert shown["Worst mistakes"] == [(1, "no label", "has cat, fox")]
    assert shown["Most uncertain"][0] == (0, "cat", "has cat")
    (table,) = task.exhibits(found)
    assert isinstance(table, Table)
    assert all(len(row) == len(table.columns) for row in table.rows)
    assert table.rows[0][:4] == ["cat", 2, 0.5, 1.0]
    assert "chosen" not in table.title
    assert "validation" in table.note

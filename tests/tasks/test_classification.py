"""Classification: targets by name, and metrics against hand and against scikit-learn."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from sklearn import metrics as reference
from torch import Tensor

from svertka.errors import UserError
from svertka.exhibits import Matrix, Table
from svertka.tasks.classification import Classification
from svertka.tasks.task import Evaluation

PETS = ("cat", "dog", "fox")
HAND = {  # true class: what each of its images is taken for
    "cat": ["cat", "cat", "cat", "dog"],
    "dog": ["dog", "cat"],
    "fox": ["fox", "fox", "fox", "fox"],
}


def evaluated(logits: Tensor, targets: Sequence[int], classes: Sequence[str], *, batch: int = 3) -> Evaluation:
    score = Classification(classes).score()
    wanted = torch.tensor(targets)
    for start in range(0, len(logits), batch):
        part = slice(start, start + batch)
        score.update(logits[part], wanted[part], torch.arange(len(logits))[part])
    return score.evaluate(score.arrays())


@pytest.fixture
def by_hand() -> Evaluation:
    pairs = [(PETS.index(truth), PETS.index(guess)) for truth, guesses in HAND.items() for guess in guesses]
    logits = torch.eye(3)[[guess for _, guess in pairs]] * 5
    return evaluated(logits, [truth for truth, _ in pairs], PETS)


def random_case(classes: int, count: int = 400) -> tuple[Tensor, list[int], list[str]]:
    torch.manual_seed(classes)
    targets = torch.randint(0, classes, (count,))
    logits = torch.randn(count, classes) + torch.nn.functional.one_hot(targets, classes)
    return logits, targets.tolist(), [f"class {number}" for number in range(classes)]


def test_targets_go_by_name_and_not_by_the_order_of_arrival() -> None:
    task = Classification(("2", "10", "cat"))
    targets = task.targets(["cat", "2", "10", "2"])
    assert targets.tolist() == [2, 0, 1, 0]
    assert targets.dtype == np.int64
    assert task.targets([]).shape == (0,)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["cat", "wolf"], "does not know the class 'wolf'; its classes are cat, dog, fox"),
        (["wolf", "bear", "wolf"], "'bear' and 1 more"),
    ],
)
def test_an_unknown_label_is_named(labels: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        Classification(PETS).targets(labels)


def test_many_classes_are_not_all_listed() -> None:
    with pytest.raises(UserError, match=r"are 0, 1, 2, 3, 4, 5, 6, 7, …$"):
        Classification([str(number) for number in range(9)]).targets(["x"])


def test_metrics_by_hand(by_hand: Evaluation) -> None:
    assert by_hand.details["confusion"] == [[3, 1, 0], [1, 1, 0], [0, 0, 4]]
    assert by_hand.metrics["accuracy"] == pytest.approx(8 / 10)
    assert by_hand.metrics["macro_f1"] == pytest.approx((3 / 4 + 1 / 2 + 1) / 3)
    cat = by_hand.details["per_class"][0]
    assert (cat["class"], cat["support"], cat["missed"], cat["false_alarms"]) == ("cat", 4, 1, 1)
    assert (cat["recall"], cat["precision"], cat["f1"]) == pytest.approx((3 / 4, 3 / 4, 3 / 4))
    surprise = np.log(np.exp([5, 0, 0]).sum()) - np.array([5] * 8 + [0] * 2)
    assert by_hand.metrics["loss"] == pytest.approx(surprise.mean(), rel=1e-6)
    assert "top5" not in by_hand.metrics


@pytest.mark.parametrize("classes", [2, 5, 6, 30])
def test_metrics_are_those_of_scikit_learn(classes: int) -> None:
    logits, targets, names = random_case(classes)
    found = evaluated(logits, targets, names, batch=64)
    guesses, numbers = logits.argmax(1).numpy(), range(classes)
    assert found.metrics["accuracy"] == pytest.approx(reference.accuracy_score(targets, guesses))
    assert found.metrics["macro_f1"] == pytest.approx(reference.f1_score(targets, guesses, average="macro"))
    assert found.metrics["loss"] == pytest.approx(
        reference.log_loss(targets, logits.double().softmax(1).numpy(), labels=numbers), rel=1e-5
    )
    assert found.details["confusion"] == reference.confusion_matrix(targets, guesses, labels=numbers).tolist()
    if classes > 5:
        assert found.metrics["top5"] == pytest.approx(
            reference.top_k_accuracy_score(targets, logits.numpy(), k=5, labels=numbers)
        )


def test_a_class_that_is_absent_does_not_lower_the_mean() -> None:
    logits = torch.eye(3)[[0, 1, 1, 0]] * 5
    found = evaluated(logits, [0, 1, 1, 1], PETS)
    assert found.metrics["macro_f1"] == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert found.details["per_class"][2]["support"] == 0


def test_a_class_that_is_absent_and_yet_predicted_lowers_it() -> None:
    found = evaluated(torch.eye(3)[[0, 1, 1, 2]] * 5, [0, 1, 1, 1], PETS)
    assert found.metrics["macro_f1"] == pytest.approx((1 + 4 / 5 + 0) / 3)


def test_nothing_warns_of_classes_without_images() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        evaluated(torch.eye(3)[[0]] * 5, [1], PETS)


def test_top5_by_hand() -> None:
    logits = torch.arange(6.0).flip(0).repeat(6, 1)
    assert evaluated(logits, range(6), "abcdef").metrics["top5"] == pytest.approx(5 / 6)


def test_scores_that_are_all_the_same_are_no_better_than_chance() -> None:
    found = evaluated(torch.zeros(10, 10), range(10), "abcdefghij")
    assert found.metrics["top5"] == 0.5
    assert found.metrics["accuracy"] == 0.1


def test_between_equals_the_first_class_counts_as_it_does_in_prediction() -> None:
    found = evaluated(torch.zeros(4, 10), [0, 0, 9, 9], "abcdefghij")
    assert found.arrays["predicted"].tolist() == [0, 0, 0, 0]


def test_scores_that_are_no_numbers_earn_nothing() -> None:
    found = evaluated(torch.full((8, 8), float("nan")), [1, 2, 3, 4, 5, 6, 7, 1], "abcdefgh")
    assert found.metrics["top5"] == 0
    assert np.isnan(found.metrics["loss"])


def test_logits_too_large_for_a_probability_still_have_a_first() -> None:
    # Both probabilities are 1 and 0 in single precision; the logits are not the same.
    found = evaluated(torch.tensor([[0.0, 200.0, 200.00002]]), [2], PETS)
    assert found.metrics["accuracy"] == 1


def test_half_precision_is_taken() -> None:
    logits, targets, names = random_case(5, 40)
    assert evaluated(logits.bfloat16(), targets, names).arrays["confidence"].dtype == np.float32


def test_arrays_are_by_sample() -> None:
    found = evaluated(torch.log(torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.5, 0.4]])), [0, 2], PETS)
    assert found.arrays["indices"].tolist() == [0, 1]
    assert found.arrays["predicted"].tolist() == [0, 1]
    np.testing.assert_allclose(found.arrays["confidence"], [0.7, 0.5], rtol=1e-6)
    np.testing.assert_allclose(found.arrays["margin"], [0.5, 0.1], rtol=1e-5)
    np.testing.assert_allclose(found.arrays["loss"], [-np.log(0.7), -np.log(0.4)], rtol=1e-6)
    assert found.arrays["rank"].tolist() == [0, 1]


def test_the_loss_term_is_cross_entropy_with_smoothing() -> None:
    logits, targets = torch.log(torch.tensor([[0.7, 0.2, 0.1]])), torch.tensor([0])
    (name, plain), *_ = Classification(PETS).losses(logits, targets).items()
    assert name == "cross_entropy"
    assert float(plain) == pytest.approx(-np.log(0.7))
    smoothed = Classification(PETS, label_smoothing=0.3).losses(logits, targets)["cross_entropy"]
    assert float(smoothed) == pytest.approx(-(0.8 * np.log(0.7) + 0.1 * np.log(0.2) + 0.1 * np.log(0.1)))


def test_accuracy_ranks_and_the_loss_decides_between_equals() -> None:
    rank = Classification(PETS).rank
    better = {"accuracy": 0.9, "loss": 5.0}
    assert rank(better) > rank({"accuracy": 0.8, "loss": 0.1})
    assert rank({"accuracy": 0.9, "loss": 4.0}) > rank(better)


def test_examples_are_the_surest_mistakes_and_the_closest_calls() -> None:
    probabilities = torch.tensor(
        [[0.8, 0.1, 0.1], [0.6, 0.3, 0.1], [0.1, 0.48, 0.42], [0.05, 0.9, 0.05], [0.4, 0.3, 0.3]]
    )
    task = Classification(PETS)
    found = task.examples(evaluated(probabilities.log(), [0, 1, 1, 2, 2], PETS), 2)
    assert found == {
        "Worst mistakes": [(3, "dog 90%", "is fox"), (1, "cat 60%", "is dog")],
        "Most uncertain": [(2, "dog 48%", "is dog"), (4, "cat 40%", "is fox")],
    }
    assert task.examples(evaluated(torch.eye(3) * 9, [0, 1, 2], PETS), 5)["Worst mistakes"] == []


def test_exhibits_show_the_same_numbers(by_hand: Evaluation) -> None:
    matrix, table, reliability = Classification(PETS).exhibits(by_hand)
    assert isinstance(matrix, Matrix)
    assert isinstance(table, Table)
    assert matrix.counts.tolist() == by_hand.details["confusion"]
    assert tuple(matrix.names) == PETS
    assert all(len(row) == len(table.columns) for row in table.rows)
    assert table.rows[1] == ["dog", 2, 0.5, 0.5, 0.5, 1, 1]
    assert isinstance(reliability, Table)
    score = float(np.exp(5) / (np.exp(5) + 2))
    assert reliability.rows == [["93% to 100%", 10, pytest.approx(score), 0.8]]
    assert f"{score - 0.8:.1%}" in reliability.note


def test_the_expected_calibration_error_by_hand() -> None:
    # Sure of nine tenths and right each time; sure of six tenths and right half of the time.
    probabilities = torch.tensor([[0.9, 0.1]] * 2 + [[0.6, 0.4]] * 2)
    found = evaluated(probabilities.log(), [0, 0, 0, 1], PETS[:2]).details["calibration"]
    assert found["ece"] == pytest.approx((2 * 0.1 + 2 * 0.1) / 4)
    assert [(row["images"], row["accuracy"]) for row in found["bins"]] == [(2, 0.5), (2, 1.0)]


def test_scores_that_are_right_as_often_as_they_say_have_hardly_an_error() -> None:
    torch.manual_seed(0)
    logits = torch.randn(20_000, 5) * 2
    targets = torch.distributions.Categorical(logits=logits).sample().tolist()
    names = [str(number) for number in range(5)]
    assert evaluated(logits, targets, names, batch=5000).details["calibration"]["ece"] < 0.02
    assert evaluated(3 * logits, targets, names, batch=5000).details["calibration"]["ece"] > 0.1


def test_two_classes_and_one_image_suffice() -> None:
    found = evaluated(torch.tensor([[0.0, 1.0]]), [1], ("no", "yes"))
    assert found.metrics["accuracy"] == found.metrics["macro_f1"] == 1

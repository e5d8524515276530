"""Heads fitted to features, beside scikit-learn's."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestCentroid

from svertka.errors import UserError
from svertka.training.heads import Fitted, examples, fit_logistic, fit_means, fit_svm, temperature

CLASSES, WIDTH = 4, 12


class Rows:
    def __init__(self, rows: NDArray[np.float32]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def chunks(self, size: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        for start in range(0, len(self.rows), size):
            indices = np.arange(start, min(start + size, len(self.rows)))
            yield indices, self.rows[indices]


def clouds(count: int, seed: int, spread: float = 1.5) -> tuple[Rows, NDArray[np.int64]]:
    """Clouds around a centre for each class, each feature in a unit of its own."""
    centres = np.random.default_rng(0).normal(size=(CLASSES, WIDTH))
    generator = np.random.default_rng(seed)
    targets = np.arange(count) % CLASSES
    rows = centres[targets] + spread * generator.normal(size=(count, WIDTH))
    return Rows((rows * np.geomspace(0.01, 100, WIDTH) + 5).astype(np.float32)), targets


def logits(fitted: Fitted, rows: Rows) -> NDArray[np.float32]:
    if "supports" not in fitted.tensors:
        return rows.rows @ fitted.tensors["weight"].T + fitted.tensors["bias"]
    tensors = fitted.tensors
    x = (rows.rows - tensors["mean"]) * tensors["scale"]
    squares = ((x[:, None] - tensors["supports"][None]) ** 2).sum(axis=2)
    return np.exp(-tensors["gamma"] * squares) @ tensors["weight"].T + tensors["bias"]


def accuracy(fitted: Fitted, rows: Rows, targets: NDArray[np.int64]) -> float:
    return float(np.mean(logits(fitted, rows).argmax(axis=1) == targets))


def test_logistic_regression_is_scikit_learns() -> None:
    rows, targets = clouds(3000, 1)
    held, truth = clouds(2000, 2)
    fitted = fit_logistic(examples(rows, targets), examples(held, truth), CLASSES)
    strength = fitted.chosen["strength"]
    mean, deviation = rows.rows.mean(axis=0), rows.rows.std(axis=0)
    theirs = LogisticRegression(C=1 / (strength * len(rows)), tol=1e-8, max_iter=1000)
    theirs.fit((rows.rows - mean) / deviation, targets)
    ours = logits(fitted, held)
    other = theirs.decision_function((held.rows - mean) / deviation)
    centred = ours - ours.mean(axis=1, keepdims=True)
    assert np.abs(centred - (other - other.mean(axis=1, keepdims=True))).max() < 0.03
    losses = dict(fitted.tried)
    assert losses[strength] == min(losses.values())


def test_without_validation_the_strength_is_cross_validated() -> None:
    rows, targets = clouds(60, 1, spread=3.0)
    held, truth = clouds(4000, 2, spread=3.0)
    fitted = fit_logistic(examples(rows, targets), None, CLASSES)
    weakest = LogisticRegression(C=1e4, max_iter=5000).fit(rows.rows / rows.rows.std(axis=0), targets)
    assert accuracy(fitted, held, truth) > weakest.score(held.rows / rows.rows.std(axis=0), truth)


def test_a_sample_of_weight_two_counts_twice() -> None:
    rows, targets = clouds(200, 1)
    weights = np.where(targets == 0, 2.0, 1.0)
    twice = np.repeat(np.arange(200), weights.astype(int))
    held = examples(*clouds(100, 2))
    one = fit_logistic(examples(rows, targets, weights), held, CLASSES)
    other = fit_logistic(examples(Rows(rows.rows[twice]), targets[twice]), held, CLASSES)
    assert one.chosen == other.chosen
    np.testing.assert_allclose(logits(one, rows), logits(other, rows), atol=0.02)


def test_memory_does_not_depend_on_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, targets = clouds(500, 1)
    held = examples(*clouds(100, 2))
    whole = fit_logistic(examples(rows, targets), held, CLASSES)
    monkeypatch.setattr("svertka.training.heads._CHUNK", 37)
    np.testing.assert_allclose(
        logits(fit_logistic(examples(rows, targets), held, CLASSES), rows), logits(whole, rows), atol=0.02
    )


def test_nearest_mean_is_scikit_learns() -> None:
    rows, targets = clouds(500, 1)
    held, _ = clouds(500, 2)
    mean, deviation = rows.rows.mean(axis=0), rows.rows.std(axis=0)
    theirs = NearestCentroid().fit((rows.rows - mean) / deviation, targets).predict((held.rows - mean) / deviation)
    assert np.mean(logits(fit_means(examples(rows, targets), CLASSES), held).argmax(axis=1) == theirs) > 0.995


@pytest.mark.parametrize("kernel", [False, True])
def test_support_vector_machines(kernel: bool) -> None:
    rows, targets = clouds(400, 1)
    held, truth = clouds(1000, 2)
    fitted = fit_svm(examples(rows, targets), examples(*clouds(200, 3)), CLASSES, kernel=kernel)
    assert accuracy(fitted, held, truth) > 0.75
    assert accuracy(fitted, held, np.roll(truth, 1)) < 0.3
    one_class = np.zeros(400, np.int64)
    with pytest.raises(UserError, match="no image"):
        fit_svm(examples(rows, one_class), None, CLASSES, kernel=kernel)


@pytest.mark.parametrize("factor", [0.2, 1.0, 7.0])
def test_the_temperature_undoes_a_scale(factor: float) -> None:
    generator = np.random.default_rng(0)
    scores = generator.normal(size=(20_000, 5)) * 2
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    targets = (shares.cumsum(axis=1) > generator.random((20_000, 1))).argmax(axis=1)
    assert temperature(scores * factor, targets) == pytest.approx(factor, rel=0.05)


def test_a_feature_that_never_changes_does_no_harm() -> None:
    rows, targets = clouds(200, 1)
    rows.rows[:, 3] = 7.0
    fitted = fit_logistic(examples(rows, targets), examples(*clouds(100, 2)), CLASSES)
    assert np.isfinite(logits(fitted, rows)).all()


def several(count: int, seed: int) -> tuple[Rows, NDArray[np.float32]]:
    """Labels that depend on one feature each, some more clearly than others, in units of their own."""
    generator = np.random.default_rng(seed)
    rows = generator.normal(size=(count, WIDTH))
    noise = generator.normal(size=(count, CLASSES)) * np.array([0.1, 0.5, 2.0, 8.0])
    there = (rows[:, :CLASSES] + noise > 0.5).astype(np.float32)
    return Rows((rows * np.geomspace(0.01, 100, WIDTH) + 5).astype(np.float32)), there


def test_of_several_labels_each_is_a_binary_regression_of_its_own() -> None:
    rows, there = several(2000, 1)
    held, truth = several(1000, 2)
    fitted = fit_logistic(examples(rows, there), examples(held, truth), CLASSES)
    strengths = fitted.chosen["strength"]
    assert isinstance(strengths, list)
    assert strengths[0] < strengths[3]  # what is clear needs less than what is mostly noise
    mean, deviation = rows.rows.mean(axis=0), rows.rows.std(axis=0)
    for number, strength in enumerate(strengths):
        theirs = LogisticRegression(C=1 / (strength * len(rows)), tol=1e-8, max_iter=1000)
        theirs.fit((rows.rows - mean) / deviation, there[:, number])
        other = theirs.decision_function((held.rows - mean) / deviation)
        np.testing.assert_allclose(logits(fitted, held)[:, number], other, atol=0.02 * np.abs(other).max())


def test_a_label_without_validation_is_cross_validated_by_itself() -> None:
    rows, there = several(300, 1)
    held, truth = several(2000, 2)
    fitted = fit_logistic(examples(rows, there), None, CLASSES)
    assert isinstance(fitted.chosen["strength"], list)
    assert np.mean((logits(fitted, held) > 0) == truth, axis=0)[0] > 0.9


def test_a_label_that_counts_more_where_it_is_there_is_said_more_often() -> None:
    rows, there = several(500, 1)
    held = examples(*several(300, 2))
    weights = np.where(there > 0, 5.0, 1.0)
    plain, heavy = (fit_logistic(examples(rows, there, given), held, CLASSES) for given in (None, weights))
    assert ((logits(heavy, rows) > 0).sum(axis=0) > (logits(plain, rows) > 0).sum(axis=0)).all()


@pytest.mark.parametrize("factor", [0.2, 1.0, 7.0])
def test_the_temperature_of_several_labels(factor: float) -> None:
    generator = np.random.default_rng(0)
    scores = generator.normal(size=(20_000, 3)) * 2
    there = (generator.random(scores.shape) < 1 / (1 + np.exp(-scores))).astype(np.float32)
    assert temperature(scores * factor, there) == pytest.approx(factor, rel=0.05)


@pytest.mark.parametrize("several_labels", [False, True])
def test_the_temperature_of_what_is_all_right_stays_within_what_so_few_samples_can_say(several_labels: bool) -> None:
    truth = np.arange(40) % CLASSES
    own = np.eye(CLASSES)[truth]
    scores = 6 * (own - 0.5)
    targets = own.astype(np.float32) if several_labels else truth
    sharp = scores / temperature(scores, targets)
    right = 1 / (1 + np.exp(-sharp)) if several_labels else np.exp(sharp) / np.exp(sharp).sum(axis=1, keepdims=True)
    assert 0.9 < right[own > 0].mean() < 0.99

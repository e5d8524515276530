"""Raw outputs become results."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from svertka.errors import UserError
from svertka.results import Classes, Labels, NoneOfThese
from svertka.runtime.card import Card
from svertka.runtime.decoding import decode, sigmoid, softmax
from svertka.runtime.outputs import OutputSpec
from svertka.zoo.modelfile import read_card


@pytest.fixture
def card(tiny_model: Path) -> Card:
    return read_card(tiny_model)


def test_softmax_by_hand() -> None:
    probabilities = softmax(np.log(np.array([[1, 2, 5], [3, 3, 2]], np.float32)))
    np.testing.assert_allclose(probabilities, [[0.125, 0.25, 0.625], [0.375, 0.375, 0.25]], atol=1e-7)


def test_softmax_of_large_logits_stays_finite() -> None:
    assert softmax(np.array([[1000, 0, -1000]], np.float32)).tolist() == [[1, 0, 0]]


def test_each_image_gets_its_classes_the_likeliest_first(card: Card) -> None:
    first, second = decode({"logits": np.array([[0, 2, 1], [3, 1, 2]], np.float32)}, card, [])
    assert isinstance(first, Classes)
    assert isinstance(second, Classes)
    assert [entry.name for entry in first.classes] == ["dog", "hippopotamus", "cat"]
    assert [entry.name for entry in second.classes] == ["cat", "hippopotamus", "dog"]
    assert sum(entry.score for entry in first.classes) == pytest.approx(1)


def test_between_equals_the_order_of_the_classes_decides(card: Card) -> None:
    names = tuple(str(number) for number in range(100))
    (result,) = decode(
        {"logits": np.zeros((1, 100), np.float32)},
        dataclasses.replace(card, output=OutputSpec(classes=names), golden=()),
        [],
    )
    assert isinstance(result, Classes)
    assert tuple(entry.name for entry in result.classes) == names


@pytest.mark.parametrize(
    "logits",
    [
        [[0, float("nan"), 0]],
        [[float("inf"), 0, 0]],
        [[0, 0]],
        [[0, 0, 0, 0]],
        [0, 0, 0],
        [[[0, 0, 0]]],
        [[]],
    ],
    ids=str,
)
def test_logits_that_do_not_fit_the_card_are_refused(card: Card, logits: list[object]) -> None:
    with pytest.raises(UserError, match="svertka verify"):
        decode({"logits": np.array(logits, np.float32)}, card, [])


def test_outputs_without_logits_are_refused(card: Card) -> None:
    with pytest.raises(UserError, match="svertka verify"):
        decode({"boxes": np.zeros((1, 3), np.float32)}, card, [])


def test_an_unknown_task_is_named_with_the_nearest(card: Card) -> None:
    with pytest.raises(UserError, match=r"'clasification'.*did you mean classification"):
        decode({}, dataclasses.replace(card, task="clasification"), [])


def test_sigmoid_by_hand() -> None:
    logits = np.array([0, np.log(3), -np.log(3), 1000, -1000], np.float32)
    with np.errstate(all="raise", under="ignore"):
        np.testing.assert_allclose(sigmoid(logits), [0.5, 0.75, 0.25, 1, 0], atol=1e-7)


def test_labels_have_thresholds_of_their_own(card: Card) -> None:
    several = dataclasses.replace(card, task="multilabel", thresholds=(0.6, 0.2, 0.5))
    logits = np.array([[0, -1, 3], [-3, -3, -3]], np.float32)
    first, second = decode({"logits": logits}, several, [])
    assert isinstance(first, Labels)
    assert isinstance(second, Labels)
    assert [entry.name for entry in first.given] == ["hippopotamus", "dog"]
    assert [entry.name for entry in first.scores] == ["hippopotamus", "cat", "dog"]
    assert second.given == ()
    (plain,) = decode({"logits": logits[:1]}, dataclasses.replace(several, thresholds=()), [])
    assert isinstance(plain, Labels)
    assert [entry.name for entry in plain.given] == ["hippopotamus", "cat"]


def test_labels_of_logits_that_do_not_fit_are_refused(card: Card) -> None:
    with pytest.raises(UserError, match="svertka verify"):
        decode({"logits": np.zeros((1, 2), np.float32)}, dataclasses.replace(card, task="multilabel"), [])


def test_what_is_farther_than_the_limit_is_none_of_the_classes(card: Card) -> None:
    outputs = {"logits": np.array([[0, 2, 1]] * 3, np.float32), "distance": np.array([0.5, 1.5, 1.25], np.float32)}
    near, far, at_the_limit = decode(outputs, dataclasses.replace(card, reject_limit=1.25), [])
    assert isinstance(near, Classes)
    assert isinstance(at_the_limit, Classes)
    assert isinstance(far, NoneOfThese)
    assert (far.distance, far.limit) == (1.5, 1.25)
    assert far.nearest == near
    assert all(isinstance(result, Classes) for result in decode(outputs, card, []))  # nobody asked


@pytest.mark.parametrize(
    "distance",
    [None, [1.0, 2.0], [[1.0]], [float("nan")], [float("inf")], [-1.0]],
    ids=str,
)
def test_distances_that_do_not_fit_are_refused(card: Card, distance: list[float] | None) -> None:
    outputs = {"logits": np.zeros((1, 3), np.float32)}
    if distance is not None:
        outputs["distance"] = np.array(distance, np.float32)
    with pytest.raises(UserError, match="svertka verify"):
        decode(outputs, dataclasses.replace(card, reject_limit=1.25), [])

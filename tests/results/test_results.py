"""What a prediction is."""

from __future__ import annotations

import json

import numpy as np
import pytest

from svertka.results import Classes, ClassScore, Labels, LabelScore, NoneOfThese


def classes(*scores: float, names: str = "abcdefgh") -> Classes:
    return Classes(tuple(ClassScore(name, score) for name, score in zip(names, scores, strict=False)))


@pytest.mark.parametrize(
    ("scores", "problem"),
    [
        ((), "at least one"),
        ((0.2, 0.8), "likeliest class comes first"),
        ((1.1,), "between 0 and 1"),
        ((0.5, -0.1), "between 0 and 1"),
        ((float("nan"),), "between 0 and 1"),
        ((float("inf"), 0.1), "between 0 and 1"),
    ],
    ids=str,
)
def test_what_is_no_classification_cannot_be_built(scores: tuple[float, ...], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        classes(*scores)


def test_the_best_is_the_first() -> None:
    assert classes(0.6, 0.4).best == ClassScore("a", 0.6)
    assert classes(0.5, 0.5).best.name == "a"


def test_json() -> None:
    values = Classes((ClassScore("кот", 0.75), ClassScore("b", 0.25))).to_json()
    assert json.loads(json.dumps(values)) == {"classes": [{"name": "кот", "score": 0.75}, {"name": "b", "score": 0.25}]}


def test_a_line_names_the_first_three() -> None:
    assert classes(0.5, 0.25, 0.125, 0.125).line() == "a (50.0%), b (25.0%), c (12.5%)"
    assert classes(1.0).line() == "a (100.0%)"


@pytest.mark.parametrize("size", [(1, 1), (5, 300), (300, 5), (64, 64), (400, 300)], ids=str)
@pytest.mark.parametrize("name", ["a", "бегемот", "🦛", "x" * 200, "two\nlines", ""], ids=ascii)
def test_drawing_gives_an_image_of_the_same_shape_and_leaves_the_old(size: tuple[int, int], name: str) -> None:
    image = np.full((*size, 3), 128, np.uint8)
    drawn = Classes((ClassScore(name, 0.9),)).draw(image)
    assert (drawn.shape, drawn.dtype) == (image.shape, np.uint8)
    assert (image == 128).all()
    assert (drawn != 128).any()


def test_the_label_stands_in_the_corner_and_nowhere_else() -> None:
    image = np.full((200, 200, 3), 128, np.uint8)
    drawn = classes(1.0).draw(image)
    assert (drawn[:20, :60] > 200).any()
    assert (drawn[100:] == 128).all()
    assert (drawn[:, 150:] == 128).all()


def labels(*entries: tuple[float, float]) -> Labels:
    return Labels(tuple(LabelScore(name, *entry) for name, entry in zip("abcdefgh", entries, strict=False)))


def test_labels_are_those_at_or_above_their_threshold() -> None:
    found = labels((0.9, 0.95), (0.5, 0.5), (0.25, 0.2))
    assert [entry.name for entry in found.given] == ["b", "c"]
    assert found.line() == "b (50.0%), c (25.0%)"
    assert json.loads(json.dumps(found.to_json())) == {
        "labels": ["b", "c"],
        "scores": [
            {"name": "a", "score": 0.9, "threshold": 0.95},
            {"name": "b", "score": 0.5, "threshold": 0.5},
            {"name": "c", "score": 0.25, "threshold": 0.2},
        ],
    }


def test_an_image_without_labels_says_what_was_nearest() -> None:
    found = labels((0.5, 0.9), (0.25, 0.3))
    assert found.to_json()["labels"] == []
    assert found.line() == "none of the labels (nearest: b, 25.0% of 30.0%)"
    image = np.full((40, 200, 3), 128, np.uint8)
    assert (found.draw(image) != 128).any()


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        ((), "at least one"),
        (((0.2, 0.5), (0.8, 0.5)), "likeliest label comes first"),
        (((1.1, 0.5),), "between 0 and 1"),
        (((0.5, -0.1),), "between 0 and 1"),
        (((float("nan"), 0.5),), "between 0 and 1"),
    ],
    ids=str,
)
def test_what_are_no_labels_cannot_be_built(entries: tuple[tuple[float, float], ...], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        labels(*entries)


def test_none_of_these_says_how_far_and_what_was_nearest() -> None:
    found = NoneOfThese(1.5, 1.25, classes(0.75, 0.25))
    assert found.line() == "none of these (distance 1.50, known up to 1.25; nearest: a, 75.0%)"
    assert json.loads(json.dumps(found.to_json())) == {
        "classes": [],
        "none_of_these": {
            "distance": 1.5,
            "limit": 1.25,
            "nearest": [{"name": "a", "score": 0.75}, {"name": "b", "score": 0.25}],
        },
    }
    image = np.full((40, 200, 3), 128, np.uint8)
    drawn = found.draw(image)
    assert (drawn != 128).any()
    assert (image == 128).all()


@pytest.mark.parametrize(
    ("distance", "limit"), [(1.0, 1.0), (0.5, 1.0), (float("nan"), 1.0), (float("inf"), 1.0), (1.0, -1.0)], ids=str
)
def test_what_is_not_beyond_the_limit_is_not_refused(distance: float, limit: float) -> None:
    with pytest.raises(ValueError, match="a distance above its limit"):
        NoneOfThese(distance, limit, classes(1.0))


def test_a_table_has_what_is_there_with_its_score() -> None:
    assert classes(0.6, 0.4).named() == [("a", 0.6)]
    assert NoneOfThese(3.0, 2.0, classes(0.6, 0.4)).named() == []
    labels = Labels((LabelScore("x", 0.9, 0.5), LabelScore("y", 0.6, 0.5), LabelScore("z", 0.2, 0.5)))
    assert labels.named() == [("x", 0.9), ("y", 0.6)]

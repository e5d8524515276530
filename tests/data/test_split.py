"""Holding a share of each class out."""

from __future__ import annotations

import hashlib
import random
from collections import Counter

import pytest

from svertka.data.splitting.split import split_by_class, split_by_labels
from svertka.errors import UserError


def digests(count: int, salt: str = "") -> list[str]:
    return [hashlib.md5(f"{salt}{number}".encode()).hexdigest() for number in range(count)]


LABELS = ["a"] * 10 + ["b"] * 50 + ["c"] * 2
DIGESTS = digests(62)


def held_of(labels: list[str], contents: list[str], *, fraction: float = 0.2, seed: int = 0) -> list[int]:
    learn, held = split_by_class(labels, contents, fraction=fraction, seed=seed)
    assert sorted(learn + held) == list(range(len(labels)))
    assert (learn, held) == (sorted(learn), sorted(held))
    return held


def test_the_share_is_held_out_of_every_class() -> None:
    assert Counter(LABELS[position] for position in held_of(LABELS, DIGESTS)) == {"a": 2, "b": 10, "c": 1}


@pytest.mark.parametrize("fraction", [0.001, 0.5, 0.9])
def test_at_least_one_is_held_out_and_one_is_left(fraction: float) -> None:
    held = Counter(LABELS[position] for position in held_of(LABELS, DIGESTS, fraction=fraction))
    assert held["c"] == 1
    assert held["b"] == max(1, round(50 * fraction))


def test_the_division_is_what_it_was() -> None:
    # Frozen: `evaluate` finds the images that a model was not trained on by dividing them again.
    assert held_of(["a"] * 20, digests(20)) == [8, 9, 11, 17]
    assert held_of(["a"] * 20, digests(20), seed=1) == [2, 3, 6, 13]


def test_neither_order_nor_names_move_an_image() -> None:
    held = {DIGESTS[position] for position in held_of(LABELS, DIGESTS)}
    turned = held_of(LABELS[::-1], DIGESTS[::-1])
    assert {DIGESTS[::-1][position] for position in turned} == held
    renamed = held_of([label.upper() for label in LABELS], DIGESTS)
    assert {DIGESTS[position] for position in renamed} == held


def test_new_images_move_few_of_the_old() -> None:
    before = set(held_of(["a"] * 100, digests(100)))
    after = set(held_of(["a"] * 110, digests(110)))
    assert len(before - after) <= 4


def test_another_seed_holds_out_others() -> None:
    assert len({tuple(held_of(LABELS, DIGESTS, seed=seed)) for seed in range(10)}) == 10


@pytest.mark.parametrize("seed", range(20))
def test_copies_stay_together(seed: int) -> None:
    contents = [digest for digest in digests(10) for _ in range(3)]
    held = set(held_of(["a"] * 30, contents, seed=seed))
    assert all({3 * group, 3 * group + 1, 3 * group + 2} <= held or 3 * group not in held for group in range(10))
    assert len(held) == 6


@pytest.mark.parametrize("seed", range(10))
def test_two_different_images_suffice_however_often_one_is_copied(seed: int) -> None:
    held = held_of(["a"] * 10, ["x"] * 9 + ["y"], seed=seed)
    assert held in ([9], list(range(9)))


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        (["x"], "class 'b' has one image, and some must be held out"),
        (["x", "x", "x"], "class 'b' has 3 images that do not differ"),
    ],
)
def test_a_class_that_cannot_be_divided_is_refused(contents: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        split_by_class(["a"] * 4 + ["b"] * len(contents), digests(4) + contents, fraction=0.2, seed=0)


def many_labels(seed: int, count: int = 120) -> list[tuple[str, ...]]:
    # Of twelve labels, the first on half of the images, the last on few.
    generator = random.Random(seed)
    return [tuple(f"l{n}" for n in range(12) if generator.random() < 0.5 / (n + 1) ** 1.2) for _ in range(count)]


@pytest.mark.parametrize("seed", range(10))
def test_of_several_labels_none_is_lost(seed: int) -> None:
    labels = many_labels(seed)
    learn, held = split_by_labels(labels, digests(120), fraction=0.2, seed=seed)
    assert sorted(learn + held) == list(range(120))
    assert 18 <= len(held) <= 34
    total, out = (Counter(name for at in some for name in labels[at]) for some in (range(120), held))
    for name, count in total.items():
        assert out[name] < count
        if count >= 2:
            assert out[name] >= 1
        if count >= 10:
            assert abs(out[name] / count - 0.2) < 0.15


def test_one_image_with_a_label_is_learnt_from() -> None:
    labels = [("a",)] * 10 + [("a", "once")]
    for seed in range(20):
        learn, held = split_by_labels(labels, digests(11), fraction=0.5, seed=seed)
        assert 10 in learn
        assert len(held) == 6


def test_images_without_labels_are_divided_too() -> None:
    learn, held = split_by_labels([("a",)] * 20 + [()] * 20, digests(40), fraction=0.25, seed=0)
    assert (sum(at < 20 for at in held), sum(at >= 20 for at in held)) == (5, 5)
    assert len(learn) == 30


@pytest.mark.parametrize("seed", range(5))
def test_copies_with_several_labels_stay_together(seed: int) -> None:
    contents = [digest for digest in digests(30) for _ in range(2)]
    labels = [names for names in many_labels(seed, 30) for _ in range(2)]
    _, held = split_by_labels(labels, contents, fraction=0.3, seed=seed)
    assert {at // 2 * 2 for at in held} | {at // 2 * 2 + 1 for at in held} == set(held)


def test_the_division_of_several_labels_is_what_it_was_and_the_order_moves_no_image() -> None:
    labels, contents = many_labels(0, 40), digests(40)
    _, held = split_by_labels(labels, contents, fraction=0.2, seed=0)
    _, turned = split_by_labels(labels[::-1], contents[::-1], fraction=0.2, seed=0)
    assert sorted(39 - at for at in turned) == held
    assert held == [8, 9, 17, 21, 22, 23, 26, 29, 36]  # frozen, as above

"""The means of known classes, and the limit of the distance from them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from svertka.layers.transfer import ClassDistance
from svertka.training.rejection import class_means, reject_limit

CLASSES, WIDTH = 3, 6


def clouds(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Clouds around a centre for each class, each feature in a unit of its own; the last but one is always 7."""
    centres = 5 * np.random.default_rng(0).normal(size=(CLASSES, WIDTH))
    targets = np.arange(count) % CLASSES
    rows = centres[targets] + np.random.default_rng(seed).normal(size=(count, WIDTH))
    rows = rows * np.geomspace(0.01, 100, WIDTH)
    rows[:, -2] = 7
    return rows.astype(np.float32), targets


def layer(rows: np.ndarray, targets: np.ndarray, size: int) -> ClassDistance:
    batches = ((rows[start : start + size], targets[start : start + size]) for start in range(0, len(rows), size))
    made = ClassDistance(WIDTH, CLASSES)
    made.load_state_dict({name: torch.from_numpy(value) for name, value in class_means(batches, CLASSES).items()})
    return made


def test_the_distance_is_that_from_the_nearest_class_mean_in_deviations() -> None:
    rows, targets = clouds(300, 1)
    deviation = rows.astype(np.float64).std(axis=0)
    deviation = np.hypot(deviation, 0.1 * np.median(np.delete(deviation, -2)))
    means = np.stack([rows[targets == number].mean(axis=0) for number in range(CLASSES)])
    others, _ = clouds(40, 2)
    expected = (((others[:, None] - means) / deviation) ** 2).mean(axis=2).min(axis=1) ** 0.5
    np.testing.assert_allclose(layer(rows, targets, 300)(torch.from_numpy(others)).numpy(), expected, rtol=1e-3)


def test_batches_make_no_difference() -> None:
    rows, targets = clouds(100, 1)
    x = torch.from_numpy(clouds(10, 2)[0])
    torch.testing.assert_close(layer(rows, targets, 7)(x), layer(rows, targets, 100)(x))


def test_what_changes_nowhere_says_nothing_until_it_does() -> None:
    rows, targets = clouds(100, 1)
    made = layer(rows, targets, 100)
    x = torch.from_numpy(rows[:5]).clone()
    near = made(x)
    assert torch.isfinite(near).all()
    x[:, -2] = 700
    assert (made(x) > near).all()
    same = np.full((6, WIDTH), 3, np.float32)  # no feature changes at all
    assert torch.isfinite(layer(same, np.arange(6) % CLASSES, 6)(torch.from_numpy(same))).all()


@pytest.mark.parametrize(
    ("count", "share", "place"),
    [(99, 0.01, 99), (199, 0.01, 198), (200, 0.01, 199), (1000, 0.01, 991), (19, 0.05, 19), (10, 0.01, 10), (9, 0, 9)],
)
def test_the_limit_by_hand(count: int, share: float, place: int) -> None:
    distances = np.random.default_rng(count).permutation(np.arange(1, count + 1)).astype(np.float32)
    assert reject_limit(distances, share) == place
    assert np.mean(distances > reject_limit(distances, share)) <= share


def test_new_images_are_refused_no_more_often_than_was_asked() -> None:
    generator = np.random.default_rng(3)
    shares = [
        np.mean(generator.gamma(4, size=500) > reject_limit(generator.gamma(4, size=60), 0.1)) for _ in range(400)
    ]
    assert 0.08 < np.mean(shares) < 0.105

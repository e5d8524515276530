"""R-CNN's machines: they tell regions apart that are apart, mine negatives that are hard, and say how far off is."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from svertka.training import region_machines
from svertka.training.region_machines import Regions, fit_machines

WIDTH, CLASSES = 12, 2
HARD = slice(22, 24)
"""Places of no class that are like the first but for one feature; not among those that a machine begins with."""


def regions(seed: int, *, images: int = 30, places: int = 40) -> list[Regions]:
    """Features whose first two say the class, the third how far off; a few of no class look like the first almost."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(images):
        features = rng.normal(0, 0.3, (places, WIDTH))
        overlaps = np.zeros((places, CLASSES), np.float32)
        goals = np.zeros((places, CLASSES, 4), np.float32)
        own = np.full(places, -1)
        for number in range(CLASSES):
            mine = slice(8 * number, 8 * number + 8)
            features[mine, number] += 3
            overlaps[mine, number] = rng.uniform(0.65, 0.95, 8)
            away = rng.normal(0, 0.2, 8)
            features[mine, 2] += 5 * away
            goals[mine, number, 0] = away
            own[8 * number + 7] = number
            overlaps[8 * number + 7, number] = 1
        features[HARD, 0] += 3
        features[HARD, 5] += 3
        found.append(Regions(features.astype(np.float16), overlaps, goals, own))
    return found


def scores(tensors: dict[str, NDArray[np.float32]], image: Regions) -> NDArray[np.float32]:
    logits = image.features.astype(np.float32) @ tensors["score.weight"].T + tensors["score.bias"]
    return np.asarray(1 / (1 + np.exp(-logits)))


@pytest.mark.parametrize("held_out", [True, False])
def test_machines_tell_regions_apart(held_out: bool) -> None:
    machines = fit_machines(regions(0), regions(1) if held_out else [], CLASSES)
    images = regions(2)
    found = np.concatenate([scores(machines.tensors, image) for image in images])
    there = np.concatenate([image.overlaps for image in images]) > 0
    for number in range(CLASSES):
        mine, others = found[there[:, number], number], found[~there[:, number], number]
        assert (mine[:, None] > others).mean() > 0.995
        assert mine.mean() > 0.8
        assert others.mean() < 0.1


def test_hard_negatives_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    mined = fit_machines(regions(0), [], CLASSES).tensors
    monkeypatch.setattr(region_machines, "_ROUNDS", 1)
    first = fit_machines(regions(0), [], CLASSES).tensors

    def apart(tensors: dict[str, NDArray[np.float32]]) -> float:
        found = [scores(tensors, image)[:, 0] for image in regions(2)]
        return float(np.mean([(values[:8].mean() - values[HARD].mean()) for values in found]))

    assert apart(mined) > apart(first)


def test_the_regression_says_how_far_off_a_region_is() -> None:
    tensors = fit_machines(regions(0, images=200), [], CLASSES).tensors
    assert tensors["offsets.weight"].shape == (4 * CLASSES, WIDTH)
    truth, found = [], []
    for image in regions(3):
        said = image.features.astype(np.float32) @ tensors["offsets.weight"].T + tensors["offsets.bias"]
        truth.append(image.goals[:7, 0])
        found.append(said.reshape(-1, CLASSES, 4)[:7, 0])
    goals, ways = np.concatenate(truth), np.concatenate(found)
    assert np.abs(ways[:, 0] - goals[:, 0]).mean() < 0.5 * np.abs(goals[:, 0]).mean()
    assert np.abs(ways[:, 1:]).max() < 0.01


def test_a_class_that_is_not_there_is_never_found() -> None:
    images = [
        image._replace(overlaps=image.overlaps * [1, 0], own=np.where(image.own == 1, -1, image.own))
        for image in regions(0)
    ]
    tensors = fit_machines(images, [], CLASSES).tensors
    assert not tensors["score.weight"][1].any()
    assert not tensors["offsets.weight"][4:].any()
    assert scores(tensors, images[0])[:, 1].max() < 0.001

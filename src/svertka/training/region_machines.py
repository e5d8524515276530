"""Fitting what R-CNN looks at regions with: a linear support vector machine and a ridge regression for each class.

R. Girshick et al., "Rich feature hierarchies for accurate object detection and semantic segmentation", 2014,
section 2.3 and appendices B and C.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_NORM = 20.0  # mean length that features are brought to: what the paper's strengths are for
_FAR = 0.3  # IoU with every object of a class below which a region is none
_NEAR = 0.6  # IoU from which on a region says where its object is
_SHOWS = 0.5  # IoU from which on a region counts as its object when scores are brought between 0 and 1
_COST, _POSITIVE, _BIAS = 1e-3, 2.0, 10.0  # of the machines: C, what a positive counts for, what the bias is given
_RIDGE = 1000.0
_ROUNDS, _HARD, _EASY = 3, -1.0, -1.2  # passes over all negatives; scores of those that are kept, and let go
_NEVER = -10.0  # score of a class that there is nothing to learn of
_FIRST = 10  # negatives of an image that each machine begins with


class Regions(NamedTuple):
    """What is known of the regions of an image.

    Attributes:
        features: Of each, ``(P, D)``.
        overlaps: The largest IoU of each with an object of each class, ``(P, classes)``.
        goals: How far off that object is, ``(P, classes, 4)``; see `svertka.layers.boxes.encode`.
        own: The number of the class of which it is an object's very box, or -1, ``(P,)``.
    """

    features: NDArray[np.float16]
    overlaps: NDArray[np.float32]
    goals: NDArray[np.float32]
    own: NDArray[np.int64]


class Machines(NamedTuple):
    """What was fitted.

    Attributes:
        tensors: ``score`` and ``offsets``, each ``weight`` and ``bias``, as layers have them.
        negatives: How many hard negatives the machine of each class ended with.
    """

    tensors: dict[str, NDArray[np.float32]]
    negatives: list[int]


def fit_machines(train: Sequence[Regions], val: Sequence[Regions], classes: int, *, seed: int = 0) -> Machines:
    """A machine and a regression for each class.

    Positives are the very boxes of a class's objects, negatives all regions that hardly overlap one. A machine begins
    with a few of these; then all are scored, the hard ones are added and the easy ones let go, and it learns again.
    How probable a score is, is learnt on ``val``, or where there is none on ``train``; see `_probable`.

    Args:
        train, val: Of each image.
        classes: Number of classes.
        seed: Of the machines.
    """
    length = np.mean([np.linalg.norm(image.features.astype(np.float32), axis=1).mean() for image in train])
    scale = _NORM / max(float(length), 1e-12)
    width = train[0].features.shape[1]
    weights, biases = np.zeros((classes, width)), np.zeros(classes)
    ways, shifts = np.zeros((classes, 4, width)), np.zeros((classes, 4))
    negatives = []
    for number in range(classes):
        weight, bias, count = _machine(train, number, scale, seed)
        factor, shift = _probable(val or train, number, weight * scale, bias)
        weights[number], biases[number] = factor * weight * scale, factor * bias + shift
        ways[number], shifts[number] = _regression(train, number, scale)
        negatives.append(count)
    tensors = {
        "score.weight": weights,
        "score.bias": biases,
        "offsets.weight": ways.reshape(-1, width),
        "offsets.bias": shifts.reshape(-1),
    }
    return Machines({name: value.astype(np.float32) for name, value in tensors.items()}, negatives)


def _machine(train: Sequence[Regions], number: int, scale: float, seed: int) -> tuple[NDArray[np.float64], float, int]:
    from sklearn.svm import LinearSVC

    positives = np.concatenate([image.features[image.own == number] for image in train]).astype(np.float32) * scale
    far = [np.flatnonzero(image.overlaps[:, number] < _FAR) for image in train]
    held = [places[np.linspace(0, len(places) - 1, min(_FIRST, len(places))).astype(int)] for places in far]
    weight, bias = np.zeros(train[0].features.shape[1]), _NEVER
    for _ in range(_ROUNDS):
        hard = np.concatenate([image.features[places] for image, places in zip(train, held, strict=True)])
        if not len(positives) or not len(hard):
            break
        machine = LinearSVC(
            C=_COST,
            class_weight={True: _POSITIVE, False: 1.0},
            intercept_scaling=_BIAS,
            random_state=seed,
            max_iter=5000,
        )
        machine.fit(
            np.concatenate([positives, hard.astype(np.float32) * scale]),
            np.repeat([True, False], [len(positives), len(hard)]),
        )
        weight, bias = machine.coef_[0], float(machine.intercept_[0])
        before, held = held, []
        for image, places, kept in zip(train, far, before, strict=True):
            scores = image.features[places].astype(np.float32) @ (weight * scale).astype(np.float32) + bias
            stays = np.isin(places, kept)
            held.append(places[np.where(stays, scores > _EASY, scores > _HARD)])
        if all(np.array_equal(now, then) for now, then in zip(held, before, strict=True)):
            break
    return weight, bias, sum(map(len, held))


def _probable(images: Sequence[Regions], number: int, weight: NDArray[np.float64], bias: float) -> tuple[float, float]:
    """By what a score is multiplied and what is added, so that its sigmoid says how often such a region is an object.

    J. Platt, "Probabilistic Outputs for Support Vector Machines and Comparisons to Regularized Likelihood Methods",
    1999.
    """
    from sklearn.linear_model import LogisticRegression

    scores = np.concatenate([image.features.astype(np.float32) @ weight.astype(np.float32) for image in images]) + bias
    there = np.concatenate([image.overlaps[:, number] >= _SHOWS for image in images])
    if there.all() or not there.any():
        return 1.0, 0.0
    found = LogisticRegression(C=1e3).fit(scores[:, None], there)
    factor, shift = float(found.coef_[0, 0]), float(found.intercept_[0])
    return (factor, shift) if factor > 0 else (1.0, 0.0)


def _regression(train: Sequence[Regions], number: int, scale: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    near = [(image.overlaps[:, number] > _NEAR) & (image.own < 0) for image in train]
    x = np.concatenate([image.features[chosen] for image, chosen in zip(train, near, strict=True)]).astype(np.float64)
    goals = np.concatenate([image.goals[chosen, number] for image, chosen in zip(train, near, strict=True)])
    if not len(x):
        return np.zeros((4, x.shape[1])), np.zeros(4)
    x *= scale
    middle, shift = x.mean(axis=0), goals.mean(axis=0, dtype=np.float64)
    x -= middle
    ways = np.linalg.solve(x.T @ x + _RIDGE * np.eye(x.shape[1]), x.T @ (goals - shift)).T
    return ways * scale, shift - ways @ middle

"""Fitting a head to remembered features: no gradient passes through the trunk, so seconds suffice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit
from threadpoolctl import threadpool_limits

from svertka.errors import UserError

STRENGTHS = (0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001)
"""Regularisation that is tried, from strong to weak: what ½‖W‖² counts for against the mean cross-entropy."""

_CHUNK = 1024  # samples at a time
_STEPS = 60  # of L-BFGS for each strength, from where the stronger one ended
_PATIENCE = 2  # strengths that may be worse than the best before the rest is left out
_FOLDS = 5


class Features(Protocol):
    """Remembered features of a part."""

    def __len__(self) -> int: ...

    def chunks(self, size: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """All samples in all their views, ``size`` at a time: their indices, and features ``(n, D)``."""
        ...


@dataclass(frozen=True)
class Fitted:
    """A fitted rule.

    Attributes:
        tensors: By the name of the rule's parameter.
        chosen: What was chosen on validation data, by name.
        tried: What was tried, each with its loss on validation data.
    """

    tensors: Mapping[str, NDArray[np.float32]]
    chosen: Mapping[str, float | list[float]]
    tried: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Examples:
    """Features with their targets.

    Attributes:
        features: Of the samples.
        targets: Class numbers ``(N,)``; or of several labels, which are there, ``(N, classes)``.
        weights: What each sample counts for, ``(N,)``; or what each of its labels does, ``(N, classes)``.
        kept: Which samples are looked at, ``(N,)`` bool.
    """

    features: Features
    targets: NDArray[Any]
    weights: NDArray[np.float64]
    kept: NDArray[np.bool_]

    def chunks(self) -> Iterator[tuple[NDArray[np.float32], NDArray[Any], NDArray[np.float64]]]:
        """Features, targets and weights, some at a time."""
        for indices, features in self.features.chunks(_CHUNK):
            here = self.kept[indices]
            if here.any():
                yield features[here], self.targets[indices][here], self.weights[indices][here]


def examples(features: Features, targets: NDArray[Any], weights: NDArray[np.float64] | None = None) -> Examples:
    """All samples of a part, alike or weighted."""
    counts = np.ones(targets.shape) if weights is None else weights
    return Examples(features, targets, counts, np.ones(len(features), bool))


def fit_logistic(train: Examples, val: Examples | None, classes: int, *, seed: int = 0) -> Fitted:
    """Multinomial logistic regression on standardised features, by L-BFGS; of several labels, a binary one for each.

    The strength of regularisation is chosen by the loss on ``val``; without one, by cross-validation in five parts.
    Each of several labels has a strength of its own; they are fitted together, so that features are read but once.
    Memory does not grow with the number of samples: every evaluation reads the features anew, some at a time.

    D. Liu, J. Nocedal, "On the limited memory BFGS method for large scale optimization", 1989.

    Returns:
        ``weight`` (classes, D) and ``bias`` (classes,) for features as they are, not standardised.
    """
    with _one_thread():
        if val is not None:
            tried, strengths, weights = _path([(train, val)], classes)
            return Fitted(_Standard.of(train).unfold(weights[0]), _told(strengths), tuple(tried))
        folds = np.random.default_rng(seed).integers(_FOLDS, size=len(train.features))
        pairs = [(_only(train, folds != fold), _only(train, folds == fold)) for fold in range(_FOLDS)]
        tried, strengths, _ = _path([(one, other) for one, other in pairs if other.kept.any()], classes)
        standard = _Standard.of(train)
        whole = np.zeros((classes, standard.width + 1))
        for stronger in STRENGTHS[: STRENGTHS.index(float(strengths.min())) + 1]:
            whole = _minimise(train, standard, np.maximum(stronger, strengths), whole)
    return Fitted(standard.unfold(whole), _told(strengths), tuple(tried))


def fit_means(train: Examples, classes: int) -> Fitted:
    """Nearest class mean under one spherical deviation: logits −‖x − μ‖² / 2σ², up to what all classes share.

    Features are standardised first. It is a linear rule.
    """
    standard = _Standard.of(train)
    sums, counts, squares = np.zeros((classes, standard.width)), np.zeros(classes), 0.0
    for features, targets, weights in train.chunks():
        scaled = standard.apply(features)
        np.add.at(sums, targets, scaled * weights[:, None])
        np.add.at(counts, targets, weights)
        squares += float((weights[:, None] * scaled.astype(np.float64) ** 2).sum())
    means = sums / np.maximum(counts, 1e-12)[:, None]
    spread = (squares - float((counts[:, None] * means**2).sum())) / counts.sum() / standard.width
    spread = max(spread, 1e-6) * standard.width  # as if the features were one: they are far from independent
    bias = -0.5 * (means**2).sum(axis=1) / spread
    return Fitted(standard.unfold(np.column_stack([means / spread, bias])), {})


def fit_svm(train: Examples, val: Examples | None, classes: int, *, kernel: bool, seed: int = 0) -> Fitted:
    """A support vector machine for each class against the rest: linear, or with a Gaussian kernel.

    All features of the training part are held in memory.

    Raises:
        UserError: A class has no sample.
    """
    from sklearn.svm import SVC, LinearSVC

    standard = _Standard.of(train)
    features, targets, weights = _held(train, standard)
    if len(np.unique(targets)) < classes:
        raise UserError("a class has no image to learn from")
    judged = _held(val, standard) if val is not None else (features, targets, weights)
    candidates: dict[float, Fitted] = {}
    accuracy: dict[float, float] = {}
    for cost in (1.0, 10.0) if kernel else (0.0003, 0.003, 0.03):
        machines = []
        for number in range(classes):
            machine = SVC(C=cost) if kernel else LinearSVC(C=cost, random_state=seed, dual="auto", max_iter=5000)
            machines.append(machine.fit(features, targets == number, sample_weight=weights))
        if kernel:
            candidates[cost] = _kernel_rule(machines, standard, len(features))
            values = np.column_stack([machine.decision_function(judged[0]) for machine in machines])
        else:
            weight = np.column_stack(
                [
                    np.concatenate([machine.coef_ for machine in machines]),
                    [machine.intercept_[0] for machine in machines],
                ]
            )
            candidates[cost] = Fitted(standard.unfold(weight), {"cost": cost})
            values = judged[0] @ weight[:, :-1].T + weight[:, -1]
        accuracy[cost] = float(np.average(values.argmax(axis=1) == judged[1], weights=judged[2]))
    best = max(accuracy, key=lambda cost: accuracy[cost])
    tried = tuple((cost, 1 - share) for cost, share in accuracy.items())
    return Fitted(candidates[best].tensors, {"cost": best}, tried)


def temperature(logits: NDArray[np.float64], targets: NDArray[Any]) -> float:
    """The T > 0 for which softmax(logits / T), or of several labels sigmoid(logits / T), has the least loss here.

    Targets are drawn back from 0 and 1 as if two samples more were at odds with them; else T would fall to nothing
    where all samples are right.

    C. Guo et al., "On Calibration of Modern Neural Networks", 2017; J. Platt, "Probabilistic Outputs for Support
    Vector Machines and Comparisons to Regularized Likelihood Methods", 1999, section 2.2.
    """
    count = len(targets)
    if targets.ndim == 2:
        there = targets.sum(axis=0)
        targets = np.where(targets > 0, (there + 1) / (there + 2), 1 / (count - there + 2))
        lead = 0.0
    else:  # what the loss gains by taking some of the target away from the true class, over all others
        lead = float(np.mean(logits[np.arange(count), targets] - logits.mean(axis=1))) / (count + 2)

    def loss(log_t: float) -> float:
        scale = np.exp(-log_t)
        return float(np.mean(_surprise(logits * scale, targets)[0]) + lead * scale)

    found = minimize_scalar(loss, bounds=(-12.0, 12.0), method="bounded", options={"xatol": 1e-4})
    return float(np.exp(found.x))


@dataclass(frozen=True)
class _Standard:
    """Brings every feature to mean 0 and deviation 1."""

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]

    @property
    def width(self) -> int:
        return len(self.mean)

    @classmethod
    def of(cls, data: Examples) -> _Standard:
        total, sums, squares = 0.0, np.zeros(0), np.zeros(0)
        for features, _, weights in data.chunks():
            wide, weights = features.astype(np.float64), weights.reshape(len(features), -1).mean(axis=1)
            sums = weights @ wide + (sums if sums.size else 0.0)
            squares = weights @ wide**2 + (squares if squares.size else 0.0)
            total += float(weights.sum())
        mean = sums / total
        deviation = np.sqrt(np.maximum(squares / total - mean**2, 0))
        # A feature that never changes says nothing, and is left where it is.
        return cls(mean, 1 / np.where(deviation > 1e-6, deviation, 1.0))

    def apply(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        return ((features - self.mean.astype(np.float32)) * self.scale.astype(np.float32)).astype(np.float32)

    def unfold(self, weights: NDArray[np.float64]) -> dict[str, NDArray[np.float32]]:
        # (classes, D + 1) for standardised features, the bias last, to weight and bias for features as they are.
        weight = weights[:, :-1] * self.scale
        bias = weights[:, -1] - weight @ self.mean
        return {"weight": weight.astype(np.float32), "bias": bias.astype(np.float32)}


def _path(
    pairs: list[tuple[Examples, Examples]], classes: int
) -> tuple[list[tuple[float, float]], NDArray[np.float64], list[NDArray[np.float64]]]:
    # The loss on what was held out, for one strength after another; and the strength and the weights where it was
    # least: of all classes together, or of every label by itself.
    states = [(_Standard.of(train), train, val) for train, val in pairs]
    weights = [np.zeros((classes, standard.width + 1)) for standard, _, _ in states]
    alone = pairs[0][0].targets.ndim == 2
    least = np.full(classes if alone else 1, np.inf)
    strengths, place = np.full(least.shape, STRENGTHS[0]), 0
    kept = [start.copy() for start in weights]
    tried: list[tuple[float, float]] = []
    for number, strength in enumerate(STRENGTHS):
        weights = [
            _minimise(train, standard, np.array([strength]), start)
            for (standard, train, _), start in zip(states, weights, strict=True)
        ]
        losses = [_losses(val, standard, w)[0] for (standard, _, val), w in zip(states, weights, strict=True)]
        counts = [val.weights[val.kept].sum() for _, _, val in states]
        held_out = np.average(losses, axis=0, weights=counts)
        tried.append((strength, float(held_out.mean())))
        better = held_out <= least
        least[better], strengths[better] = held_out[better], strength
        for best, now in zip(kept, weights, strict=True):
            rows = np.broadcast_to(better, classes)
            best[rows] = now[rows]
        if better.any():
            place = number
        elif number - place >= _PATIENCE:
            break
    return tried, strengths, kept


def _told(strengths: NDArray[np.float64]) -> dict[str, float | list[float]]:
    return {"strength": strengths.tolist() if len(strengths) > 1 else float(strengths[0])}


def _one_thread() -> AbstractContextManager[object]:
    # These products are too small for several: threads that wait for one another would take longer than the sums.
    context: AbstractContextManager[object] = threadpool_limits(1)
    return context


def _minimise(
    train: Examples, standard: _Standard, strengths: NDArray[np.float64], start: NDArray[np.float64]
) -> NDArray[np.float64]:
    # ``strengths`` of all classes (1,), or of each (classes,).
    def objective(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights = flat.reshape(start.shape)
        losses, gradient = _losses(train, standard, weights)
        pull = strengths[:, None] * weights[:, :-1]
        gradient[:, :-1] += pull
        return float(losses.sum() + 0.5 * (pull * weights[:, :-1]).sum()), gradient.ravel()

    found = minimize(objective, start.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": _STEPS, "ftol": 1e-7})
    return np.asarray(found.x).reshape(start.shape)


def _losses(
    data: Examples, standard: _Standard, weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    # The mean loss, (1,), or that of every label, (classes,); and the gradient of their sum by the weights.
    # Standardising is folded into the weights, so that no copy of the features is made.
    unfolded = standard.unfold(weights)
    gradient_w, gradient_b = np.zeros((len(weights), standard.width)), np.zeros(len(weights))
    loss, total = np.zeros(1), np.zeros(1)
    for features, targets, weight in data.chunks():
        logits = (features @ unfolded["weight"].T + unfolded["bias"]).astype(np.float64)
        counts = weight.reshape(len(features), -1)
        surprise, residual = _surprise(logits, targets)
        loss = loss + (counts * surprise).sum(axis=0)
        total = total + counts.sum(axis=0)
        residual *= counts
        gradient_w += residual.astype(np.float32).T @ features
        gradient_b += residual.sum(axis=0)
    gradient_w = (gradient_w - np.outer(gradient_b, standard.mean)) * standard.scale
    return loss / total, np.column_stack([gradient_w, gradient_b]) / total[:, None]


def _surprise(logits: NDArray[np.float64], targets: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    # Cross-entropy of class numbers (N,), as (N, 1), or of every label (N, classes), as it is; and its derivative by
    # the logits.
    if targets.ndim == 2:
        return np.logaddexp(0, logits) - targets * logits, expit(logits) - targets
    largest = logits.max(axis=1)
    normaliser = largest + np.log(np.exp(logits - largest[:, None]).sum(axis=1))
    rows = np.arange(len(targets))
    residual = np.exp(logits - normaliser[:, None])
    residual[rows, targets] -= 1
    return (normaliser - logits[rows, targets])[:, None], residual


def _only(data: Examples, kept: NDArray[np.bool_]) -> Examples:
    return Examples(data.features, data.targets, data.weights, data.kept & kept)


def _held(data: Examples, standard: _Standard) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float64]]:
    chunks = [(standard.apply(features), targets, weights) for features, targets, weights in data.chunks()]
    features, targets, weights = zip(*chunks, strict=True)
    return np.concatenate(features), np.concatenate(targets), np.concatenate(weights)


def _kernel_rule(machines: list[object], standard: _Standard, samples: int) -> Fitted:
    used = np.unique(np.concatenate([machine.support_ for machine in machines]))  # type: ignore[attr-defined]
    place = np.full(samples, -1)
    place[used] = np.arange(len(used))
    supports = np.zeros((len(used), standard.width), np.float32)
    weight = np.zeros((len(machines), len(used)), np.float32)
    for number, machine in enumerate(machines):
        here = place[machine.support_]  # type: ignore[attr-defined]
        supports[here] = machine.support_vectors_  # type: ignore[attr-defined]
        weight[number, here] = machine.dual_coef_[0]  # type: ignore[attr-defined]
    return Fitted(
        {
            "mean": standard.mean.astype(np.float32),
            "scale": standard.scale.astype(np.float32),
            "supports": supports,
            "gamma": np.float32(machines[0]._gamma),  # type: ignore[attr-defined, dict-item]
            "weight": weight,
            "bias": np.array([machine.intercept_[0] for machine in machines], np.float32),  # type: ignore[attr-defined]
        },
        {},
    )


FITS: dict[str, Callable[[Examples, Examples | None, int, int], Fitted]] = {
    "linear": lambda train, val, classes, seed: fit_logistic(train, val, classes, seed=seed),
    "svm": lambda train, val, classes, seed: fit_svm(train, val, classes, kernel=False, seed=seed),
    "kernel_svm": lambda train, val, classes, seed: fit_svm(train, val, classes, kernel=True, seed=seed),
    "means": lambda train, _val, classes, _seed: fit_means(train, classes),
}
"""Heads by name, fitted to what to learn from, what to choose by, the number of classes, and a seed."""

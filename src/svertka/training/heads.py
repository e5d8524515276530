"""Fitting a head to remembered features: no gradient passes through the trunk, so seconds suffice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar
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
    chosen: Mapping[str, float]
    tried: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Examples:
    """Features with their targets.

    Attributes:
        features: Of the samples.
        targets: Class numbers ``(N,)``.
        weights: What each sample counts for, ``(N,)``.
        kept: Which samples are looked at, ``(N,)`` bool.
    """

    features: Features
    targets: NDArray[np.int64]
    weights: NDArray[np.float64]
    kept: NDArray[np.bool_]

    def chunks(self) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float64]]]:
        """Features, targets and weights, some at a time."""
        for indices, features in self.features.chunks(_CHUNK):
            here = self.kept[indices]
            if here.any():
                yield features[here], self.targets[indices][here], self.weights[indices][here]


def examples(features: Features, targets: NDArray[np.int64], weights: NDArray[np.float64] | None = None) -> Examples:
    """All samples of a part, alike or weighted."""
    counts = np.ones(len(features)) if weights is None else weights
    return Examples(features, targets, counts, np.ones(len(features), bool))


def fit_logistic(train: Examples, val: Examples | None, classes: int, *, seed: int = 0) -> Fitted:
    """Multinomial logistic regression on standardised features, by L-BFGS.

    The strength of regularisation is chosen by the loss on ``val``; without one, by cross-validation in five parts.
    Memory does not grow with the number of samples: every evaluation reads the features anew, some at a time.

    D. Liu, J. Nocedal, "On the limited memory BFGS method for large scale optimization", 1989.

    Returns:
        ``weight`` (classes, D) and ``bias`` (classes,) for features as they are, not standardised.
    """
    with _one_thread():
        if val is not None:
            tried, weights = _path([(train, val)], classes)
            strength = min(tried, key=lambda pair: pair[1])[0]
            return Fitted(_Standard.of(train).unfold(weights[0]), {"strength": strength}, tuple(tried))
        folds = np.random.default_rng(seed).integers(_FOLDS, size=len(train.features))
        pairs = [(_only(train, folds != fold), _only(train, folds == fold)) for fold in range(_FOLDS)]
        tried, _ = _path([(one, other) for one, other in pairs if other.kept.any()], classes)
        strength = min(tried, key=lambda pair: pair[1])[0]
        standard = _Standard.of(train)
        whole = np.zeros((classes, standard.width + 1))
        for stronger in STRENGTHS[: STRENGTHS.index(strength) + 1]:
            whole = _minimise(train, standard, stronger, whole)
    return Fitted(standard.unfold(whole), {"strength": strength}, tuple(tried))


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


def temperature(logits: NDArray[np.float64], targets: NDArray[np.int64]) -> float:
    """The T > 0 for which softmax(logits / T) has the least loss on these samples.

    C. Guo et al., "On Calibration of Modern Neural Networks", 2017. Targets are smoothed by 1 / (N + 2), after
    J. Platt, "Probabilistic Outputs for Support Vector Machines", 1999: a few samples without a mistake make no score
    certain.
    """
    smoothing = 1 / (len(targets) + 2)
    own = np.arange(len(targets)), targets

    def loss(log_t: float) -> float:
        scaled = logits / np.exp(log_t)
        likely = (1 - smoothing) * scaled[own] + smoothing * scaled.mean(axis=1)
        return float(np.mean(_log_sum(scaled) - likely))

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
            wide = features.astype(np.float64)
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
) -> tuple[list[tuple[float, float]], list[NDArray[np.float64]]]:
    # The loss on what was held out, for one strength after another; and the weights where it was least.
    states = [(_Standard.of(train), train, val) for train, val in pairs]
    weights = [np.zeros((classes, standard.width + 1)) for standard, _, _ in states]
    tried: list[tuple[float, float]] = []
    best, kept = 0, weights
    for strength in STRENGTHS:
        weights = [
            _minimise(train, standard, strength, start)
            for (standard, train, _), start in zip(states, weights, strict=True)
        ]
        losses = [_objective(val, standard, 0.0, w)[0] for (standard, _, val), w in zip(states, weights, strict=True)]
        counts = [val.weights[val.kept].sum() for _, _, val in states]
        tried.append((strength, float(np.average(losses, weights=counts))))
        if tried[-1][1] <= tried[best][1]:
            best, kept = len(tried) - 1, weights
        elif len(tried) - 1 - best >= _PATIENCE:
            break
    return tried, kept


def _one_thread() -> AbstractContextManager[object]:
    # These products are too small for several: threads that wait for one another would take longer than the sums.
    context: AbstractContextManager[object] = threadpool_limits(1)
    return context


def _minimise(train: Examples, standard: _Standard, strength: float, start: NDArray[np.float64]) -> NDArray[np.float64]:
    def objective(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        loss, gradient = _objective(train, standard, strength, flat.reshape(start.shape))
        return loss, gradient.ravel()

    found = minimize(objective, start.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": _STEPS, "ftol": 1e-6})
    return np.asarray(found.x).reshape(start.shape)


def _objective(
    data: Examples, standard: _Standard, strength: float, weights: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    # Standardising is folded into the weights, so that no copy of the features is made.
    unfolded = standard.unfold(weights)
    gradient_w, gradient_b = np.zeros((len(weights), standard.width)), np.zeros(len(weights))
    loss = total = 0.0
    for features, targets, counts in data.chunks():
        logits = (features @ unfolded["weight"].T + unfolded["bias"]).astype(np.float64)
        normaliser = _log_sum(logits)
        rows = np.arange(len(targets))
        loss += float(counts @ (normaliser - logits[rows, targets]))
        total += float(counts.sum())
        residual = np.exp(logits - normaliser[:, None])
        residual[rows, targets] -= 1
        residual *= counts[:, None]
        gradient_w += residual.astype(np.float32).T @ features
        gradient_b += residual.sum(axis=0)
    gradient_w = (gradient_w - np.outer(gradient_b, standard.mean)) * standard.scale
    gradient = np.column_stack([gradient_w, gradient_b]) / total
    gradient[:, :-1] += strength * weights[:, :-1]
    return loss / total + 0.5 * strength * float((weights[:, :-1] ** 2).sum()), gradient


def _log_sum(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    largest = logits.max(axis=1)
    return np.asarray(largest + np.log(np.exp(logits - largest[:, None]).sum(axis=1)))


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

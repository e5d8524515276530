"""Trainings with a fault planted in each, and healthy ones, to measure what the doctor finds and where it is silent.

Images are scikit-learn's digits, drawn gratings and, where a folder of real data is named, garments; networks are
small, and a training takes seconds.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from svertka.commands.train.findings import quick_findings
from svertka.data.batching.batches import Inputs, Loader, Part
from svertka.data.batching.handling import inputs_of
from svertka.data.preparing import Prepared, learnable_classes, measured, prepare
from svertka.data.readers.idx import read_idx
from svertka.errors import UserError
from svertka.runtime.preprocess import Preprocess
from svertka.tasks.classification import Classification
from svertka.training.contracts import Observer
from svertka.training.doctor import Doctor
from svertka.training.loop import Training
from svertka.training.machine import Machine
from svertka.training.recipe import Recipe
from svertka.training.signals import Background, Signals
from svertka.zoo import registry

GARMENTS = Path(os.environ.get("SVERTKA_DATA", "")) / "fashion-mnist"
HAS_GARMENTS = "SVERTKA_DATA" in os.environ and GARMENTS.is_dir()
CLASSES = 10

Arrays = tuple[NDArray[np.uint8], NDArray[np.int64]]
Spoil = Callable[[Arrays, np.random.Generator], Arrays]
Divide = Callable[[Arrays, np.random.Generator], dict[str, Arrays]]


def digits(count: int, seed: int) -> Arrays:
    """So many of scikit-learn's digits, 8 × 8."""
    from sklearn.datasets import load_digits

    found = load_digits()
    chosen = np.random.default_rng(seed).permutation(len(found.target))[:count]
    return np.round(255 * (1 - found.images[chosen] / 16)).astype(np.uint8), found.target[chosen].astype(np.int64)


def gratings(count: int, seed: int) -> Arrays:
    """Stripes in noise, 16 × 16; the class is their direction, and their phase is drawn."""
    generator = np.random.default_rng([seed, 7])
    labels = generator.integers(0, CLASSES, count)
    angle = labels * np.pi / CLASSES + generator.normal(0, 0.04, count)
    phase, pitch = generator.uniform(0, 2 * np.pi, count), generator.uniform(0.9, 1.3, count)
    rows, columns = np.mgrid[:16, :16]
    along = np.cos(angle)[:, None, None] * columns + np.sin(angle)[:, None, None] * rows
    waves = np.sin(pitch[:, None, None] * along + phase[:, None, None])
    return np.clip(128 + 60 * waves + generator.normal(0, 30, waves.shape), 0, 255).astype(np.uint8), labels


def garments(count: int, seed: int) -> Arrays:
    """So many images of Fashion-MNIST, 28 × 28."""
    images, labels = _all_garments()
    chosen = np.random.default_rng(seed).permutation(len(labels))[:count]
    return images[chosen].copy(), labels[chosen]


@functools.cache
def _all_garments() -> Arrays:
    samples = read_idx(GARMENTS).parts["train"]
    images = samples[0].source.images  # type: ignore[attr-defined]
    return images, np.array([int(str(sample.annotation)) for sample in samples])


SOURCES: dict[str, Callable[[int, int], Arrays]] = {"digits": digits, "gratings": gratings, "garments": garments}
COUNTS = {"digits": 900, "gratings": 900, "garments": 1400}


@dataclass(frozen=True)
class Case:
    """One training.

    Attributes:
        data: Name of the images.
        net: Registry name.
        recipe: Changes to a recipe that would learn well.
        options: Of the network.
        count: How many images there are; those of the data set if not given.
        seed: Of images, weights and order.
        spoil: Changes images and labels, before they are divided.
        parts: Makes a training and a validation part of them; by default a fifth is held out.
        change: Changes the network.
        begin: Trains it first on other images, so that it has weights to begin from.
        preprocess: What the inputs are really preprocessed with.
        task: What is learnt.
        slow: Seconds that an image takes to be loaded.
        order: Whether training goes through the classes one after another.
    """

    data: str = "digits"
    net: str = "lenet5"
    recipe: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    count: int = 0
    seed: int = 0
    spoil: Spoil | None = None
    parts: Divide | None = None
    change: Callable[[nn.Module], None] | None = None
    begin: bool = False
    preprocess: Callable[[Preprocess], Preprocess] | None = None
    task: Callable[[tuple[str, ...]], Classification] | None = None
    slow: float = 0.0
    order: bool = False


_RECIPES: dict[str, dict[str, Any]] = {
    "lenet5": {"lr": 0.004, "epochs": 12, "batch": 32},
    "mlp": {"lr": 0.003, "epochs": 12, "batch": 32},
    "resnet8_cifar": {"lr": 0.003, "epochs": 8, "batch": 32},
}
_SIDES = {"lenet5": 32, "mlp": 16, "resnet8_cifar": 16}
_FIXED = {"threads": 1, "precision": "fp32", "layout": "channels_first", "device": "cpu", "channels": 1}


def training(case: Case, *, observer: Observer | None = None) -> Training:
    """The training, ready to be run.

    Args:
        case: What to train.
        observer: Who looks on; the doctor if nobody is given.
    """
    side = _SIDES[case.net]
    prepared, findings = _prepared(case.data, case.count, case.seed, side, case.spoil, case.parts)
    recipe = Recipe().changed({"net": case.net, **_RECIPES[case.net], **_FIXED, "seed": case.seed, **case.recipe})
    classes = learnable_classes(prepared)
    wanted = measured(prepared)
    assert isinstance(wanted, Preprocess)
    real = case.preprocess(wanted) if case.preprocess else wanted
    torch.manual_seed(case.seed)
    options: dict[str, Any] = {"classes": len(classes), "in_channels": 1, **case.options}
    if registry.record(case.net).one_size:
        options["image_size"] = side
    if recipe.dropout is not None:
        options["dropout"] = recipe.dropout
    net = registry.build(case.net, options)
    if case.begin:
        _begin(net, case)
        recipe = recipe.changed({"weights": "trained before"})
    if case.change:
        case.change(net)
    task = case.task(classes) if case.task else Classification(classes, label_smoothing=recipe.label_smoothing)
    targets = {part: task.targets(division.labels) for part, division in prepared.parts.items()}

    def loader(part: str) -> Loader:
        learning = part == "train"
        augment = recipe.augment if learning else ()
        inputs = inputs_of(prepared, part, real, learning=learning, augmentations=augment, seed=recipe.seed)
        samples = Part(Slow(inputs, case.slow) if case.slow and learning else inputs, targets[part], recipe.seed)
        return (Sorted if case.order and learning else Loader)(samples, recipe.batch)

    background = Background(
        counts={part: np.bincount(values, minlength=len(classes)).tolist() for part, values in targets.items()},
        mean=wanted.mean,
        std=wanted.std,
        findings=findings,
        names=lambda number: prepared.samples[prepared.parts["val"].positions[number]].name,
    )
    doctor = Doctor(background, None, lambda _: None)
    return Training(
        net,
        task,
        loader("train"),
        loader("val"),
        recipe,
        machine=Machine(recipe),
        checkpoints=None,
        watcher=Quiet(),
        observer=observer or doctor,
    )


def train(case: Case) -> Signals:
    """Train it, with the doctor looking on; what it said while training went on is in the record."""
    made = training(case)
    doctor = made.observer
    assert isinstance(doctor, Doctor)
    try:
        made.run()
    except UserError:  # it diverged, which the record says
        assert doctor.signals.trouble
    doctor.state()
    return doctor.signals


class Quiet:
    """Is told how it goes, and says nothing."""

    def step(self, epoch: int, batch: int, batches: int, losses: dict[str, float]) -> None: ...
    def epoch(self, row: dict[str, float]) -> None: ...
    def warn(self, text: str) -> None: ...

    def stopping(self) -> bool:
        return False


@dataclass(frozen=True)
class Slow:
    """Inputs that take their time."""

    inputs: Inputs
    seconds: float

    def __len__(self) -> int:
        return len(self.inputs)

    def take(self, indices: NDArray[np.int64], epoch: int) -> NDArray[np.float32]:
        # Not by sleeping: on a busy machine, computing takes longer, and this has to with it.
        end = time.thread_time() + self.seconds * len(indices)
        while time.thread_time() < end:
            pass
        return self.inputs.take(indices, epoch)


class Sorted(Loader):
    """Forgets to shuffle: the classes come one after another."""

    def training(self, epoch: int, skip: int = 0) -> Iterator[Any]:
        order = np.argsort(self.part.targets, kind="stable")
        for start in range(skip * self.batch, len(order), self.batch):
            yield self.part[_key(epoch, order[start : start + self.batch])]


def _key(epoch: int, indices: NDArray[np.int64]) -> Any:
    from svertka.data.batching.batches import _Key

    return _Key(epoch, indices, 1.0)


@functools.lru_cache(maxsize=16)
def _prepared(
    data: str, count: int, seed: int, side: int, spoil: Spoil | None, parts: Divide | None
) -> tuple[Prepared, tuple[dict[str, Any], ...]]:
    """Images as training reads them, from files that are gone afterwards; and what was found in them."""
    generator = np.random.default_rng([seed, 99])
    arrays = SOURCES[data](count or COUNTS[data], seed)
    if spoil:
        arrays = spoil(arrays, generator)
    divided = parts(arrays, generator) if parts else {"": arrays}
    preprocess = Preprocess(height=side, width=side, channels=1, mean=(0.0,), std=(1.0,))
    with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, SVERTKA_CACHE=f"{folder}/cache"):
        root = Path(folder, "images")
        for part, (images, labels) in divided.items():
            # Names say nothing of the order in which images were taken.
            numbers = generator.permutation(len(labels))
            for number, image, label in zip(numbers.tolist(), images, labels.tolist(), strict=True):
                place = root / part / str(label)
                place.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image).save(place / f"{number:05d}.png", compress_level=1)
        prepared = prepare(root, preprocess, val_fraction=0.2, seed=seed)
        findings = quick_findings(prepared)
    return prepared, tuple(finding.to_json() for finding in findings if finding.severity != "note")


def _begin(net: nn.Module, case: Case) -> None:
    """Let the network learn gratings first."""
    images, labels = gratings(1500, 1000 + case.seed)
    side = _SIDES[case.net]
    inputs = F.interpolate(torch.from_numpy(images)[:, None].float() / 255, size=(side, side), mode="bilinear")
    inputs = (inputs - inputs.mean()) / inputs.std()
    targets = torch.from_numpy(labels)
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
    net.train()
    for epoch in range(4):
        for chosen in torch.from_numpy(np.random.default_rng(epoch).permutation(len(labels))).split(64):
            loss = F.cross_entropy(net(inputs[chosen]), targets[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    for layer in net.head.modules():  # what it has learnt of gratings says nothing of other classes
        if hasattr(layer, "reset_parameters"):
            layer.reset_parameters()


# Ways to spoil images and labels


def shuffled(arrays: Arrays, generator: np.random.Generator) -> Arrays:
    images, labels = arrays
    return images, generator.permutation(labels)


def noisy(share: float) -> Spoil:
    def spoil(arrays: Arrays, generator: np.random.Generator) -> Arrays:
        images, labels = arrays
        wrong = generator.random(len(labels)) < share
        others = (labels + generator.integers(1, CLASSES, len(labels))) % CLASSES
        return images, np.where(wrong, others, labels)

    return spoil


def unequal(most: int, few: int) -> Spoil:
    """Half of the classes have ``most`` images, the others ``few``."""

    def spoil(arrays: Arrays, generator: np.random.Generator) -> Arrays:
        images, labels = arrays
        kept = []
        for label in range(CLASSES):
            here = generator.permutation(np.flatnonzero(labels == label))
            kept.append(here[: most if label % 2 else few])
        chosen = np.concatenate(kept)
        return images[chosen], labels[chosen]

    return spoil


def copied(share: float) -> Spoil:
    def spoil(arrays: Arrays, generator: np.random.Generator) -> Arrays:
        images, labels = arrays
        again = generator.permutation(len(labels))[: int(share * len(labels))]
        return np.concatenate([images, images[again]]), np.concatenate([labels, labels[again]])

    return spoil


def _halves(arrays: Arrays) -> tuple[Arrays, Arrays]:
    images, labels = arrays
    cut = len(labels) // 5
    return (images[cut:], labels[cut:]), (images[:cut], labels[:cut])


def leaking(share: float) -> Divide:
    """So many of the validation images are copies of images to learn from."""

    def divide(arrays: Arrays, generator: np.random.Generator) -> dict[str, Arrays]:
        learn, held = _halves(arrays)
        again = generator.permutation(len(learn[1]))[: int(share * len(held[1]))]
        images, labels = np.concatenate([held[0], learn[0][again]]), np.concatenate([held[1], learn[1][again]])
        return {"train": learn, "val": (images, labels)}

    return divide


def other_light(change: Callable[[NDArray[Any]], NDArray[Any]]) -> Divide:
    """Validation images come from another camera."""

    def divide(arrays: Arrays, _: np.random.Generator) -> dict[str, Arrays]:
        learn, (images, labels) = _halves(arrays)
        return {"train": learn, "val": (np.clip(change(images.astype(float)), 0, 255).astype(np.uint8), labels)}

    return divide


def some_classes(count: int) -> Divide:
    """Validation images are of the first classes alone."""

    def divide(arrays: Arrays, _: np.random.Generator) -> dict[str, Arrays]:
        learn, (images, labels) = _halves(arrays)
        return {"train": learn, "val": (images[labels < count], labels[labels < count])}

    return divide


# Ways to spoil a network


def scaled(factor: float) -> Callable[[nn.Module], None]:
    def change(net: nn.Module) -> None:
        with torch.no_grad():
            for weight in net.parameters():
                if weight.ndim > 1:
                    weight *= factor

    return change


def lowered(bias: float, *names: str) -> Callable[[nn.Module], None]:
    """Biases of the named layers, or of all but the last, so low that no unit is ever reached."""

    def change(net: nn.Module) -> None:
        layers = [(name, layer) for name, layer in net.named_modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
        with torch.no_grad():
            for name, layer in layers[:-1]:
                if not names or any(part in name for part in names):
                    layer.bias.fill_(bias)

    return change


def frozen(net: nn.Module) -> None:
    net.trunk.requires_grad_(False)


class Softmax(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.softmax(dim=1)


def with_softmax(net: nn.Module) -> None:
    net.head.add_module("softmax", Softmax())


# Losses that do not fit


class Squares(Classification):
    def losses(self, output: Tensor, targets: Tensor) -> dict[str, Tensor]:
        return {"squares": F.mse_loss(output.softmax(1), F.one_hot(targets, len(self.classes)).float())}


class Each(Classification):
    def losses(self, output: Tensor, targets: Tensor) -> dict[str, Tensor]:
        wanted = F.one_hot(targets, len(self.classes)).float()
        return {"binary": F.binary_cross_entropy_with_logits(output, wanted)}


class WithoutLogarithm(Classification):
    def losses(self, output: Tensor, targets: Tensor) -> dict[str, Tensor]:
        return {"nll": F.nll_loss(output.softmax(1), targets)}


class Alike(Classification):
    """Ranks all epochs alike, so that early stopping sees none that is better."""

    def rank(self, metrics: Mapping[str, float]) -> tuple[float, ...]:
        del metrics
        return (0.0,)


# The cases

LONG = {"epochs": 40, "augment": ()}
DEEP = {"hidden": (64,) * 7}
SIGMOIDS = {**DEEP, "activation": "sigmoid"}


def _twice(preprocess: Preprocess) -> Preprocess:
    (mean,), (std,) = preprocess.mean, preprocess.std
    return dataclasses.replace(preprocess, mean=(mean * (1 + std),), std=(std * std,))


def _as_it_is(largest: float) -> Callable[[Preprocess], Preprocess]:
    return lambda preprocess: dataclasses.replace(preprocess, mean=(0.0,), std=(1 / largest,))


def _each(*cases: Case) -> tuple[Case, ...]:
    # One seed each, so that weights, order and division differ too.
    return tuple(dataclasses.replace(case, seed=number) for number, case in enumerate(cases))


def _on_all(**common: Any) -> tuple[Case, ...]:
    """The same fault in five trainings."""
    return _each(
        Case("digits", "lenet5", **common),
        Case("gratings", "lenet5", **common),
        Case("digits", "resnet8_cifar", **common),
        Case("garments", "lenet5", **common),
        Case("digits", "mlp", **common),
    )


def _with(cases: tuple[Case, ...], *recipes: Mapping[str, Any]) -> tuple[Case, ...]:
    return tuple(
        dataclasses.replace(case, recipe={**case.recipe, **recipe}) for case, recipe in zip(cases, recipes, strict=True)
    )


_FEW = {"count": 150, "recipe": LONG}
_TINY = {"options": {"hidden": (1,)}}
_ONE_BY_ONE = {"optimizer": "momentum", "schedule": "constant", "augment": (), "epochs": 8}
_PLATEAU = {"schedule": "constant", "epochs": 20, "augment": ()}

PLANTED: dict[str, tuple[Case, ...]] = {
    "learning_rate_too_high": _with(
        _on_all(), {"lr": 0.3}, {"lr": 0.3}, {"lr": 30.0, "optimizer": "momentum"}, {"lr": 0.2}, {"lr": 0.5}
    ),
    "learning_rate_too_low": _with(
        _on_all(), {"lr": 1e-6}, {"lr": 3e-6}, {"lr": 1e-6}, {"lr": 1e-5, "optimizer": "sgd"}, {"lr": 1e-6}
    ),
    "exploding_gradients": _each(
        Case("digits", "mlp", options=DEEP, change=scaled(6), recipe={"optimizer": "sgd", "lr": 0.01}),
        Case("garments", "mlp", options=DEEP, change=scaled(8), recipe={"optimizer": "momentum", "lr": 0.01}),
        Case("digits", "lenet5", change=scaled(8)),
        Case("gratings", "lenet5", change=scaled(10), recipe={"optimizer": "sgd", "lr": 0.01}),
        Case("garments", "lenet5", change=scaled(8)),
    ),
    "vanishing_gradients": _each(
        Case("digits", "mlp", options=SIGMOIDS, recipe={"optimizer": "sgd", "lr": 0.1}),
        Case("garments", "mlp", options=SIGMOIDS, recipe={"optimizer": "momentum", "lr": 0.05}),
        Case("gratings", "mlp", options={"hidden": (128,) * 10, "activation": "sigmoid"}),
        Case("digits", "mlp", options={"hidden": (32,) * 9, "activation": "sigmoid"}),
        Case("garments", "mlp", options={"hidden": (100,) * 8, "activation": "sigmoid"}, recipe={"lr": 0.0005}),
    ),
    "dead_relus": _each(
        Case("digits", "lenet5", change=lowered(-5.0)),
        Case("digits", "mlp", change=lowered(-5.0)),
        Case("garments", "lenet5", change=lowered(-5.0, "c5")),
        Case("gratings", "lenet5", change=lowered(-4.0, "f6")),
        Case("garments", "mlp", change=lowered(-6.0, "hidden2")),
    ),
    "saturated_units": _each(
        Case("digits", "mlp", options={"activation": "sigmoid"}, change=scaled(30)),
        Case("digits", "mlp", options={"activation": "tanh"}, change=scaled(15)),
        Case("digits", "lenet5", options={"activation": "tanh"}, change=scaled(20)),
        Case("garments", "lenet5", options={"activation": "sigmoid"}, change=scaled(60)),
        Case("gratings", "lenet5", options={"activation": "tanh"}, change=scaled(20)),
    ),
    "everything_frozen": _on_all(change=frozen),
    "nothing_frozen": _each(
        *(
            Case(data, net, begin=True, count=120, recipe={"lr": 0.01, "epochs": 30, "augment": ()})
            for data, net in (
                ("garments", "lenet5"),
                ("digits", "lenet5"),
                ("garments", "resnet8_cifar"),
                ("garments", "lenet5"),
                ("garments", "resnet8_cifar"),
            )
        )
    ),
    "unnormalised_input": _each(
        Case("digits", "lenet5", preprocess=_as_it_is(1)),
        Case("gratings", "lenet5", preprocess=_as_it_is(255)),
        Case("digits", "resnet8_cifar", preprocess=_as_it_is(255)),
        Case("garments", "lenet5", preprocess=_as_it_is(1)),
        Case("digits", "mlp", preprocess=_as_it_is(255)),
    ),
    "doubly_normalised_input": _on_all(preprocess=_twice),
    "labels_shuffled": _on_all(spoil=shuffled),
    "noisy_labels": _on_all(spoil=noisy(0.25)),
    "overfitting": _each(
        Case("garments", "lenet5", **_FEW),
        Case("garments", "mlp", **_FEW),
        Case("garments", "resnet8_cifar", **_FEW),
        Case("garments", "lenet5", count=250, recipe=LONG),
        Case("garments", "mlp", count=300, recipe=LONG),
    ),
    "underfitting": _each(
        Case("digits", "mlp", **_TINY),
        Case("garments", "mlp", options={"hidden": (2,), "activation": "tanh"}),
        Case("garments", "mlp", **_TINY),
        Case("digits", "lenet5", recipe={"dropout": 0.98}),
        Case("garments", "lenet5", recipe={"dropout": 0.98}),
    ),
    "needs_more_epochs": _with(
        _on_all(),
        {"epochs": 2, "lr": 1e-3},
        {"epochs": 2, "lr": 1e-3, "schedule": "constant"},
        {"epochs": 2, "lr": 3e-4, "schedule": "constant"},
        {"epochs": 1, "lr": 1e-3, "schedule": "constant"},
        {"epochs": 2, "lr": 2e-4, "schedule": "constant"},
    ),
    "stopped_too_early": _with(_on_all(task=Alike), *({"early_stop": patience} for patience in (2, 2, 1, 1, 2))),
    "class_collapse": _with(
        _on_all(order=True, count=900), *({"lr": rate, **_ONE_BY_ONE} for rate in (0.05, 0.05, 0.1, 0.05, 0.1))
    ),
    "imbalance_ignored": _each(
        Case("digits", "lenet5", spoil=unequal(150, 8), recipe={"epochs": 6}),
        Case("garments", "lenet5", spoil=unequal(220, 8)),
        Case("garments", "mlp", spoil=unequal(220, 10)),
        Case("garments", "lenet5", spoil=unequal(220, 6), recipe={"augment": ()}),
        Case("garments", "resnet8_cifar", spoil=unequal(220, 8)),
    ),
    "validation_leak": _on_all(parts=leaking(0.3)),
    "wrong_split": _each(
        Case("digits", "lenet5", parts=other_light(lambda images: 255 - images)),
        Case("gratings", "lenet5", parts=other_light(lambda images: 0.3 * images)),
        Case("digits", "resnet8_cifar", parts=some_classes(3)),
        Case("garments", "lenet5", parts=other_light(lambda images: 0.4 * images + 140)),
        Case("digits", "mlp", parts=some_classes(5)),
    ),
    "weight_decay_too_strong": _with(
        _on_all(),
        {"weight_decay": 100.0},
        {"weight_decay": 150.0},
        {"weight_decay": 150.0},
        {"weight_decay": 0.5, "optimizer": "sgd", "lr": 0.05},
        {"weight_decay": 150.0},
    ),
    "batch_too_small_for_norm": _each(
        *(
            Case(data, "resnet8_cifar", count=300, recipe={"batch": batch, "epochs": 4})
            for data, batch in (("digits", 2), ("garments", 2), ("gratings", 3), ("digits", 4), ("garments", 4))
        )
    ),
    "duplicated_data": _on_all(spoil=copied(0.3)),
    "loader_bound": _with(_on_all(slow=0.002, count=600), *({"epochs": 2},) * 5),
    "wrong_loss": _each(
        Case("digits", "lenet5", task=Squares),
        Case("gratings", "lenet5", task=Each),
        Case("digits", "resnet8_cifar", change=with_softmax),
        Case("garments", "lenet5", task=WithoutLogarithm),
        Case("digits", "mlp", change=with_softmax),
    ),
    "plateau": _each(
        Case("garments", "mlp", recipe={**_PLATEAU, "lr": 0.02}),
        Case("garments", "mlp", recipe={**_PLATEAU, "lr": 0.03}, options={"hidden": (64,)}),
        Case("digits", "mlp", recipe={**_PLATEAU, "lr": 0.03, "augment": ("crop",)}),
        Case("garments", "lenet5", recipe={**_PLATEAU, "lr": 0.015}),
        Case("garments", "lenet5", recipe={**_PLATEAU, "lr": 0.15, "optimizer": "momentum", "epochs": 14}),
    ),
}
"""Five trainings for each thing that can be wrong."""

for _kind in (
    *("learning_rate_too_high", "exploding_gradients", "vanishing_gradients", "dead_relus", "saturated_units"),
    *("everything_frozen", "unnormalised_input", "doubly_normalised_input", "wrong_loss", "wrong_split"),
    *("validation_leak", "duplicated_data", "weight_decay_too_strong"),
):  # what is seen at once need not be trained for long
    PLANTED[_kind] = tuple(
        dataclasses.replace(case, count=case.count or 500, recipe={"epochs": 5, **case.recipe})
        for case in PLANTED[_kind]
    )

_MOMENTUM = {"optimizer": "momentum", "lr": 0.03}
HEALTHY: tuple[Case, ...] = tuple(
    dataclasses.replace(case, seed=seed)
    for seed in range(10, 12)
    for case in (
        Case("digits", "lenet5"),
        Case("digits", "lenet5", options={"activation": "tanh", "pool": "average"}),
        Case("digits", "mlp"),
        Case("digits", "mlp", recipe=_MOMENTUM),
        Case("digits", "resnet8_cifar"),
        Case("gratings", "lenet5", recipe={"lr": 0.003, "epochs": 14}),
        Case("gratings", "resnet8_cifar"),
        Case("garments", "lenet5"),
        Case("garments", "lenet5", recipe={"dropout": 0.2, "label_smoothing": 0.1}),
        Case("garments", "mlp", recipe={"epochs": 6}),
        Case("digits", "lenet5", recipe={"augment": ("affine",), "epochs": 16}),
        Case("digits", "lenet5", begin=True, recipe={"lr": 0.001}),
        Case("gratings", "lenet5", count=600, recipe={"epochs": 6}),
        Case("digits", "resnet8_cifar", count=500, recipe={"batch": 16}),
        Case("digits", "lenet5", recipe={"schedule": "constant", "lr": 0.0007, "epochs": 14}),
    )
)
"""Trainings with nothing wrong."""

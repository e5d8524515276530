"""Making a trained network smaller step by step: what is taken out, and the training that makes up for it."""

from __future__ import annotations

import copy
import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from svertka.data.batching.batches import Loader, Part
from svertka.data.batching.handling import inputs_of
from svertka.data.preparing import Prepared, prepare
from svertka.deploy.allocation import alike, allocate, by_sensitivity
from svertka.deploy.importance import Importance, magnitude, taylor
from svertka.deploy.thinning import macs, measure_statistics, merged, prove, thinned
from svertka.errors import UserError
from svertka.explaining.pruning import pruned
from svertka.explaining.running import at_rest
from svertka.layers.channels import Channels, follow_channels
from svertka.layers.net import Net
from svertka.layers.transfer import TransferHead
from svertka.layers.trunk import Classifier
from svertka.runtime.card import Card, image_input
from svertka.tasks.making import task_for, task_of
from svertka.tasks.task import Choices
from svertka.training.evaluation import evaluate
from svertka.training.loop import InterruptedTrainingError
from svertka.training.machine import Machine
from svertka.training.recipe import Recipe
from svertka.workflows.evaluation_data import divided_as_trained
from svertka.workflows.run_folder import SPLIT_NAME, Run
from svertka.workflows.training.stages import Clock, Context, Data, Learnt, Plan
from svertka.workflows.training.transfer import from_weights
from svertka.zoo import registry
from svertka.zoo.engine import TorchEngine
from svertka.zoo.modelfile import save_model

if TYPE_CHECKING:
    from svertka.tasks.task import Evaluation
    from svertka.workflows.progress import Display

VAL_FRACTION = 0.2
"""Of the images, where none are held out and they are not those that the model was trained on."""

_LOOKED_AT = 256  # training images that importance is measured on
_PROBED = (16, 128)  # training images, at least and at most, that the harm of taking out a group is measured on
_PROBES = 4096  # of these over all groups, in between
_STATISTICS = 512  # training images that mean and variance are measured on
_BATCH = 16
_FITTED_ANEW = ("linear", "mlp")  # rules of heads, which --head calls the same

Ranking = Literal["magnitude", "taylor"]
Allocation = Literal["alike", "by sensitivity"]

_RANKINGS: tuple[Ranking, ...] = ("magnitude", "taylor")
_ALLOCATIONS: tuple[Allocation, ...] = ("alike", "by sensitivity")


@dataclass(frozen=True)
class Choice:
    """One way to choose channels, and how good the network is without them, before it is trained again.

    Attributes:
        ranking: What a channel's importance goes by.
        allocation: How much each group of channels gives up.
        metrics: On validation.
    """

    ranking: Ranking
    allocation: Allocation
    metrics: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {"ranking": self.ranking, "allocation": self.allocation, "metrics": dict(self.metrics)}


class Pruning:
    """A trained network on its way to a smaller one.

    Args:
        net: The network, trained.
        card: Its card.
        model: Where it was read from.
        prepared: The images, divided; there must be some to learn from and some to choose by.
        recipe: Of the training after each step.
        display: Is told how it goes.
        folder: For what is in between.

    Attributes:
        net, card: As they are after the last step.
        judged_on: The part of the data that results are judged by.

    Raises:
        UserError: The images are not what the network was trained for.
    """

    def __init__(
        self, net: Net, card: Card, model: Path, prepared: Prepared, recipe: Recipe, display: Display, folder: Path
    ) -> None:
        self.net, self.card, self.model, self.prepared = net, card, model, prepared
        self.recipe, self.display, self.folder = recipe, display, folder
        self.preprocess = image_input(card, where=model)
        self.judged_on = "test" if "test" in prepared.parts else "val"
        labels = prepared.parts["train"].labels
        if len(labels) < 2:
            raise UserError("there is only one image to learn from", where=prepared.dataset.root, mend="add images")
        self.task = task_for(labels, card.classes, self.preprocess, Choices(label_smoothing=recipe.label_smoothing))
        if self.task.name != card.task:
            raise UserError(f"the model is for {card.task}, and the images are labelled for {self.task.name}")
        self._targets = {part: self.task.targets(division.labels) for part, division in prepared.parts.items()}
        self._steps = itertools.count(1)

    def judge(self, net: Net, part: str) -> Evaluation:
        """A network by a part of the data, in PyTorch, with the thresholds of the model that it was."""
        inputs = inputs_of(self.prepared, part, self.preprocess)
        batches = self.display.judging(Loader(Part(inputs, self._targets[part]), _BATCH))
        return evaluate(TorchEngine(net).forward, task_of(self.card), batches)

    def follow(self) -> Channels:
        """The channels of the network.

        Raises:
            UserError: None can be taken out.
        """
        channels = follow_channels(self.net, self.preprocess.height, self.preprocess.width)
        if not channels.units:
            raise UserError(
                f"{self.card.net} has no channels that could be taken out", mend="give --sparsity to zero weights"
            )
        return channels

    def choose(self, share: float) -> list[Choice]:
        """Every way to choose channels, tried without training; the best first.

        Args:
            share: Of the operations that is to be left.

        Raises:
            UserError: So little cannot be left.
        """
        channels, tried = self.follow(), []
        for ranking in _RANKINGS:
            importance = self._importance(ranking, channels)
            for allocation in _ALLOCATIONS:
                narrow, _ = self._narrow(channels, importance, allocation, share)
                metrics = dict(self.judge(narrow, "val").metrics)
                tried.append(Choice(ranking, allocation, metrics))
        return sorted(tried, key=lambda choice: self.task.rank(choice.metrics), reverse=True)

    def take_out_channels(self, choice: Choice, share: float) -> Learnt:
        """Take channels out so that ``share`` of the present operations is left, and train what is left."""
        channels = self.follow()
        importance = self._importance(choice.ranking, channels)
        narrow, widths = self._narrow(channels, importance, choice.allocation, share)
        widths = merged(self.card.arguments.get("widths", {}), widths)
        return self._trained_again(narrow, {**self.card.arguments, "widths": widths}, None)

    def zero_weights(self, sparsity: float) -> Learnt:
        """Set this share of all weights, the smallest, to zero, and train the others."""
        changed = pruned(self.net, self.net, sparsity)
        net = copy.deepcopy(self.net)
        net.load_state_dict(changed, strict=False)
        masks = {name: (value != 0).float() for name, value in changed.items()}
        return self._trained_again(net, self.card.arguments, masks)

    def _trained_again(self, net: Net, arguments: Mapping[str, Any], masks: Mapping[str, Tensor] | None) -> Learnt:
        number = next(self._steps)
        start = self.folder / f"step{number}.safetensors"
        save_model(start, net.state_dict(), dataclasses.replace(self.card, arguments=dict(arguments), golden=()))
        recipe = self.recipe.changed({"weights": str(start), **({} if masks else _head_again(net, arguments))})
        run = Run(self.folder / f"run{number}", recipe, resumed=False, finished=False)
        self.display.plan(epochs=recipe.epochs, batch=recipe.batch)
        data = Data(self.prepared, self.task, self.preprocess)
        context = Context(self.display, Clock(), self.folder / "memory")
        try:
            learnt = from_weights(Plan(run, Machine(recipe)), data, context, masks)
        except InterruptedTrainingError:
            raise KeyboardInterrupt from None
        self.net, self.card = learnt.net, dataclasses.replace(self.card, arguments=learnt.arguments)
        return dataclasses.replace(learnt, recipe=learnt.recipe.changed({"weights": str(self.model)}))

    def _narrow(
        self, channels: Channels, importance: Importance, allocation: Allocation, share: float
    ) -> tuple[Net, dict[str, list[int | None]]]:
        values = alike(channels)
        if allocation == "by sensitivity":
            count = int(np.clip(_PROBES // len(channels.groups), *_PROBED))
            values = by_sensitivity(
                self.net, channels, importance, lambda changed: self._loss(changed, count), self._advance
            )
        keep = allocate(channels, importance, values, share)
        narrow, widths = thinned(self.net, channels, keep)
        prove(self.net, narrow, channels, keep, next(self._images(_BATCH)))
        measure_statistics(narrow, self._images(_STATISTICS))
        self.display.say(
            f"channels taken out {allocation}: {macs(channels, keep) / 1e6:,.1f} M operations an image are left, of "
            f"{macs(channels, np.ones_like(keep)) / 1e6:,.1f} M"
        )
        return narrow, widths

    def _importance(self, ranking: Ranking, channels: Channels) -> Importance:
        if ranking == "magnitude":
            return magnitude(self.net, channels)
        return taylor(self.net.eval(), channels, self._losses())

    def _losses(self) -> Iterator[Tensor]:
        for images, targets in self._some(_LOOKED_AT):
            terms = self.task.losses(self.net(images), targets)
            yield torch.stack(list(terms.values())).sum()

    def _loss(self, changed: Mapping[str, Tensor], count: int) -> float:
        total = 0.0
        with at_rest(self.net, changed) as forward, torch.no_grad():
            for images, targets in self._some(count):
                terms = self.task.losses(forward(images), targets)
                total += float(torch.stack(list(terms.values())).sum()) * len(images)
        return total

    def _advance(self, done: int, total: int) -> None:
        self.display.working("looking at channels", done, total)

    def _images(self, count: int) -> Iterator[Tensor]:
        return (images for images, _ in self._some(count))

    def _some(self, count: int) -> Iterator[tuple[Tensor, Tensor]]:
        # Training images, not augmented, and their targets.
        inputs = inputs_of(self.prepared, "train", self.preprocess, learning=True, seed=self.recipe.seed)
        # Normalisations are measured on these batches, and of a single image they may have nothing to measure.
        loader = Loader(Part(inputs, self._targets["train"], self.recipe.seed), _BATCH, least=2)
        for batch in itertools.islice(loader.training(0), -(-count // _BATCH)):
            yield batch.inputs, batch.targets


def _head_again(net: Net, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """How a recipe says that the head is fitted anew, if it is one that was fitted: what it read is no longer there."""
    if not isinstance(net, Classifier) or not isinstance(net.head, TransferHead):
        return {}
    rule = arguments["head"]["rule"]
    return {"head": rule, "taps": net.head.taps} if rule in _FITTED_ANEW else {}


def divide(data: Path, model: Path, card: Card, display: Display, *, format: str | None) -> tuple[Prepared, Recipe]:  # noqa: A002
    """A data set as the model was trained on it, or, if it is another, divided anew; and a recipe that says so.

    Raises:
        UserError: It cannot be used, or there is nothing to learn from or to choose by.
    """
    preprocess = image_input(card, where=model)
    told = card.provenance.get("data", {})
    prepared = divided_as_trained(data, model, card, display, format=format)
    same = prepared.fingerprint == told.get("fingerprint")
    division: dict[str, Any] = {"val_fraction": VAL_FRACTION}
    if same and {"train", "val"} <= prepared.parts.keys():
        fold, folds = told.get("fold") or (0, 0)
        split = (model if model.is_dir() else model.parent) / SPLIT_NAME
        division = {
            **{name: told[name] for name in ("val_fraction", "seed", "group")},
            "fold": fold,
            "folds": folds,
            "split": str(split) if told.get("split_given") else None,
        }
    else:
        prepared = prepare(data, preprocess, val_fraction=VAL_FRACTION, seed=0, format=format, advance=display.advance)
        if same:
            display.warn("nothing was held out in training: what chooses and judges has been learnt from")
    for part in ("train", "val"):
        if part not in prepared.parts:
            raise UserError(
                f"there is no part {part!r} to {'learn from' if part == 'train' else 'choose by'}",
                where=data,
                mend="name its folders train/ and val/, or one of them only",
            )
    recipe = Recipe.of(
        {"weights": str(model), "net": card.net, "image_size": preprocess.height, "format": format, **division},
        kind=registry.record(card.net).kind,
    )
    return prepared, recipe.changed({"head": "own", "freeze": "none"})


def shares(last: float, steps: int) -> Sequence[float]:
    """The shares that are left after each step, so that every step takes as much of what is left.

    Args:
        last: What is left in the end, above 0.
        steps: How many steps there are.
    """
    return [last ** (number / steps) for number in range(1, steps + 1)]

"""R-CNN: what a trained trunk makes of regions is remembered, and machines are fitted to it."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from svertka.data.cache.memory import Store
from svertka.deploy.bulk import Bulk, fastest
from svertka.layers.boxes import encode, iou
from svertka.layers.frozen import FrozenStages
from svertka.layers.matching import in_crowds
from svertka.nets.rcnn import RCNN
from svertka.runtime.proposals import SELECTIVE_SEARCH
from svertka.tasks.box_losses import Truth, proposals, truths
from svertka.training.evaluation import evaluate
from svertka.training.loop import Outcome
from svertka.training.region_machines import Regions, fit_machines
from svertka.workflows.training.engine import engine_of
from svertka.workflows.training.network import around_weights
from svertka.workflows.training.stages import Learnt, Setup, Tried
from svertka.zoo.engine import TorchEngine

if TYPE_CHECKING:
    from svertka.workflows.training.stages import Context, Data, Plan

_AT_ONCE = 8  # crops that an engine is given
_LOOKED_AT = 2 * _AT_ONCE  # that engines are timed with
_SEGMENT = 16  # images after which what was computed is written


def from_regions(plan: Plan, data: Data, context: Context) -> Learnt:
    """Fit a machine for each class to what a trained trunk makes of regions, and of the objects' own boxes.

    Args:
        plan: What was asked for.
        data: What is learnt from.
        context: Stands beside.

    Raises:
        UserError: The weights cannot be used like this.
    """
    prepared, classes, display = data.prepared, data.task.classes, context.display
    with context.clock.stage("setting up"):
        start = around_weights(plan.recipe, data.task, data.preprocess, own_head=True)
        net = start.net.eval()
        assert isinstance(net, RCNN)
        memory = _Memory(start.arguments, net, plan, data, context)
    recipe = plan.recipe.changed({"engine": memory.engine.name, "freeze": "all", "image_size": data.preprocess.height})
    setup = Setup(net, start.arguments, recipe, plan.machine)
    plan.begin(recipe, prepared, start.card.weights)
    started = time.perf_counter()
    with context.clock.stage("running frozen stages"), plan.machine.first_goes_first():
        found = {part: memory.regions(part) for part in ("train", "val") if part in prepared.parts}
    with context.clock.stage("fitting the machines"):
        machines = fit_machines(found["train"], found.get("val", []), len(classes), seed=recipe.seed)
    net.decoder.load_state_dict({name: torch.from_numpy(value) for name, value in machines.tensors.items()})
    inputs, forward = data.inputs(recipe.augment, recipe.seed), TorchEngine(net).forward
    with context.clock.stage("evaluation"):
        evaluations = {
            part: evaluate(
                forward,
                data.task,
                display.judging(data.loader(inputs, part, setup, display)),
                processes=plan.machine.world,
            )
            for part in inputs
            if part != "train"
        }
    seconds = time.perf_counter() - started
    metrics = dict(evaluations["val"].metrics) if "val" in evaluations else {}
    weights = {name: value.detach().clone().contiguous() for name, value in net.state_dict().items()}
    name = f"a linear machine a class on {net.taps[0]} of {net.crop}-pixel crops"
    return Learnt(
        net,
        start.arguments,
        recipe,
        Outcome(weights, 0, [], {}),
        evaluations,
        (Tried(name, metrics, seconds, True),),
        {
            "regions": {"hard negatives": dict(zip(classes, machines.negatives, strict=True))},
            "transfer": {"from": start.card.provenance.get("weights", start.card.weights)},
        },
        start.card.licence,
    )


class _Memory:
    """What the trunk makes of the regions of every image, and of its objects' own boxes."""

    def __init__(self, arguments: Mapping[str, Any], net: RCNN, plan: Plan, data: Data, context: Context) -> None:
        self.net, self.data, self.display = net, data, context.display
        self.truths = {part: truths(torch.from_numpy(np.asarray(rows))) for part, rows in data.targets.items()}
        self.most = max(len(truth.boxes) for found in self.truths.values() for truth in found)
        (tap,) = net.taps
        stages = FrozenStages(net.trunk, [tap], []).eval()
        examples = next(self._crops(self._batch("train", 0), torch.tensor([[[0.2, 0.2, 0.8, 0.8]]])))
        examples = np.resize(examples, (_LOOKED_AT, *examples.shape[1:]))
        runs = [arguments["trunk"], net.crop]
        wanted = engine_of(plan.recipe, plan.machine, runs, lambda: fastest(stages, examples))
        self.engine: Bulk = fastest(stages, examples, wanted=wanted)
        width = net.trunk.channels(data.preprocess.height, data.preprocess.width)[tap]
        what = [1, SELECTIVE_SEARCH, net.trunk.digests()[tap], net.crop, data.preprocess.to_json(), self.engine.name]
        key = hashlib.sha256(json.dumps([*what, self.most], sort_keys=True).encode()).hexdigest()[:32]
        self.store = Store(key, (net.regions + self.most, width), context.memory)

    def regions(self, part: str) -> list[Regions]:
        """What is known of every image of a part; what the trunk makes of it is computed if it was not before."""
        truth, classes = self.truths[part], len(self.data.task.classes)
        images, positions = self.data.prepared.images, self.data.prepared.parts[part].positions
        digests = [
            hashlib.sha256(images.digests[position].encode() + own.boxes.numpy().tobytes()).hexdigest()
            for position, own in zip(positions.tolist(), truth, strict=True)
        ]
        self.store.check(digests)
        absent = [number for number, digest in enumerate(digests) if digest not in self.store]
        for start in range(0, len(absent), _SEGMENT):
            few = absent[start : start + _SEGMENT]
            rows = []
            for done, number in enumerate(few, start + 1):
                rows.append(self._features(self._batch(part, number), self._places(part, number)))
                self.display.remembering(done, len(absent))
            self.store.add([digests[number] for number in few], np.stack(rows))
        found = []
        for number, features in enumerate(self.store.take(self.store.places(digests))):
            places = self._places(part, number)
            there = (places[:, 2:] > places[:, :2]).all(dim=1)
            found.append(_known(features[there.numpy()], places[there], truth[number], classes))
        return found

    def _batch(self, part: str, number: int) -> Tensor:
        position = self.data.prepared.parts[part].positions[[number]]
        return torch.from_numpy(self.data.preprocess.normalise(self.data.prepared.images.take(position)))

    def _places(self, part: str, number: int) -> Tensor:
        """The regions that were proposed, then the objects' own boxes; without area to fill."""
        (regions,) = proposals(torch.from_numpy(np.asarray(self.data.targets[part][[number]])))
        own = torch.zeros(self.most, 4)
        boxes = self.truths[part][number].boxes
        own[: len(boxes)] = boxes
        return torch.cat([regions, own])

    def _features(self, image: Tensor, places: Tensor) -> NDArray[np.float16]:
        there = (places[:, 2:] > places[:, :2]).all(dim=1)
        rows = np.zeros((len(places), self.store.shape[1]), np.float16)
        (features,) = zip(*self.engine.stream(self._crops(image, places[there][None])), strict=True)
        rows[there.numpy()] = np.concatenate(features)[: int(there.sum())]
        return rows

    def _crops(self, image: Tensor, places: Tensor) -> Iterator[NDArray[np.float32]]:
        # As many at a time as the engines take; the last are filled up.
        for few in torch.split(places, _AT_ONCE, dim=1):
            with torch.inference_mode():
                crops = self.net.crops(image, few).numpy()
            yield np.concatenate([crops, np.repeat(crops[-1:], _AT_ONCE - len(crops), axis=0)])


def _known(features: NDArray[np.float16], places: Tensor, truth: Truth, classes: int) -> Regions:
    boxes, labels, crowds = truth
    overlaps, goals = torch.zeros(len(places), classes), torch.zeros(len(places), classes, 4)
    own = torch.full((len(places),), -1)
    if len(boxes):
        own[len(places) - len(boxes) :] = labels
        every = iou(places, boxes)
        for label in sorted(set(labels.tolist())):
            mine = labels == label
            overlaps[:, label], nearest = every[:, mine].max(dim=1)
            goals[:, label] = encode(boxes[mine][nearest], places)
    kept = ~in_crowds(places, crowds) | (own >= 0)
    return Regions(features[kept.numpy()], overlaps[kept].numpy(), goals[kept].numpy(), own[kept].numpy())

"""Prune: a trained network made smaller, and trained to make up for it."""

from __future__ import annotations

import copy
import dataclasses
import gzip
import math
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from svertka.commands.prune.result import Point, Pruned
from svertka.errors import UserError
from svertka.runtime.files import make_folder, replacing, unused_folder
from svertka.spelling import place_of
from svertka.wording import counted
from svertka.workflows.models import MODEL_NAME, model_file
from svertka.workflows.progress import Display

if TYPE_CHECKING:
    from svertka.commands.prune.pruning import Choice, Pruning
    from svertka.layers.net import Net
    from svertka.runtime.card import Card
    from svertka.workflows.training.stages import Learnt

REPORT_NAME = "prune.html"
MACS, STEPS, EPOCHS = 0.7, 2, 4


def prune(
    model: str | PathLike[str],
    data: str | PathLike[str],
    *,
    out: str | PathLike[str],
    macs: float | None = None,
    sparsity: float | None = None,
    steps: int = STEPS,
    epochs: int = EPOCHS,
    lr: float | None = None,
    format: str | None = None,  # noqa: A002 (the user's word)
    progress: bool = True,
) -> Pruned:
    """Make a trained network smaller, in steps, each followed by training.

    Channels that matter least are taken out, with all that belongs to them, so that file and latency shrink; how they
    are chosen is tried in four ways, and the way that harms least before any training is taken. Or single weights are
    set to zero and stay zero, which shrinks the file once it is compressed.

    Args:
        model: Model file (.safetensors) or a run's folder.
        data: A data set as `svertka.train` takes it; of the very data that the model was trained on, what was held out
            then is held out again.
        out: Folder for the model files and the page; it must not exist.
        macs: Take out channels so that this share of the multiply-accumulate operations is left; 0.7 where neither is
            given.
        sparsity: Set this share of the weights to zero instead.
        steps: In how many steps that is done.
        epochs: Of training after each step.
        lr: Learning rate of that training at its highest; that of fine-tuning by default.
        format: Format of the data set to insist on; by default, it is looked at.
        progress: Show progress on standard error.

    Raises:
        UserError: The model, the data or the folder cannot be used, or so much cannot be taken out.
    """
    left = _share_left(macs, sparsity)
    if steps < 1:
        raise UserError(f"steps is {steps}", mend="it must be at least 1")
    target, source = unused_folder(out), model_file(Path(model))
    net, card = _opened(source)
    from svertka.commands.prune.page import write_page
    from svertka.commands.prune.pruning import Pruning, divide
    from svertka.workflows.images import say_data

    display = Display(show=progress)
    prepared, recipe = divide(place_of(data), Path(model), card, display, format=format)
    recipe = recipe.changed({"epochs": epochs, **({} if lr is None else {"lr": lr})})
    say_data(display, prepared, card.classes)
    with tempfile.TemporaryDirectory(prefix="svertka-") as place:
        pruning = Pruning(net, card, Path(model), prepared, recipe, display, Path(place))
        tried = pruning.choose(left) if sparsity is None else []
        make_folder(target)
        points = _Way(pruning, target, source, tried[0] if tried else None).taken(left, steps)
        _copy(pruning.folder / "run1" / "split.csv", target)
    of, part = "channels" if sparsity is None else "weights", pruning.judged_on
    told = (tuple(tried), pruning.task.headline[0], part, prepared.counts[part])
    result = Pruned(target / MODEL_NAME, target / REPORT_NAME, of, points, *told)
    write_page(result, card, prepared)
    return result


def _share_left(macs: float | None, sparsity: float | None) -> float:
    # Of the operations, or of the weights.
    if macs is not None and sparsity is not None:
        raise UserError("channels are to be taken out and weights to be zeroed", mend="give --macs or --sparsity")
    for name, share in (("macs", macs), ("sparsity", sparsity)):
        if share is not None and not 0 < share < 1:
            raise UserError(f"{name} is {share:g}", mend="it must be a share between 0 and 1")
    if sparsity is not None:
        return 1 - sparsity
    return MACS if macs is None else macs


def _opened(source: Path) -> tuple[Net, Card]:
    if source.suffix != ".safetensors":
        raise UserError("only a .safetensors model can be pruned", where=source)
    from svertka.zoo import registry
    from svertka.zoo.modelfile import load_model

    net, card = load_model(source)
    if "logits" not in net.output_names:
        found = registry.record(card.net).traits.gives
        mend = "prune the classifier whose trunk it is built on, and learn from that"
        raise UserError(f"{card.net} finds {found}, and no such network can be pruned", where=source, mend=mend)
    if card.reject_limit is not None:
        mend = "train it without --reject"
        raise UserError("it refuses images by distances that pruning would change", where=source, mend=mend)
    return net, card


def _copy(path: Path, folder: Path) -> None:
    with path.open("rb") as read, replacing(folder / path.name) as file:
        shutil.copyfileobj(read, file)


class _Way:
    """The steps from a network to a smaller one, and what was measured of each."""

    def __init__(self, pruning: Pruning, folder: Path, source: Path, choice: Choice | None) -> None:
        self.pruning, self.folder, self.source, self.choice = pruning, folder, source, choice

    def taken(self, share: float, steps: int) -> tuple[Point, ...]:
        """Go to the end, where ``share`` of the operations or weights is left."""
        from svertka.commands.prune.pruning import shares

        pruning = self.pruning
        nets = [pruning.net]
        whole = {part: dict(pruning.judge(pruning.net, part).metrics) for part in {"val", pruning.judged_on}}
        points = [self._point("as it was", self.source, pruning.net, whole)]
        for number, left in enumerate(shares(share, steps), start=1):
            pruning.display.say(f"step {number} of {steps}")
            if self.choice is None:
                learnt = pruning.zero_weights(1 - left)
                name = f"{1 - left:.0%} of the weights zero"
            else:
                learnt = pruning.take_out_channels(self.choice, left * points[0].macs / points[-1].macs)
                name = f"{self._macs(learnt.net) / points[0].macs:.0%} of the operations"
            file = self.folder / (MODEL_NAME if number == steps else f"step{number}.safetensors")
            card, metrics = self._saved(learnt, file, name)
            nets.append(learnt.net)
            points.append(self._point(name, file, learnt.net, metrics))
        if self.choice is None:
            return tuple(points)
        latencies = _latencies(nets, card)
        return tuple(dataclasses.replace(point, latency=each) for point, each in zip(points, latencies, strict=True))

    def _saved(self, learnt: Learnt, file: Path, name: str) -> tuple[Card, dict[str, dict[str, float]]]:
        from svertka.workflows.training.card import card_of
        from svertka.workflows.training.stages import Data
        from svertka.zoo.engine import TorchEngine
        from svertka.zoo.modelfile import save_model

        pruning = self.pruning
        task = pruning.task.settled(learnt.evaluations.get("val"))
        evaluations = {part: task.score().evaluate(found.arrays) for part, found in learnt.evaluations.items()}
        metrics = {part: dict(evaluation.metrics) for part, evaluation in evaluations.items()}
        for part, values in metrics.items():
            if not all(map(math.isfinite, values.values())):
                raise UserError(f"a metric on {part} is not finite", where=file, mend="try a lower --lr")
        how = {} if self.choice is None else {"ranking": self.choice.ranking, "allocation": self.choice.allocation}
        learnt = dataclasses.replace(learnt, record={**learnt.record, "pruning": {"left": name, **how}})
        engine = TorchEngine(learnt.net)
        data = Data(pruning.prepared, task, pruning.preprocess)
        card = card_of(learnt, data, metrics, engine, pruning.judged_on)
        return save_model(file, learnt.outcome.weights, card), metrics

    def _macs(self, net: Net) -> int:
        from svertka.zoo.measure import measure

        preprocess = self.pruning.preprocess
        stages = measure(copy.deepcopy(net).to("meta"), preprocess.height, preprocess.width)
        return sum(stage.macs for stage in stages)

    def _point(self, name: str, file: Path, net: Net, metrics: Mapping[str, Mapping[str, float]]) -> Point:
        data = file.read_bytes()
        point = Point(
            name,
            file,
            self._macs(net),
            sum(int(value.count_nonzero()) for value in net.parameters()),
            len(data),
            len(gzip.compress(data, compresslevel=6)),
            metrics["val"],
            metrics[self.pruning.judged_on],
        )
        main = self.pruning.task.headline[0]
        self.pruning.display.say(
            f"{name}: {main.replace('_', ' ')} {point.metrics[main]:.1%} on {self.pruning.judged_on}, "
            f"{point.macs / 1e6:,.1f} M operations, "
            f"{counted(point.parameters, 'parameter that is', 'parameters that are')} not zero"
        )
        return point


def _latencies(nets: Sequence[Net], card: Card) -> list[float | None]:
    """Median seconds for one image, in turns."""
    import numpy as np

    from svertka.deploy.onnx import onnx_bytes
    from svertka.deploy.timing import measure
    from svertka.runtime.engines import OnnxRuntimeEngine

    images = np.zeros((1, *card.input.shape), np.float32)
    with tempfile.TemporaryDirectory(prefix="svertka-") as place:
        runs = {}
        for number, net in enumerate(nets):
            file = Path(place, f"{number}.onnx")
            try:
                file.write_bytes(onnx_bytes(net, card))
            except UserError:  # onnx is not installed
                return [None] * len(nets)
            runs[str(number)] = OnnxRuntimeEngine(file).run
        return [timing.p50 for timing in measure(runs, images, batch=1).values()]
